"""What a search varies, in Hydra's grammar: dimensions, repeats, and what stays fixed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep

from facebias.errors import ConfigError

# Several values of these are repeats of a trial, whose mean counts.
REPEATS = ("seed", "fold")
_NO_TEST = "test=false"


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes:
        key: of the override, with its `+` where it has one.
        values: as they stand in overrides; sorted, for their order says nothing.
    """

    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        """Return the values, separated by commas."""
        return ",".join(self.values)


@dataclass(frozen=True)
class Numbers:
    """A number between two others, which belong to it.

    Attributes:
        key: of the override, with its `+` where it has one.
        low: the smallest.
        high: the largest.
        step: between whole numbers; None for any number.
        log: whether factors are even, not differences.
    """

    key: str
    low: float
    high: float
    step: int | None
    log: bool

    @property
    def values(self) -> tuple[str, ...]:
        """The ends, as they stand in overrides."""
        return (str(self.low), str(self.high))

    def __str__(self) -> str:
        """Return ends, step and scale."""
        step = "" if self.step is None else f" in steps of {self.step}"
        return f"{self.low} to {self.high}{step}{', log' if self.log else ''}"


Dimension = Choice | Numbers


@dataclass(frozen=True)
class Space:
    """What a search varies.

    Attributes:
        fixed: overrides of every trial.
        dimensions: what is searched.
        repeats: overrides of each run of a trial; one empty set where it runs once.
    """

    fixed: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    repeats: tuple[tuple[str, ...], ...]

    def overrides(self, values: Sequence[str], repeat: Sequence[str]) -> list[str]:
        """Return the overrides of a run; it never scores test faces.

        Args:
            values: of the dimensions, in their order.
            repeat: one of the repeats.
        """
        return [*self.fixed, *self.named(values), *repeat, _NO_TEST]

    def shared(self) -> frozenset[str]:
        """Return the overrides that all runs have."""
        return frozenset((*self.fixed, _NO_TEST))

    def named(self, values: Sequence[str]) -> list[str]:
        """Return the values of the dimensions, in their order, as overrides."""
        return [f"{d.key}={value}" for d, value in zip(self.dimensions, values, strict=True)]

    def corners(self) -> Iterator[list[str]]:
        """Yield overrides in which each choice, end and repeat comes once, the others first."""
        first = [dimension.values[0] for dimension in self.dimensions]
        yield self.overrides(first, self.repeats[0])
        for place, dimension in enumerate(self.dimensions):
            for value in dict.fromkeys(dimension.values[1:]):
                values = [*first[:place], value, *first[place + 1 :]]
                yield self.overrides(values, self.repeats[0])
        for repeat in self.repeats[1:]:
            yield self.overrides(first, repeat)


def read_space(overrides: Sequence[Override]) -> Space:
    """Return what a command line asks to search.

    `interval` is any number, `range` and `int(interval)` whole numbers, each by factors with
    `tag(log, ...)`; `a,b`, `choice` and `glob` are choices. Several values of `seed` and `fold` are
    repeats.

    Args:
        overrides: of the command line; the last of a key counts.

    Raises:
        ConfigError: if nothing is to be searched, a dimension is not understood, or test faces
            would be scored.
    """
    given = {override.get_key_element(): override for override in overrides}
    repeats, fixed, dimensions = [], [], []
    for override in given.values():
        if override.key_or_group == "test":
            _refuse_test(override)
        elif not override.is_sweep_override():
            fixed.append(override)
        elif override.key_or_group in REPEATS:
            repeats.append(_repeat(override))
        else:
            dimensions.append(_dimension(override))
    if not dimensions:
        raise ConfigError(
            "no key has several values to search",
            "KEY=a,b, 'KEY=interval(LOW, HIGH)' or 'KEY=range(LOW, END)'",
            "add one; to run every value of seed or fold, leave hydra/sweeper=search out",
        )
    (base,) = BasicSweeper.split_arguments(fixed, None)[0]
    (runs,) = BasicSweeper.split_arguments(repeats, None)
    return Space(tuple(base), tuple(dimensions), tuple(map(tuple, runs)))


def _refuse_test(override: Override) -> None:
    if override.is_sweep_override() or override.value() is not False:
        raise ConfigError(
            f"{override.input_line} in a search",
            "test=false: what is searched by test scores has no test left",
            "leave it out, and train once with the best values and test=true afterwards",
        )


def _repeat(override: Override) -> Override:
    if not override.is_discrete_sweep():
        raise _not_understood(override, "values of a repeat, such as seed=0,1,2")
    return override


def _dimension(override: Override) -> Dimension:
    key, sweep = override.get_key_element(), override.value()
    tags = sweep.tags if isinstance(sweep, Sweep) else set()
    number = isinstance(sweep, IntervalSweep | RangeSweep)
    if tags - ({"log"} if number else set()):
        raise _not_understood(override, "no tag but log, of an interval or a range")
    if isinstance(sweep, IntervalSweep):
        return _interval(override, sweep)
    if isinstance(sweep, RangeSweep):
        return _range(override, sweep)
    values = sorted(override.sweep_string_iterator())
    if len(set(values)) < len(values) or not values:
        raise _not_understood(override, "values that differ")
    return Choice(key, tuple(values))


def _interval(override: Override, sweep: IntervalSweep) -> Numbers:
    low, high = sweep.start, sweep.end
    log = "log" in sweep.tags
    if low is None or high is None or not (low < high and (low > 0 or not log)):
        raise _not_understood(override, f"LOW < HIGH{', and LOW above 0 with log' if log else ''}")
    step = 1 if isinstance(low, int) and isinstance(high, int) else None
    return Numbers(override.get_key_element(), low, high, step, log)


def _range(override: Override, sweep: RangeSweep) -> Numbers:
    values = sorted(sweep.range())
    log = "log" in sweep.tags
    if not all(isinstance(value, int) for value in values) or not values:
        raise _not_understood(override, "whole numbers; 'interval(LOW, HIGH)' takes any")
    step = abs(int(sweep.step))
    if log and (step > 1 or values[0] < 1):
        raise _not_understood(override, "with log, steps of 1 from 1 or more")
    return Numbers(override.get_key_element(), values[0], values[-1], step, log)


def _not_understood(override: Override, expected: str) -> ConfigError:
    return ConfigError(f"{override.input_line} cannot be searched", expected, "correct it")
