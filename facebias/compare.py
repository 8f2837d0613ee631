"""Put finished runs beside each other: the same faces, each model's answers and its maps.

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
    from facebias.report.comparison import (
        print_comparison,
        write_comparison,
        write_valence_differences,
    )
    from facebias.report.paired import print_paired, write_paired_differences
    from facebias.report.side_by_side import draw_maps
    from facebias.report.twin_reports import print_twins, write_twins
    from facebias.runs.finished import find_runs
    from facebias.runs.folder import open_run
    from facebias.runs.trained import load_runs

    folder = Path(config.paths.run)
    runs = load_runs(find_runs(config.runs, config.sweep, Path(config.paths.outputs)))
    with open_run(folder, config):
        draw_maps(
            runs,
            folder / "maps.png",
            per_label=config.faces_per_label,
            target=config.target,
            method=config.method,
            layer=config.layer,
            seed=config.seed,
        )
        table = write_comparison(runs, folder)
        write_valence_differences(runs, folder)
        paired = write_paired_differences(runs, folder)
        reports = write_twins(runs, folder)
    print_twins(reports)
    print_paired(paired)
    print_comparison(table, folder)
    return folder


if __name__ == "__main__":
    run_verb("compare", Compare, compare)
