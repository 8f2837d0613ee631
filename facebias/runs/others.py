"""Faces that a run has not seen, read the way its own were."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from facebias.data.bias import AllFaces
from facebias.data.datamodule import FaceDataModule
from facebias.data.prepare import PreparedFaces, store_faces
from facebias.data.readers.folders import read_class_folders
from facebias.data.readers.frames import column_names
from facebias.data.readers.generated import (
    TABLE,
    TARGETS,
    is_generated,
    read_generated_folder,
    target_for,
)
from facebias.data.readers.tables import read_table
from facebias.data.statistics import PixelStatistics
from facebias.data.table import UNKNOWN, FaceTable
from facebias.errors import DataError
from facebias.runs.assemble import face_format, run_constants

_CHECK = "check faces: a folder of images, of class folders or of generated faces, or a table"


def load_other_faces(config: DictConfig, trained: DictConfig) -> FaceDataModule:
    """Read and store the faces of a prediction; all of them count as test faces.

    Args:
        config: a checked `facebias.schemas.Predict`.
        trained: the run's configuration: classes, attributes and size of the faces.

    Raises:
        DataError: if the faces do not fit the run.
    """
    table = _read(config, trained)
    table = table.with_rows(table.rows.assign(split="test"))
    cache = Path(config.paths.cache).expanduser() if trained.data.store == "disk" else None
    form = face_format(trained)
    table, store = store_faces(table, form, cache, config.max_bad)
    nothing = PixelStatistics(np.zeros(0, np.float32), np.zeros(0, np.float32))
    bias = AllFaces(trained.bias.variant)
    detected = form.finder is not None
    faces = PreparedFaces(table, store, nothing, table.cells("train"), bias, detected=detected)
    return FaceDataModule(
        faces,
        augmentation=None,
        batch_size=config.batch_size,
        workers=0,
        seed=0,
        evaluated=faces.splits,
        constants=run_constants(trained),
    )


def _read(config: DictConfig, trained: DictConfig) -> FaceTable:
    """Read a folder or a table, with those of the run's attributes that it knows."""
    faces = Path(config.faces).expanduser()
    classes = list(trained.data.reader.classes)
    asked = _groups(config.attributes)
    of_run = _declared(trained)
    attributes = asked or of_run
    label_map, columns = dict(config.label_map or {}), dict(config.columns or {})
    provenance = config.provenance
    if is_generated(faces):
        table = _read_generated(faces, trained, asked)
    elif faces.is_dir():
        names = {"label_map": label_map, "columns": columns, "provenance": provenance}
        try:
            table = read_class_folders(str(faces), classes, attributes, **names)
        except DataError as error:
            if "data.root" not in error.todo:
                raise
            raise DataError(error.found, error.expected, _CHECK) from error  # keys of a training
    elif faces.is_file():
        attributes = asked or _in_table(of_run, faces, columns)
        place = (str(faces), str(faces.parent))
        table = read_table(*place, classes, attributes, label_map, columns, provenance)
    else:
        raise DataError(
            f"there is nothing at {faces}",
            "a folder of images, of class folders or of generated faces, or a CSV or Parquet table",
            "give faces=FOLDER_OR_TABLE",
        )
    return table if asked else _without_unheard(table)


def _read_generated(
    faces: Path, trained: DictConfig, asked: Mapping[str, Sequence[str]]
) -> FaceTable:
    """Read generated faces, labelled by what the run has learned to tell."""
    reader = trained.data.reader
    classes, table = list(reader.classes), faces / TABLE
    of_run = _in_table(_declared(trained), table, {}) if table.is_file() else {}
    own = reader.get("target")  # of other data sets: an attribute of theirs, such as Male
    target = own if own in TARGETS else target_for(classes)
    return read_generated_folder(faces, target, classes, asked or of_run)


def _in_table(
    attributes: Mapping[str, Sequence[str]], table: Path, columns: Mapping[str, str]
) -> Mapping[str, Sequence[str]]:
    """Return the attributes that a table has a column for."""
    there = column_names(table)
    return {name: each for name, each in attributes.items() if columns.get(name, name) in there}


def _declared(trained: DictConfig) -> Mapping[str, Sequence[str]]:
    """Return the attributes of a run's faces, with those of its side table."""
    data = trained.data
    return {**_groups(data.reader.attributes), **_groups(data.side_table.attributes)}


def _groups(attributes: DictConfig | None) -> Mapping[str, Sequence[str]]:
    return {str(name): list(groups) for name, groups in (attributes or {}).items()}


def _without_unheard(table: FaceTable) -> FaceTable:
    """Drop the run's attributes that these faces say nothing of."""
    known = {
        name: groups
        for name, groups in table.attributes.items()
        if (table.rows[name] != UNKNOWN).any()
    }
    dropped = [name for name in table.attributes if name not in known]
    return replace(table, rows=table.rows.drop(columns=dropped), attributes=known)
