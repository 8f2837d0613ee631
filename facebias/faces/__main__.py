"""Generate faces whose every cause is known.

python -m facebias.faces n=6000 size=64 population=crossed out=FOLDER
"""

import time
from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Faces


def generate(config: DictConfig) -> Path:
    """Write a folder of faces from a checked configuration.

    Args:
        config: `facebias.schemas.Faces`, as `facebias.config.check` returns it.

    Returns:
        The folder.

    Raises:
        FacebiasError: for twins that cannot be, or a folder that does not fit.
    """
    from facebias.faces.generate import generate_faces
    from facebias.faces.writer import SHEET, read_faces

    begin, folder = time.monotonic(), Path(config.out).expanduser()
    names = ("n", "size", "population", "equal_by", "faces_per_identity", "supersampling")
    rendered = generate_faces(
        folder,
        **{name: config[name] for name in names},
        seed=config.data.seed,
        factor=config.twins.factor,
        values=list(config.twins["values"]),
        workers=config.workers,
    )
    faces = f"{len(read_faces(folder)):,} faces"
    took = f"{rendered:,} rendered now, in {time.monotonic() - begin:.0f} s"
    print(f"{faces}, {took if rendered else 'already there'}: {folder}")
    print(f"The sheet: {folder / SHEET}")
    return folder


if __name__ == "__main__":
    run_verb("faces", Faces, generate)
