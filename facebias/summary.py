"""Sum up the runs of a sweep: means, spread and intervals over seeds, and over folds.

python -m facebias.summary sweep=NAME_OR_FOLDER
"""

from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Summary


def summary(config: DictConfig) -> Path:
    """Sum up finished runs from a checked configuration.

    Args:
        config: `facebias.schemas.Summary`, as `facebias.config.check` returns it.

    Returns:
        The output folder.

    Raises:
        FacebiasError: for runs or folders that do not fit.
    """
    from facebias.report.folds import fold_table
    from facebias.report.run_summary import print_runs, write_summary
    from facebias.runs.finished import find_runs
    from facebias.runs.folder import open_run
    from facebias.runs.summary import read_finished, summarise

    folder = Path(config.paths.run)
    runs = read_finished(find_runs(config.runs, config.sweep, Path(config.paths.outputs)))
    table, folds = summarise(runs), fold_table(runs)
    with open_run(folder, config):
        write_summary(runs, table, folds, folder)
    print_runs(table, folds, folder)
    return folder


if __name__ == "__main__":
    run_verb("summary", Summary, summary)
