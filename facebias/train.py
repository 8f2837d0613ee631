"""Train a network on (biased) faces, measure it by group, show where it looks.

python -m facebias.train +experiment=emotions_cnn3 data.root=FOLDER
"""

from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Train


def train(config: DictConfig) -> Path:
    """Run one training from a checked configuration.

    Args:
        config: `facebias.schemas.Train`, as `facebias.config.check` returns it.

    Returns:
        The run folder.

    Raises:
        FacebiasError: for data, models or folders that do not fit.
    """
    from facebias.runs.ranks.processes import node_of, processes, refuse_small_batch

    refuse_small_batch(config)
    folder, several = Path(config.paths.run), processes(config) > 1
    if config.dry_run:
        _plan(config)
    elif node_of(config).number > 0:  # another machine's process has the run folder
        _help(config)
    else:
        _run(config, folder, several)
    return folder


def _plan(config: DictConfig) -> None:
    from facebias.runs.plan import print_plan

    print_plan(config)


def _help(config: DictConfig) -> None:
    import torch

    from facebias.runs.ranks.start import help_in_ranks
    from facebias.runs.sweeps.shares import use_threads

    use_threads(config)
    help_in_ranks(config, torch.get_num_threads())


def _run(config: DictConfig, folder: Path, several: bool) -> None:
    from facebias.report.summary import print_summary
    from facebias.runs.folder import open_run
    from facebias.runs.resume import drop_unfinished, recorded_threads
    from facebias.runs.sweeps.shares import use_threads

    use_threads(config)
    with open_run(folder, config):
        drop_unfinished(folder)
        if several:
            from facebias.runs.ranks.start import train_in_ranks

            train_in_ranks(config, folder, recorded_threads(folder))
        else:
            from facebias.runs.training import train_in_process

            train_in_process(config, folder)
    print_summary(folder)


if __name__ == "__main__":
    run_verb("train", Train, train)
