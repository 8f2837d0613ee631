"""Put finished runs beside each other on one page: what their differences support.

python -m facebias.compare 'runs=[FOLDER,FOLDER,FOLDER]'
python -m facebias.compare sweep=NAME_OR_FOLDER
"""

from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Compare


def compare(config: DictConfig) -> Path:
    """Compare runs from a checked configuration.

    Args:
        config: `facebias.schemas.Compare`, as `facebias.config.check` returns it.

    Returns:
        The output folder.

    Raises:
        FacebiasError: for runs, faces or folders that do not fit.
    """
    from facebias.report.compare import print_comparison, write_comparison
    from facebias.runs.finished import find_runs
    from facebias.runs.folder import open_run
    from facebias.runs.trained import load_runs

    folder = Path(config.paths.run)
    runs = load_runs(find_runs(config.runs, config.sweep, Path(config.paths.outputs)))
    with open_run(folder, config):
        said = write_comparison(runs, config, folder)
    print_comparison(said, folder)
    return folder


if __name__ == "__main__":
    run_verb("compare", Compare, compare)
