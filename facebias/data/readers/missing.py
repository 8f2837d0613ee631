"""What to say where a data set is not there: where to get it, how it lies, what runs without it."""

from collections.abc import Sequence
from pathlib import Path

from facebias.errors import DataError

_TRIED = 5  # images that are looked for; more would cost a call for each of half a million


def missing_data(
    root: Path, name: str, layout: str, source: str, absent: Path | None = None
) -> DataError:
    """Return the error of a data set that does not lie in its folder.

    Args:
        root: folder that was searched, which may not exist.
        name: the data set's, as its authors write it.
        layout: what lies below the root, with `/`; several forms joined by "; or".
        source: who gives the data out, on what terms, and the paper.
        absent: what alone is not there, where others of its files are.
    """
    found = f"{root} has no files of {name}" if root.is_dir() else f"there is no folder {root}"
    found = found if absent is None else f"there is no {absent}"
    return DataError(
        found,
        f"{name} laid out as {layout}",
        f"give its folder with data.root=FOLDER. {name} comes from {source}. Generated faces need "
        "no download: python -m facebias.train data=faces, or an experiment whose name begins "
        "with faces_",
    )


def image_folder(root: Path, folders: Sequence[str], names: Sequence[str], file: Path) -> str:
    """Return the first folder that has one of the first images that a file lists.

    Single images that are not there are the store's business, which lists them.

    Args:
        root: of the data set.
        folders: below the root, with `/`, where its releases put the images.
        names: of the images, below such a folder.
        file: that lists them.

    Raises:
        DataError: if none of the folders has any of the first images.
    """
    tried = names[:_TRIED]
    for folder in folders:
        if any((root / folder / name).is_file() for name in tried):
            return folder
    there = [folder for folder in folders if (root / folder).is_dir()]
    raise DataError(
        f"{file} lists {', '.join(tried[:2])} and so on, and none of the first {len(tried)} lies "
        f"in {', '.join(str(root / folder) for folder in there) or root}",
        f"the images in one of {', '.join(folders)} below {root}",
        "check data.root, and that all archives of images are unpacked",
    )
