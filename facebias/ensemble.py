"""Let finished runs vote: an ensemble, made of their predictions alone.

python -m facebias.ensemble 'runs=[FOLDER,FOLDER,FOLDER]' vote=soft
"""

from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Ensemble


def ensemble(config: DictConfig) -> Path:
    """Combine finished runs from a checked configuration.

    Args:
        config: `facebias.schemas.Ensemble`, as `facebias.config.check` returns it.

    Returns:
        The output folder, with the tables, pictures and page of a run.

    Raises:
        FacebiasError: for runs or folders that do not fit.
    """
    from facebias.report.ensemble import print_members, write_members
    from facebias.report.groups import measure_splits, write_flips, write_group_reports
    from facebias.report.pages import write_run_report
    from facebias.report.summary import print_summary
    from facebias.runs.ensembles import combine_runs, write_combined
    from facebias.runs.finished import find_runs
    from facebias.runs.folder import open_run
    from facebias.runs.trained import load_runs, shared_attributes

    folder, settings = Path(config.paths.run), config.fairness
    found = find_runs(config.runs, config.sweep, Path(config.paths.outputs))
    runs = load_runs(found, "combine")
    bootstrap = {"replicates": settings.replicates, "seed": settings.seed}
    with open_run(folder, config):
        predictions = combine_runs(runs, config.vote, config.name)
        write_combined(runs, predictions, folder)
        classes, splits = runs[0].classes, predictions["split"].unique()
        attributes = shared_attributes(runs)
        reports = measure_splits(predictions, splits, classes, attributes, **settings)
        write_group_reports(reports, folder)
        write_flips(predictions, classes, folder, **bootstrap)
        write_members(runs, predictions, folder, vote=config.vote, **bootstrap)
        write_run_report(folder)
    print_members(folder)
    print_summary(folder)
    return folder


if __name__ == "__main__":
    run_verb("ensemble", Ensemble, ensemble)
