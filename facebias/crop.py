"""Make a face set from photos: find the face, cut it out, gray if wanted, all of one size.

python -m facebias.crop photos=FOLDER out=FOLDER width=75 height=110 gray=true form=pixel_csv
"""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Crop

if TYPE_CHECKING:
    import pandas as pd

_LOWEST = 12  # shares that are printed of each attribute


def crop(config: DictConfig) -> Path:
    """Crop faces from a checked configuration.

    Args:
        config: `facebias.schemas.Crop`, as `facebias.config.check` returns it.

    Returns:
        The folder.

    Raises:
        FacebiasError: for photos without faces, or folders that do not fit.
    """
    from facebias.data.crops import crop_photos, read_photos
    from facebias.data.images import FaceFormat

    folder = Path(config.out).expanduser()
    attributes = {name: list(groups) for name, groups in (config.attributes or {}).items()}
    photos = read_photos(Path(config.photos).expanduser(), attributes, dict(config.columns or {}))
    channels = 1 if config.gray else 3
    face_format = FaceFormat(config.height, config.width, channels, config.margin)
    crops = crop_photos(photos, folder, face_format, form=config.form, workers=config.workers)
    several = int((crops.found["faces"] > 1).sum())
    absent = len(crops.rows) - len(photos.used())
    _print_shares(crops.shares())
    print(f"{several:,} photos have several faces; the largest was taken")
    if absent:
        print(f"{absent:,} lines of CSV files name photos that are not there")
    print(f"{len(crops.found):,} faces; every other photo is in misses.csv: {folder}")
    print(f"To look at: {folder / 'crops.png'}")
    return folder


def _print_shares(shares: "pd.DataFrame") -> None:
    """Print the share of faces found, the lowest first within each attribute."""
    for by, rows in shares.groupby("by", sort=False):
        if by != "all" and (rows["share"] == 1).all():
            print(f"{by}: all faces found in each of {len(rows)} groups")
            continue
        for row in rows.sort_values("share", kind="stable").head(_LOWEST).itertuples():
            group = "" if by == "all" else f" {row.group}"
            bad = f", {row.bad:,} more cannot be read" if row.bad else ""
            readable = row.photos - row.bad
            share = f" ({row.share:.1%})" if readable else ""
            print(f"{by}{group}: {row.found:,} of {readable:,}{share}{bad}")
        if len(rows) > _LOWEST:
            print(f"{by}: {len(rows) - _LOWEST} more in found.csv, none of them lower")


if __name__ == "__main__":
    run_verb("crop", Crop, crop)
