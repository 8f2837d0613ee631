"""From a few words to a folder of faces: draw a population, add twins, render, write."""

from collections.abc import Sequence
from pathlib import Path

from facebias.errors import DataError
from facebias.faces.counterfactuals import with_counterfactuals
from facebias.faces.population import draw_faces
from facebias.faces.writer import write_faces


def generate_faces(
    folder: Path,
    *,
    n: int = 6000,
    size: int = 64,
    seed: int = 0,
    population: str = "crossed",
    equal_by: str = "expression",
    faces_per_identity: int = 4,
    supersampling: int = 2,
    factor: str | None = None,
    values: Sequence[float | str] = (),
    workers: int | None = None,
) -> int:
    """Generate a folder of faces, or go on with one that was left half done.

    Args:
        folder: a new or empty one, or one of the same faces.
        n: faces, before twins.
        size: pixels along a side, at least 1.
        seed: of people, labels, poses and light.
        population: crossed or realistic: see `facebias.faces.population.draw_faces`.
        equal_by: expression or valence, whichever is equally frequent.
        faces_per_identity: faces of each person.
        supersampling: samples along a pixel's side, at least 1.
        factor: each face gets twins that differ in this factor only; None: no twins.
        values: of the twins, in the factor's range and unit, or names.
        workers: processes, at least 1; None takes one a core.

    Returns:
        How many faces were rendered now; 0 where all of them were there already.

    Raises:
        DataError: for a wrong choice, or a folder that holds anything else.
        RunError: if the folder cannot be written to.
    """
    if values and factor is None:
        raise DataError(
            "values of twins are given without a factor",
            "a factor such as skin_ita",
            "name it, or leave the values out",
        )
    for name, found in (("size", size), ("supersampling", supersampling), ("workers", workers)):
        if found is not None and found < 1:
            raise DataError(f"{name} is {found}", "a number of at least 1")
    drawn = {"population": population, "equal_by": equal_by}
    faces = draw_faces(n, seed=seed, faces_per_identity=faces_per_identity, **drawn)
    plan = {"n": n, **drawn, "faces_per_identity": faces_per_identity, "data.seed": seed}
    if factor is not None:
        faces = with_counterfactuals(faces, factor, list(values))
        plan |= {"twins.factor": factor, "twins.values": list(values)}
    return write_faces(
        folder, faces, size=size, supersampling=supersampling, workers=workers, plan=plan
    )
