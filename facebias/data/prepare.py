"""The way from a table to faces that are ready to load: store, leak gate, splits, composition."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.bias import Bias, compose
from facebias.data.images import FaceFormat
from facebias.data.leakage import gate, orientation_hashes
from facebias.data.split import draw_splits
from facebias.data.statistics import PixelStatistics, pixel_statistics
from facebias.data.store import FaceStore, open_store
from facebias.data.table import SPLITS, UNKNOWN, FaceTable
from facebias.errors import DataError
from facebias.files import whole_file

logger = logging.getLogger(__name__)

SPLIT_FILE = "split.parquet"


@dataclass(frozen=True)
class PreparedFaces:
    """Faces that are split, composed and stored.

    Attributes:
        table: every face with its split and why it is left out; the column `row` is its row in
            the store, -1 where there is no image.
        store: the decoded faces.
        statistics: of the train split before the composition, so that twins share them.
        source_cells: the train split before the composition, label x group of the bias's
            attribute.
        bias: what composed the train split.
    """

    table: FaceTable
    store: FaceStore
    statistics: PixelStatistics
    source_cells: pd.DataFrame
    bias: Bias

    def rows(self, split: str) -> pd.DataFrame:
        """Return the used faces of a split."""
        return self.table.used(split)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have faces."""
        present = set(self.table.used()["split"].dropna())
        return tuple(split for split in SPLITS if split in present)

    def cells(self) -> pd.DataFrame:
        """Count the train faces after the composition, in the shape of `source_cells`."""
        return self.table.cells("train", self.bias.attribute)

    def class_counts(self) -> list[int]:
        """Count the train faces of each class after the composition."""
        return [int(count) for count in self.cells().sum(axis=1)]

    def write(self, folder: Path) -> None:
        """Write `split.parquet`: every face, its split, and why it is left out where it is.

        Args:
            folder: of the run.
        """
        with whole_file(folder / SPLIT_FILE) as temporary:
            self.table.rows.to_parquet(temporary, index=False)


def prepare_faces(
    table: FaceTable,
    bias: Bias,
    *,
    face_format: FaceFormat,
    cache: Path | None,
    seed: int,
    folds: int,
    fold: int,
    stratify: tuple[str, ...] = (),
    copies: str = "drop",
    statistics: str = "channel",
    max_bad: int = 20,
) -> PreparedFaces:
    """Decode, check, split and compose the faces of a table.

    Args:
        table: as a reader returned it.
        bias: the composition of the train split.
        face_format: height, width and channels of the stored faces.
        cache: folder of the stores; None decodes on every read.
        seed: the data seed.
        folds: number of parts of the train split.
        fold: the part that validates.
        stratify: attributes that the splits are stratified by, beside the label.
        copies: "drop" leaves out what would leak; "report" uses every face and warns.
        statistics: "channel" or "pixel".
        max_bad: unreadable images, beyond which this stops.

    Raises:
        DataError: if there are too many bad images, or a split lacks a class.
        CompositionError: if the faces do not suffice for the composition.
    """
    _refuse_unheard(table)
    table, store = store_faces(_without_unlabelled(table), face_format, cache, max_bad)
    without = _without_copies(table, store)
    if copies == "drop":
        table = without
    else:
        _warn_of_copies(table, without)
    table = draw_splits(table, folds=folds, fold=fold, stratify=stratify, seed=seed)
    _refuse_absent_classes(table)
    source = table.used("train")
    source_cells = table.cells("train", bias.attribute)
    table = compose(table, bias, seed)
    rows = source["row"].to_numpy(np.int64)
    return PreparedFaces(
        table, store, pixel_statistics(store.read, rows, statistics), source_cells, bias
    )


def store_faces(
    table: FaceTable, face_format: FaceFormat, cache: Path | None, max_bad: int
) -> tuple[FaceTable, FaceStore]:
    """Decode the faces of a table, and leave out those that cannot be.

    Returns:
        The table with the column `row`, -1 where there is no image, and the store.

    Raises:
        DataError: if no face or more than `max_bad` faces are bad.
    """
    used = table.used()
    if used.empty:
        raise DataError(f"{table.root} has no face that can be used", "at least one face")
    sources = [table.root / source for source in used["source"]]
    store = open_store(sources, face_format, folder=cache, max_bad=max_bad)
    rows = table.rows.assign(row=-1)
    rows.loc[used.index, "row"] = np.arange(len(used))
    for row, reason in store.bad.items():
        rows.loc[used.index[row], "left_out"] = f"bad image: {reason}"
    return table.with_rows(rows), store


def _refuse_unheard(table: FaceTable) -> None:
    """Refuse one class, and attributes of which nothing is known; say how much is not known."""
    if len(table.classes) < 2:
        raise DataError(
            f"the data set has the classes {', '.join(table.classes) or 'none'}",
            "two classes or more, to tell apart",
            "name them in data.reader.classes",
        )
    for attribute in table.attributes:
        unknown = int((table.used()[attribute] == UNKNOWN).sum())
        if unknown == len(table.used()):
            raise DataError(
                f"nobody says the {attribute} of any face in {table.root}",
                f"a CSV file with a column that names the image and a column {attribute!r}",
                "check the file's columns and lines, name them in data.reader.columns, or take "
                f"{attribute} out of data.reader.attributes",
            )
        if unknown:
            logger.warning("%s: %s of %s unknown", attribute, unknown, len(table.used()))


def _without_unlabelled(table: FaceTable) -> FaceTable:
    """Leave out the faces that nobody has labelled: there is nothing to learn or score."""
    rows = table.rows.copy()
    rows.loc[rows["label"].isna() & (rows["left_out"] == ""), "left_out"] = "no label"
    return table.with_rows(rows)


def _warn_of_copies(table: FaceTable, without: FaceTable) -> None:
    """Say how many faces are used that the leak gate would have left out."""
    leaks = without.rows["left_out"][without.rows["left_out"] != table.rows["left_out"]]
    if len(leaks):
        logger.warning(
            "%s faces are copies that would have been left out (data.copies=report uses them); "
            "the first is a %s",
            f"{len(leaks):,}",
            leaks.iloc[0],
        )


def _without_copies(table: FaceTable, store: FaceStore) -> FaceTable:
    """Pass the readable faces through the leak gate; hashes of bad images are their own."""
    exact, unoriented = orientation_hashes(store.read, len(store))
    row = table.rows["row"].to_numpy(np.int64)
    alone = table.rows["id"].to_numpy(object)
    stored = row >= 0
    columns: list[npt.NDArray[np.object_]] = []
    for hashes in (exact, unoriented):
        column = alone.copy()
        column[stored] = hashes[row[stored]]
        columns.append(column)
    return gate(table, *columns)


def _refuse_absent_classes(table: FaceTable) -> None:
    """Refuse to train on, or to choose by, a split without one of the classes."""
    for split in ("train", "validation"):
        labels = table.used(split)["label"]
        absent = [name for name in table.classes if name not in set(labels)]
        if absent:
            raise DataError(
                f"the {split} split has {len(labels)} faces, none of {', '.join(absent)}",
                "faces of every class in train and in validation",
                "lower data.folds (a larger validation split), or leave the class out",
            )
