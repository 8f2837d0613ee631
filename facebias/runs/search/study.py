"""The trials of a search in Optuna's study on disk: asked one by one, told when they have run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import OptunaError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from facebias.errors import RunError
from facebias.runs.search.space import Choice, Dimension

STUDY = "study.db"
RUNNING, DONE, FAILED = "running", "done", "failed"
_STATES = {TrialState.RUNNING: RUNNING, TrialState.COMPLETE: DONE, TrialState.FAIL: FAILED}
_NUMBER = "trial"  # a trial that is tried again is a new one to Optuna; its number here stays


@dataclass(frozen=True)
class Trial:
    """A set of values that is tried.

    Attributes:
        number: from 0; one that is tried again keeps it.
        values: of the dimensions, as they stand in overrides.
        state: running (asked, and not told yet), done or failed.
        value: of the objective; None unless it is done.
    """

    number: int
    values: tuple[str, ...]
    state: str
    value: float | None


class SearchStudy:
    """A study in the folder of a search.

    What is asked next is a function of the sampler's seed, the trial's number and the trials that
    were told, so a search that was killed goes on as if it had not been.

    Args:
        folder: of the search.
        minimize: whether less of the objective is better.
        dimensions: what is searched.
        sampler: "tpe" (Bergstra et al. 2011, NeurIPS 24) or "random".
        seed: of the sampler.

    Raises:
        RunError: if the study cannot be read or written; so do all methods.
    """

    def __init__(
        self,
        folder: Path,
        minimize: bool,
        dimensions: Sequence[Dimension],
        sampler: str,
        seed: int,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._file = folder / STUDY
        self._direction = StudyDirection.MINIMIZE if minimize else StudyDirection.MAXIMIZE
        self._sampler, self._seed = sampler, seed
        self._distributions = {each.key: _distribution(each) for each in dimensions}
        with self._told_plainly():
            self._study = optuna.create_study(
                storage=f"sqlite:///{self._file}",
                study_name="search",
                direction=self._direction,
                load_if_exists=True,
            )

    def trials(self) -> list[Trial]:
        """Return all trials, as they stand now, by number."""
        return [self._trial(entry) for _, entry in sorted(self._entries().items())]

    def ask(self) -> Trial:
        """Return a new trial, which is in the study from then on."""
        number = len(self._entries())
        with self._told_plainly():
            # Asked of a copy, so that the trial is written as a whole or not at all.
            copy = optuna.create_study(
                direction=self._direction, sampler=_sampler(self._sampler, self._seed, number)
            )
            copy.add_trials(self._study.get_trials(deepcopy=False))
            return self._added(number, copy.ask(self._distributions).params)

    def ask_again(self, trial: Trial) -> Trial:
        """Return a trial that has failed as one that runs again."""
        return self._added(trial.number, self._entries()[trial.number].params)

    def tell(self, trial: Trial, value: float | None) -> Trial:
        """Note what came of a trial.

        Args:
            trial: that was asked.
            value: of the objective; None if it has failed.
        """
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        with self._told_plainly():
            self._study.tell(self._entries()[trial.number].number, value, state=state)
        return self._trial(self._entries()[trial.number])

    def _entries(self) -> dict[int, FrozenTrial]:
        """Return Optuna's trials by our number, of each the latest."""
        with self._told_plainly():
            entries = self._study.get_trials(deepcopy=False)
        return {entry.user_attrs[_NUMBER]: entry for entry in entries}

    def _added(self, number: int, params: dict[str, Any]) -> Trial:
        entry = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=self._distributions,
            user_attrs={_NUMBER: number},
        )
        with self._told_plainly():
            self._study.add_trial(entry)
        return self._trial(entry)

    def _trial(self, entry: FrozenTrial) -> Trial:
        values = tuple(str(entry.params[key]) for key in self._distributions)
        return Trial(entry.user_attrs[_NUMBER], values, _STATES[entry.state], entry.value)

    @contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except (OptunaError, SQLAlchemyError) as error:
            raise RunError(
                f"{self._file} cannot be used: {str(error).partition(chr(10))[0]}",
                "the study of a search, on a disk with free space",
                "free some space and give the same command again, or choose another sweep=NAME",
            ) from error


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    low, high, log = dimension.low, dimension.high, dimension.log
    if dimension.step is None:
        return FloatDistribution(low, high, log=log)
    return IntDistribution(int(low), int(high), log=log, step=dimension.step)


def _sampler(name: str, seed: int, number: int) -> BaseSampler:
    """Return a sampler for one trial: one that has drawn before a kill could not draw on after."""
    own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    return RandomSampler(own) if name == "random" else TPESampler(seed=own, constant_liar=True)
