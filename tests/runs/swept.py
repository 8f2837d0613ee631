"""Sweeps and searches in the test's own process, by a verb that trains nothing."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from facebias.runs.folder import open_run

# Runs the arguments of a command, and gives its exit code.
Command = Callable[..., int]


class IdleVerb:
    """Opens and closes run folders, fails where it is told to, and remembers what it was given.

    Attributes:
        configs: of its calls.
        fails: the error of a call, by its place among `configs`, from 1.
    """

    def __init__(self) -> None:
        self.fails: dict[int, BaseException] = {}
        self.configs: list[DictConfig] = []

    def __call__(self, config: DictConfig) -> Path:
        folder = Path(config.paths.run)
        self.configs.append(config)
        if config.dry_run:
            return folder
        with open_run(folder, config):
            if len(self.configs) in self.fails:
                raise self.fails[len(self.configs)]
        return folder

    def seeds(self) -> list[int]:
        """Return the seeds of the jobs that ran since this was last asked."""
        seeds = [config.seed for config in self.configs]
        self.configs.clear()
        return seeds


def swept_folder(name: str = "mine") -> Path:
    """Return the folder of a sweep or a search."""
    return Path("outputs/sweeps") / name
