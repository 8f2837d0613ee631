"""Where finished runs look on faces: maps, what they attend to by group, and pictures.

python -m facebias.cam 'runs=[FOLDER,FOLDER]' faces=test
"""

from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Cam


def explain(config: DictConfig) -> Path:
    """Explain runs from a checked configuration.

    Args:
        config: `facebias.schemas.Cam`, as `facebias.config.check` returns it.

    Returns:
        The output folder.

    Raises:
        FacebiasError: for runs, faces, classes, layers or folders that do not fit.
    """
    from facebias.report.cam import print_attention, write_cam
    from facebias.runs.explained import load_explained
    from facebias.runs.folder import open_run

    folder = Path(config.paths.run)
    runs, faces = load_explained(config)
    with open_run(folder, config):
        found = write_cam(config, runs, faces, folder)
    print_attention(found, folder)
    return folder


if __name__ == "__main__":
    run_verb("cam", Cam, explain)
