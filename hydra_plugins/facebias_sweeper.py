"""Hydra's door to facebias.runs.sweeps; Hydra takes plugins from this namespace only."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from facebias.runs.sweeps.run import Task


@dataclass
class PlannedSweeperConf:
    """The node `hydra.sweeper` of a planned sweep."""

    _target_: str = "hydra_plugins.facebias_sweeper.PlannedSweeper"
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(
    group="hydra/sweeper", name="planned", node=PlannedSweeperConf, provider="facebias"
)


class PlannedSweeper(BasicSweeper):
    """Hydra's basic sweeper, whose jobs are planned, checked and taken up again by facebias.

    Args:
        params: overrides by key, added before those of the command line.
    """

    def __init__(self, params: dict[str, str]) -> None:
        super().__init__(max_batch_size=None, params=params)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra gives; the launcher is made when it is known what to launch."""
        self.given = hydra_context, config, cast("Task", task_function)

    def sweep(self, arguments: list[str]) -> None:
        """Run the jobs of a command line.

        Args:
            arguments: overrides, those with several values too.
        """
        from facebias.runs.sweeps.run import run_sweep

        context, master, task = self.given
        parser = OverridesParser.create(config_loader=context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (jobs,) = self.split_arguments(overrides, None)
        run_sweep(context, master, task, jobs)
