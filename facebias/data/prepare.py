"""The way from a table to faces that are ready to load: store, leak gate, splits, composition."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from facebias.data.bag import DRAWS, bag_line, draw_bag, drawn_faces
from facebias.data.bias import Bias, compose
from facebias.data.cells import count_cells
from facebias.data.found_faces import BAD, FOUND, MISSES, NO_FACE, count_found
from facebias.data.images import FaceFormat
from facebias.data.label_noise import TRUE_LABEL, noise_line
from facebias.data.leakage import guard
from facebias.data.leaks import leaked_lines, write_leaks
from facebias.data.proof import (
    association,
    association_line,
    nested,
    normalisation_record,
    stages,
)
from facebias.data.remedy import WEIGHT, NoRemedy, Remedy
from facebias.data.split import draw_splits
from facebias.data.statistics import PixelStatistics, pixel_statistics
from facebias.data.store import FaceStore, open_store
from facebias.data.table import SPLITS, UNKNOWN, FaceTable
from facebias.errors import DataError
from facebias.files import whole_file, write_json

logger = logging.getLogger(__name__)

SPLIT_FILE = "split.parquet"
NORMALISATION_FILE, COMPOSITION_FILE = "normalisation.json", "composition.json"
UNLABELLED = "no label"
_REASONS = 3  # that a message names


@dataclass(frozen=True)
class PreparedFaces:
    """Faces that are split, composed and stored.

    Attributes:
        table: every face with its split and why it is left out; the column `row` is its row in
            the store, -1 where there is no image.
        store: the decoded faces.
        statistics: of the train split before the composition, so that twins share them.
        source_cells: the train split before the composition, label x joint group of the
            attributes of bias and remedy.
        bias: what composed the train split.
        remedy: what was done to it then.
        leaks: the pairs that the leak gate found; None if the faces did not pass it.
        detected: whether the faces were found in photos, and may be missed in some.
    """

    table: FaceTable
    store: FaceStore
    statistics: PixelStatistics
    source_cells: pd.DataFrame
    bias: Bias
    remedy: Remedy = field(default_factory=NoRemedy)
    leaks: pd.DataFrame | None = None
    detected: bool = False

    def rows(self, split: str) -> pd.DataFrame:
        """Return the used faces of a split, each once."""
        return self.table.used(split)

    def drawn(self) -> pd.DataFrame:
        """Return the train faces as often as each is drawn; without a bag that is once."""
        return drawn_faces(self.rows("train"))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have faces."""
        present = set(self.table.used()["split"].dropna())
        return tuple(split for split in SPLITS if split in present)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of the cells: those of the bias, and of the remedy."""
        return _attributes(self.bias, self.remedy)

    def cells(self) -> pd.DataFrame:
        """Count the train faces after bias, remedy and bag, in the shape of `source_cells`."""
        return count_cells(self.table, self.drawn(), self.attributes)

    def stages(self) -> dict[str, pd.DataFrame]:
        """Return the train cells before the bias, after it, after the remedy and after the bag."""
        return stages(self.table, self.source_cells, self.attributes)

    def says(self) -> list[str]:
        """Return what a reader of the results must know of the train faces."""
        rows = self.table.rows
        lines = (
            noise_line(rows),
            association_line(self.stages(), self.attributes),
            bag_line(rows),
        )
        leaked = [] if self.leaks is None else leaked_lines(self.leaks, rows)
        missed = _found_lines(self.table) if self.detected else []
        return missed + leaked + [line for line in lines if line is not None]

    def class_counts(self) -> list[int]:
        """Count the train faces of each class after the composition."""
        return [int(count) for count in self.cells().sum(axis=1)]

    def write(self, folder: Path) -> None:
        """Write what the run is trained on.

        `split.parquet` has every face, its split, and why it is left out where it is (of a bag:
        how often it is drawn);
        `composition.json` the cells before and after the bias and the remedy;
        `found.csv` and `misses.csv`, of faces that were found in photos, the shares by group and
        the photos without; `normalisation.json` the statistics of the train split before the
        bias; `leaks.csv` and `leaks.png` the pairs of faces that leak or contradict each other.

        Args:
            folder: of the run.
        """
        with whole_file(folder / SPLIT_FILE) as temporary:
            self.table.rows.to_parquet(temporary, index=False)
        write_json(folder / NORMALISATION_FILE, normalisation_record(self.statistics))
        cells = self.stages()
        record = {
            "variant": self.bias.variant,
            "attributes": self.attributes,
            "cells": {stage: nested(counts) for stage, counts in cells.items()},
            "cramers_v": association(cells),
            "says": self.says(),
        }
        write_json(folder / COMPOSITION_FILE, record)
        if self.detected:
            _write_found(folder, self.table)
        if self.leaks is not None:
            write_leaks(folder, self.leaks, self.table.rows, self.store.read)


def prepare_faces(
    table: FaceTable,
    bias: Bias,
    *,
    remedy: Remedy | None = None,
    face_format: FaceFormat,
    cache: Path | None,
    seed: int,
    folds: int,
    fold: int,
    stratify: tuple[str, ...] = (),
    bag: int | None = None,
    copies: str = "drop",
    statistics: str = "channel",
    max_bad: int = 20,
    trainable: bool = True,
) -> PreparedFaces:
    """Decode, check, split and compose the faces of a table.

    Args:
        table: as a reader returned it.
        bias: the composition of the train split.
        remedy: what is done to it then; None: nothing.
        face_format: height, width and channels of the stored faces.
        cache: folder of the stores; None decodes on every read.
        seed: the data seed.
        folds: number of parts of the train split.
        fold: the part that validates.
        stratify: attributes that the splits are stratified by, beside the label.
        bag: number of the bootstrap sample that is drawn of the train faces after bias and
            remedy; None: each face once.
        copies: "drop" leaves out what would leak, "error" stops, "report" warns and uses all,
            "leak" joins none of them either; see `facebias.data.leakage.guard`.
        statistics: "channel" or "pixel".
        max_bad: unreadable images, beyond which this stops.
        trainable: refuse what nobody could train on, see `hindrances`.

    Raises:
        DataError: if there are too many bad images, or a split lacks a class.
        CompositionError: if the faces do not suffice for the composition.
    """
    _refuse_own_columns(table)
    if trainable:
        _refuse(_unheard(table))
    table, store = store_faces(_without_unlabelled(table), face_format, cache, max_bad)
    table, leaks = guard(table, store, copies)
    table = draw_splits(table, folds=folds, fold=fold, stratify=stratify, seed=seed)
    if trainable:
        _refuse(_absent_classes(table))
    source = table.used("train")
    _refuse_nothing_to_learn(table, source)
    remedy = remedy or NoRemedy()
    source_cells = count_cells(table, source, _attributes(bias, remedy))
    table = remedy.apply(compose(table, bias, seed), seed)
    if bag is not None:
        table = draw_bag(table, seed, bag)
    rows = source["row"].to_numpy(np.int64)
    measured = pixel_statistics(store.read, rows, statistics)
    detected = face_format.finder is not None
    faces = PreparedFaces(table, store, measured, source_cells, bias, remedy, leaks, detected)
    for line in faces.says():
        loud = line.startswith("LEAK") or line == noise_line(table.rows)
        logger.log(logging.WARNING if loud else logging.INFO, "%s", line)
    return faces


def _photos(table: FaceTable) -> pd.DataFrame:
    """Return the rows that a finder looked at, with the `reason` of those without a face."""
    looked = table.rows[table.rows["row"] >= 0]
    without = (looked["left_out"] == NO_FACE) | looked["left_out"].str.startswith(f"{BAD}:")
    return looked.assign(reason=looked["left_out"].where(without, ""))


def _found_lines(table: FaceTable) -> list[str]:
    """Return how many faces were found, and for each attribute the group with the lowest share."""
    shares = count_found(_photos(table), table.attributes).dropna(subset="share")
    shares = shares[(shares["by"] != "split") & (shares["group"] != UNKNOWN)]
    lines = []
    for by, rows in shares.groupby("by", sort=False):
        lowest, highest = rows.loc[rows["share"].idxmin()], rows.loc[rows["share"].idxmax()]
        said = f"{lowest['found']:,} of {lowest['photos'] - lowest['bad']:,}"
        if by == "all":
            lines.append(f"faces were found in {said} photos ({lowest['share']:.1%}); {FOUND}")
        elif lowest["share"] < highest["share"]:
            lines.append(
                f"faces found by {by}: from {lowest['share']:.1%} ({lowest['group']}, {said}) to "
                f"{highest['share']:.1%} ({highest['group']}); who is missed is not in the set"
            )
    return lines


def _write_found(folder: Path, table: FaceTable) -> None:
    photos = _photos(table)
    names = ["source", "label", "split", *table.attributes, "reason"]
    missed = photos.loc[photos["reason"] != "", names].rename(columns={"source": "photo"})
    for name, rows in ((FOUND, count_found(photos, table.attributes)), (MISSES, missed)):
        with whole_file(folder / name) as temporary:
            rows.to_csv(temporary, index=False)


def _attributes(bias: Bias, remedy: Remedy) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*bias.attributes, *remedy.attributes)))


def _refuse_own_columns(table: FaceTable) -> None:
    """Refuse columns that bias and remedy write: a face's weight would come from the data."""
    own = (TRUE_LABEL, WEIGHT, DRAWS)
    taken = [name for name in own if name in table.rows]
    if taken:
        raise DataError(
            f"the faces have a column {', '.join(taken)}",
            f"other names than {', '.join(own)}, which bias, remedy and bag write",
            "rename it, and give its column in the reader's configuration",
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
        raise _no_faces(table)
    sources = [table.root / source for source in used["source"]]
    boxes = table.boxes(used)
    if face_format.finder is not None and any(box is not None for box in boxes or ()):
        raise DataError(
            f"the faces of {table.root} have boxes, and data.crop is detect",
            "one source of boxes",
            "give data.crop=null to cut by the reader's boxes, or read the photos without them",
        )
    store = open_store(sources, face_format, folder=cache, boxes=boxes, max_bad=max_bad)
    rows = table.rows.assign(row=-1)
    rows.loc[used.index, "row"] = np.arange(len(used))
    for row, reason in store.bad.items():
        rows.loc[used.index[row], "left_out"] = reason if reason == NO_FACE else f"{BAD}: {reason}"
    if list(store.bad.values()).count(NO_FACE) == len(used):
        raise DataError(
            f"no face was found in the {len(used):,} photos of {table.root}",
            "photos of faces that take up a good part of them, upright",
            "look at the photos, or give data.crop=null if they are faces already",
        )
    return table.with_rows(rows), store


def _no_faces(table: FaceTable) -> DataError:
    """Return the error of a table that has no face to use, with the reasons why."""
    reasons = table.rows["left_out"].value_counts().head(_REASONS)
    said = "; ".join(f"{count:,}: {reason}" for reason, count in reasons.items())
    unlabelled = (table.rows["left_out"] == UNLABELLED).any()
    return DataError(
        f"{table.root} has no face that can be used" + (f": left out {said}" if said else ""),
        f"faces with a label, one of {', '.join(table.classes)}" if unlabelled else "faces",
        "put the images in folders of their classes, or name the column of the labels with "
        "data.reader.columns: {label: COLUMN}"
        if unlabelled
        else "check data.root, and what the reader's configuration names",
    )


def hindrances(table: FaceTable) -> list[DataError]:
    """Return why nobody could train on faces that are split: errors that a training would raise."""
    return [*_unheard(table), *_absent_classes(table)]


def _refuse(errors: Iterable[DataError]) -> None:
    for error in errors:
        raise error


def _unheard(table: FaceTable) -> Iterator[DataError]:
    """Yield errors of one class, and of attributes of which nothing is known; say what is not."""
    if len(table.classes) < 2:
        yield DataError(
            f"the data set has the classes {', '.join(table.classes) or 'none'}",
            "two classes or more, to tell apart",
            "name them in data.reader.classes",
        )
    for attribute in table.attributes:
        unknown = int((table.used()[attribute] == UNKNOWN).sum())
        if unknown == len(table.used()):
            yield DataError(
                f"nobody says the {attribute} of any face in {table.root}",
                f"a CSV file with a column that names the image and a column {attribute!r}",
                "check the file's columns and lines, name them in data.reader.columns, or take "
                f"{attribute} out of data.reader.attributes",
            )
        elif unknown:
            logger.warning("%s: %s of %s unknown", attribute, unknown, len(table.used()))


def _without_unlabelled(table: FaceTable) -> FaceTable:
    """Leave out the faces that nobody has labelled: there is nothing to learn or score."""
    rows = table.rows.copy()
    rows.loc[rows["label"].isna() & (rows["left_out"] == ""), "left_out"] = UNLABELLED
    return table.with_rows(rows)


def _refuse_nothing_to_learn(table: FaceTable, source: pd.DataFrame) -> None:
    if source.empty:
        reasons = table.rows["left_out"][table.rows["left_out"] != ""]
        why = f": {len(reasons)} left out, the first as {reasons.iloc[0]}" if len(reasons) else ""
        raise DataError(
            f"no face of {table.root} is left to train on{why}",
            "faces that can be used, three or more where test and validation are drawn from them",
            "check data.root, and the splits that the reader gives",
        )


def _absent_classes(table: FaceTable) -> Iterator[DataError]:
    """Yield errors of a split to learn from, or to choose by, without one of the classes."""
    for split in ("train", "validation"):
        labels = table.used(split)["label"]
        absent = [name for name in table.classes if name not in set(labels)]
        if absent:
            yield DataError(
                f"the {split} split has {len(labels)} faces, none of {', '.join(absent)}",
                "faces of every class in train and in validation",
                "lower data.folds (a larger validation split), or leave the class out",
            )
