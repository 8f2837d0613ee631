"""Hydra's door to facebias.runs.search; Hydra takes plugins from this namespace only."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins.facebias_sweeper import PlannedSweeper


@dataclass
class SearchSweeperConf:
    """The node `hydra.sweeper` of a search."""

    _target_: str = "hydra_plugins.facebias_search.SearchSweeper"
    params: dict[str, str] = field(default_factory=dict)
    trials: int = 20  # in all; a later start may raise it
    sampler: str = "tpe"  # or random
    seed: int = 0  # of the sampler


ConfigStore.instance().store(
    group="hydra/sweeper", name="search", node=SearchSweeperConf, provider="facebias"
)


class SearchSweeper(PlannedSweeper):
    """Searches for the values that validate best, with Optuna.

    Args:
        params: overrides by key, added before those of the command line.
        trials: how many sets of values are tried in all.
        sampler: "tpe" or "random".
        seed: of the sampler.
    """

    def __init__(self, params: dict[str, str], trials: int, sampler: str, seed: int) -> None:
        super().__init__(params)
        self.options: dict[str, Any] = {"trials": trials, "sampler": sampler, "seed": seed}

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials of a command line.

        Args:
            arguments: overrides; those with several values span the space.
        """
        from facebias.runs.search.plan import SearchOptions
        from facebias.runs.search.start import run_search

        context, master, task = self.given
        parser = OverridesParser.create(config_loader=context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        run_search(context, master, task, overrides, SearchOptions(**self.options))
