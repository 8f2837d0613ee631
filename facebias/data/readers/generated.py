"""Generated faces, whose causes are known: a folder, or a set that is rendered on first use.

    root/faces.json               what was asked for
    root/faces.parquet            a row a face: what it shows, who it is, where its images lie
    root/images/000000.png        the face
    root/regions/000000.png       which part of the face each pixel belongs to, for 50 faces

A folder of faces that differ in one cause (counterfactuals) has the columns `pair`, `pair_factor`
and `pair_value` beside: the face that each was made from, and what was changed to which value.
"""

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from facebias.data.locks import locked
from facebias.data.predictions import PAIR
from facebias.data.table import COLUMNS, UNKNOWN, FaceTable
from facebias.errors import DataError

logger = logging.getLogger(__name__)

PLAN, TABLE = "faces.json", "faces.parquet"
PROVENANCE = "set by the generator"
TARGETS = ("valence", "expression", "gender")

# What the table keeps of a face, where its folder says it.
_KEPT = ("expression", "valence", "regions", "regions_top", *PAIR)
_TIMED = 3  # faces rendered for an estimate of the time


def read_generated_faces(
    root: str | None = None,
    cache: str | None = None,
    n: int = 6000,
    size: int = 64,
    seed: int = 0,
    population: str = "crossed",
    equal_by: str = "valence",
    faces_per_identity: int = 4,
    target: str = "valence",
    classes: Sequence[str] = ("negative", "neutral", "positive"),
    attributes: Mapping[str, Sequence[str]] | None = None,
    provenance: str = PROVENANCE,
) -> FaceTable:
    """Read generated faces for a training: a folder, or a set rendered into the cache on first use.

    A folder whose images have another size, or that holds counterfactual twins, is warned of.

    Args:
        root: folder that `python -m facebias.faces` wrote; None: below `cache`, and the arguments
            from `n` to `faces_per_identity` say which faces.
        cache: folder of the sets that are rendered on first use.
        n: faces.
        size: side of the images, pixels; those of a folder are resampled to it.
        seed: of the population.
        population: crossed or realistic.
        equal_by: expression or valence: what all labels of are equally frequent.
        faces_per_identity: faces of each person.
        target: what the label is: valence, expression or gender, which is then no attribute.
        classes: the labels, in the order of the model's outputs.
        attributes: for each attribute its groups; no groups declares those that are found.
        provenance: who said what the groups are.

    Raises:
        DataError: for a folder of something else, a target or an attribute that the faces do not
            have, or a label that is no class.
    """
    if root is None:
        drawn = {"n": n, "seed": seed, "population": population, "equal_by": equal_by}
        drawn["faces_per_identity"] = faces_per_identity
        folder = _rendered(Path(cache or "."), size, drawn)
    else:
        folder = Path(root).expanduser()
    table = read_generated_folder(folder, target, classes, attributes, provenance)
    if root is not None:
        _warn_of_size(folder, size)
        _warn_of_twins(table)
    return table


def read_generated_folder(
    folder: Path,
    target: str,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]] | None = None,
    provenance: str = PROVENANCE,
) -> FaceTable:
    """Read a folder of generated faces.

    The identity is the person, so that no split parts two faces of one. The columns `expression`,
    `valence`, `regions`, `regions_top` and those of pairs are kept beside those of every FaceTable.

    Args:
        folder: that `python -m facebias.faces` wrote.
        target: as for `read_generated_faces`, and so are the others.
        classes: the labels, in the order of the model's outputs.
        attributes: for each attribute its groups; no groups declares those that are found.
        provenance: who said what the groups are.

    Raises:
        DataError: as `read_generated_faces` does.
    """
    faces = _read(folder)
    _refuse_other_target(faces, target, classes)
    asked = {name: groups for name, groups in (attributes or {}).items() if name != target}
    faces = faces.assign(**{name: _groups(faces, name, folder) for name in asked})
    declared = {
        name: tuple(groups) or tuple(sorted(set(faces[name]) - {UNKNOWN}))
        for name, groups in asked.items()
    }
    return FaceTable(_rows(faces, target, declared), folder, tuple(classes), declared, provenance)


def is_generated(folder: Path) -> bool:
    """Say whether a folder is one of generated faces, finished or not."""
    return (folder / PLAN).is_file()


def target_for(classes: Sequence[str]) -> str:
    """Return the target by which generated faces are labelled for a model of these classes."""
    if set(classes) <= {"female", "male"}:
        return "gender"
    return "valence" if set(classes) <= {"negative", "neutral", "positive"} else "expression"


def _warn_of_size(folder: Path, size: int) -> None:
    """Say that images are resampled, and from which size to which."""
    from facebias.faces.writer import size_of

    found = size_of(folder)
    if found != size:
        logger.warning(
            "the faces in %s have %sx%s pixels and are resampled to %sx%s; data.height=%s takes "
            "them as they are",
            *(folder, found, found, size, size, found),
        )


def _warn_of_twins(table: FaceTable) -> None:
    """Say how many faces are other faces with one cause changed: they are no draws of their own."""
    twins = int((table.rows["pair"] != table.rows["id"]).sum()) if "pair" in table.rows else 0
    if twins:
        logger.warning(
            "%s of the %s faces in %s are counterfactual twins of others; each stays in the split "
            "of its original's person",
            *(f"{twins:,}", f"{len(table.rows):,}", table.root),
        )


def _rows(faces: pd.DataFrame, target: str, attributes: Iterable[str]) -> pd.DataFrame:
    """Return the rows of a FaceTable: the reserved columns, the groups, and what is kept beside."""
    nothing = pd.Series(None, index=faces.index, dtype=object)
    rows = faces.assign(label=faces[target], split=nothing, left_out="")
    kept = [name for name in _KEPT if name in faces]
    return rows[list(dict.fromkeys([*COLUMNS, *attributes, *kept]))]


def _rendered(cache: Path, size: int, population: Mapping[str, Any]) -> Path:
    """Return the folder of a set, rendered by the first process that asks for it."""
    folder = cache.expanduser() / "faces" / _name(size, **population)
    if (folder / TABLE).is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock"), "generates these faces"):
            if not (folder / TABLE).is_file():
                _generate(folder, size, population)
    except OSError as error:
        raise DataError(
            f"faces cannot be written in {folder.parent}: {error}",
            "a cache folder that can be written",
            "choose another with paths.cache=FOLDER, or give a folder of faces with data.root",
        ) from error
    return folder


def _name(
    size: int, *, n: int, seed: int, population: str, equal_by: str, faces_per_identity: int
) -> str:
    """Return a folder's name that differs wherever the faces would."""
    from facebias.faces.writer import GENERATOR

    drawn = f"{population}_{equal_by}_{faces_per_identity}each_seed{seed}"
    return f"n{n}_{size}px_{drawn}_v{GENERATOR}"


def _generate(folder: Path, size: int, population: Mapping[str, Any]) -> None:
    """Have a population rendered, after saying how much that is."""
    from facebias.faces.generate import generate_faces

    logger.info(
        "generating %s faces of %s pixels, once, in about %.0f seconds: %s",
        f"{population['n']:,}",
        size,
        _seconds(size, population),
        folder,
    )
    generate_faces(folder, size=size, **population)


def _seconds(size: int, population: Mapping[str, Any]) -> float:
    """Render a few faces, and scale the time to all of them on every core."""
    from facebias.faces.population import draw_faces, factors_of
    from facebias.faces.render import render_face

    faces = draw_faces(**{**population, "n": _TIMED}).to_dict("records")
    few = [factors_of(row) for row in faces]
    render_face(few[0], size, 2)  # the first one compiles
    start = time.perf_counter()
    for factors in few:
        render_face(factors, size, 2)
    each = (time.perf_counter() - start) / len(few)
    return each * int(population["n"]) / (os.cpu_count() or 1)


def _read(folder: Path) -> pd.DataFrame:
    """Read the table of a folder; what cannot be compared is refused before anything is."""
    from facebias.faces.writer import read_faces

    faces = read_faces(folder)
    missing = [name for name in PAIR if name not in faces]
    if 0 < len(missing) < len(PAIR):
        raise DataError(
            f"{folder / TABLE} lacks {', '.join(missing)} of its pairs",
            f"{', '.join(PAIR)} of counterfactual faces, or none of them",
            "write the faces again with python -m facebias.faces",
        )
    return faces


def _groups(faces: pd.DataFrame, attribute: str, folder: Path) -> pd.Series:
    """Return the groups of an attribute as text."""
    if attribute not in faces:
        raise DataError(
            f"{folder / TABLE} has no column {attribute!r}",
            f"an attribute of generated faces: {', '.join(map(str, faces.columns))}",
            "correct data.reader.attributes",
        )
    found = faces[attribute]
    return found.astype(object).where(found.notna(), UNKNOWN).astype(str)


def _refuse_other_target(faces: pd.DataFrame, target: str, classes: Sequence[str]) -> None:
    """Refuse classes that are not those of the target."""
    labels = sorted(set(faces[target].dropna())) if target in TARGETS else []
    if target not in TARGETS or not set(labels) <= set(classes):
        raise DataError(
            f"data.reader.target={target} with the classes {', '.join(classes)}",
            f"the labels that the faces have: {', '.join(labels)}"
            if labels
            else f"one of {', '.join(TARGETS)}",
            "change data.reader.target and data.reader.classes together",
        )
