"""How often the intervals hold the truth and the tests are wrong, on drawn test sets.

    OMP_NUM_THREADS=1 python -m tests.simulations.coverage [NUMBERS OF EXPERIMENTS]

Each population is known, so is its accuracy; each test set is drawn from it and measured by the
functions that reports are made of. It prints the table of docs/statistics.md, and takes about half
an hour of one core.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from facebias.fairness import metrics
from facebias.fairness.intervals import (
    Combinations,
    differences,
    max_t,
    means,
    normal_critical,
    wilson_interval,
)
from facebias.fairness.predictions import GroupCodes, ScoredRows
from facebias.fairness.resampling import CountedGroups, count_groups
from facebias.fairness.settings import Settings
from facebias.fairness.significance import holm, permutation_test

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Findings = dict[str, bool]

MOST_FACES = 6
"""Of one person: 1 to 6, each as often."""

AGREEMENT = 0.3
"""Correlation, within a person, of what makes a face hard; 0 to 1."""


@dataclass(frozen=True, eq=False)
class Population:
    """Groups, their labels, and how well each label is read.

    Attributes:
        shares: shape (G,), of the groups.
        labels: shape (G, C), each group's mix of labels.
        recalls: shape (G, C), how often each label is read right.
    """

    shares: FloatArray
    labels: FloatArray
    recalls: FloatArray

    @property
    def counts(self) -> FloatArray:
        """The expected counts of one row, shape (G, C, C)."""
        n_classes = self.labels.shape[1]
        missed = (1 - self.recalls) / (n_classes - 1)
        read = np.where(np.eye(n_classes, dtype=bool), self.recalls[:, None], missed[:, :, None])
        rows = self.shares[:, None] * self.labels
        return np.asarray(rows[:, :, None] * read)


TWO_GROUPS = Population(
    np.array([0.3, 0.7]),
    np.array([[0.6, 0.3, 0.1], [0.4, 0.3, 0.3]]),
    np.array([[0.95, 0.9, 0.8], [0.9, 0.8, 0.7]]),
)
"""Unequal groups and labels: at n = 400 the rarest class of the smaller group has 12 rows."""


def eight_groups(worst: float = 0.0) -> Population:
    """Return eight groups, the last one so much worse."""
    recalls = np.tile([0.9, 0.8], (8, 1))
    recalls[-1] -= worst
    return Population(np.full(8, 1 / 8), np.full((8, 2), 0.5), recalls)


FLIPPING = Population(np.ones(1), np.array([[0.5, 0.3, 0.2]]), np.array([[0.95, 0.9, 0.775]]))
"""Pairs as rows: the label is the answer before the change; after it, 10 % are other answers."""

EQUAL_RECALLS = Population(
    np.array([0.3, 0.3, 0.4]),
    np.array([[0.7, 0.3], [0.5, 0.5], [0.3, 0.7]]),
    np.tile([0.9, 0.75], (3, 1)),
)
"""Each label is read equally well in every group; the accuracies differ with the labels' mix."""

EQUAL_ACCURACIES = Population(
    np.array([0.3, 0.3, 0.4]),
    np.array([[0.7, 0.3], [0.5, 0.5], [0.3, 0.7]]),
    np.array([[0.86, 0.66], [0.8, 0.8], [0.66, 0.86]]),
)
"""Every group has an accuracy of .8; labels are read differently in each."""

Measure = Callable[[Population, ScoredRows, GroupCodes, Settings], Findings]
Bounds = tuple[FloatArray, FloatArray]

ALPHA = 0.05

Z = normal_critical(1 - ALPHA)


def drawn(
    people: Population, n: int, *, by_person: bool, rng: np.random.Generator
) -> tuple[ScoredRows, GroupCodes]:
    """Draw a test set of n faces (of about n where persons have several).

    A person has one group. What makes a face hard agrees within a person: a face is read right
    where a normal number, part of it the person's, lies below the quantile of the label's recall.
    """
    n_classes = people.labels.shape[1]
    persons = np.arange(n)
    if by_person:
        n_persons = round(n / np.mean(np.arange(1, MOST_FACES + 1)))
        persons = np.repeat(np.arange(n_persons), rng.integers(1, MOST_FACES + 1, n_persons))
    groups = rng.choice(len(people.shares), persons[-1] + 1, p=people.shares)[persons]
    bounds = people.labels.cumsum(axis=1)[groups, :-1]
    labels = (rng.random(len(persons))[:, None] > bounds).sum(axis=1)
    right = hardness(persons, by_person, rng) < ndtri(people.recalls[groups, labels])
    other = (labels + rng.integers(1, n_classes, len(persons))) % n_classes
    predicted = np.where(right, labels, other)
    rows = ScoredRows(
        pd.DataFrame(), labels, predicted, persons if by_person else None, scores=None, unscored=0
    )
    return rows, GroupCodes("group", tuple(map(str, range(len(people.shares)))), groups)


def hardness(persons: Codes, by_person: bool, rng: np.random.Generator) -> FloatArray:
    """Return a standard normal number for each face; those of a person agree."""
    shared = AGREEMENT if by_person else 0.0
    own, others = rng.normal(size=persons[-1] + 1)[persons], rng.normal(size=len(persons))
    return np.asarray(np.sqrt(shared) * own + np.sqrt(1 - shared) * others)


def everybody(codes: GroupCodes) -> GroupCodes:
    """Return one group of all rows."""
    return GroupCodes("all", ("all",), np.zeros_like(codes.codes))


def truth(people: Population, metric: str) -> FloatArray:
    """Return the true metric of each group, shape (G,)."""
    return metrics.AVERAGES[metric](people.counts)


@dataclass(frozen=True, eq=False)
class Shares:
    """The parts of a metric of each group, as intervals are made of them: K of each of G groups."""

    values: FloatArray  # (G, K)
    replicates: FloatArray  # (B, G, K)
    units: Codes  # (G, K)
    by_person: bool

    def mean(self) -> Combinations:
        """Return the mean of each group's parts."""
        return means(self.values, self.replicates, self.units, by_person=self.by_person)

    def gap(self, first: int, second: int) -> Combinations:
        """Return the difference of two groups."""
        chosen = [first, second]
        parts = self.values[chosen], self.replicates[:, chosen], self.units[chosen]
        pair = np.array([0]), np.array([1])
        return differences(*parts, *pair, by_person=self.by_person)


def shares(counted: CountedGroups, metric: str) -> Shares:
    """Return the parts of accuracy (one) or of a macro average (one a class)."""
    counts, drawn_counts = counted.counts[:-1], counted.drawn[:, :-1]
    if metric == "accuracy":
        one, many = (metrics.accuracy(each)[..., None] for each in (counts, drawn_counts))
        return Shares(one, many, counted.units[:-1, None], counted.by_person)
    one, many = metrics.recall(counts), metrics.recall(drawn_counts)
    return Shares(one, many, counted.class_units[:-1], counted.by_person)


def share_interval(counted: CountedGroups) -> Bounds:
    """Return the interval of each group's accuracy."""
    if counted.by_person:
        return shares(counted, "accuracy").mean().interval(Z)
    counts = counted.counts[:-1]
    return wilson_interval(*metrics.share_parts("accuracy", counts))


def macro_recall_interval(counted: CountedGroups) -> Bounds:
    """Return the interval of each group's macro recall."""
    return shares(counted, "macro_recall").mean().interval(Z)


def largest_gap(counted: CountedGroups, metric: str) -> tuple[int, int, Bounds]:
    """Return the groups that are farthest apart, and the interval of their difference."""
    found = shares(counted, metric)
    values, replicates = found.values.mean(axis=-1), found.replicates.mean(axis=-1)
    first, second = int(values.argmax()), int(values.argmin())
    return first, second, found.gap(first, second).interval(max_t(values, replicates).critical())


def holds(bounds: Bounds, true: float, place: int = 0) -> bool:
    """Say whether an interval holds the true value."""
    return bool(bounds[0][place] <= true <= bounds[1][place])


def measure_two(
    people: Population, rows: ScoredRows, codes: GroupCodes, settings: Settings
) -> Findings:
    """Say which intervals hold: of all rows, of the smaller of two groups, of their gap."""
    n_classes = people.labels.shape[1]
    whole, groups = (
        count_groups(rows, each, n_classes, settings) for each in (everybody(codes), codes)
    )
    found: Findings = {}
    for metric, interval in (
        ("accuracy", share_interval),
        ("macro_recall", macro_recall_interval),
    ):
        of_all = float(metrics.AVERAGES[metric](people.counts.sum(axis=0)))
        true = truth(people, metric)
        found[f"{metric}, all rows"] = holds(interval(whole), of_all)
        found[f"{metric}, the smaller group (30 %)"] = holds(interval(groups), true[0])
        gap = shares(groups, metric).gap(0, 1).interval(Z)
        found[f"{metric}, gap of a named pair"] = holds(gap, true[0] - true[1])
    return found


def measure_flips(
    people: Population, rows: ScoredRows, codes: GroupCodes, settings: Settings
) -> Findings:
    """Say whether the interval of the flip rate holds.

    A pair is a row: what was answered before stands for the label.
    """
    counted = count_groups(rows, everybody(codes), people.labels.shape[1], settings)
    low, high = share_interval(counted)
    true = 1 - float(metrics.accuracy(people.counts.sum(axis=0)))
    return {"flip rate": holds((1 - high, 1 - low), true)}


def measure_largest(
    people: Population, rows: ScoredRows, codes: GroupCodes, settings: Settings
) -> Findings:
    """Say whether the interval of the largest gap holds the true gap of the pair it names."""
    groups = count_groups(rows, codes, people.labels.shape[1], settings)
    found: Findings = {}
    for metric in ("accuracy", "macro_recall"):
        true = truth(people, metric)
        first, second, bounds = largest_gap(groups, metric)
        found[f"{metric}, largest gap of 8"] = holds(bounds, true[first] - true[second])
    return found


def p_value(counted: CountedGroups, metric: str, seed: int) -> float:
    """Return the p-value of "all groups are equal", as reports give it."""
    return permutation_test(
        counted,
        metrics.AVERAGES[metric],
        eligible=np.ones(len(counted.groups), dtype=bool),
        within_label=metric == "macro_recall",
        rng=np.random.default_rng(seed),
    ).p


def measure_permutations(
    people: Population, rows: ScoredRows, codes: GroupCodes, settings: Settings, *, metric: str
) -> Findings:
    """Say whether the permutation test rejects."""
    groups = count_groups(rows, codes, people.labels.shape[1], settings)
    return {
        f"permutation test of {metric} rejects": p_value(groups, metric, settings.seed) <= ALPHA
    }


def measure_holm(
    people: Population, rows: ScoredRows, codes: GroupCodes, settings: Settings
) -> Findings:
    """Say whether any of nine tests rejects: three attributes that mean nothing, three metrics."""
    p = []
    for n_groups in (2, 3, 4):
        attribute = meaningless(rows, n_groups, np.random.default_rng([settings.seed, n_groups]))
        counted = count_groups(rows, attribute, people.labels.shape[1], settings)
        p += [
            p_value(counted, metric, settings.seed)
            for metric in ("accuracy", "macro_recall", "macro_f1")
        ]
    return {
        "any of nine tests rejects, raw": min(p) <= ALPHA,
        "any of nine tests rejects, after Holm": bool(holm(p).min() <= ALPHA),
    }


def meaningless(rows: ScoredRows, n_groups: int, rng: np.random.Generator) -> GroupCodes:
    """Return groups that persons were given by chance."""
    persons = np.arange(len(rows.labels)) if rows.persons is None else rows.persons
    codes = rng.integers(0, n_groups, persons.max() + 1)[persons]
    return GroupCodes("chance", tuple(map(str, range(n_groups))), codes)


@dataclass(frozen=True)
class Experiment:
    """What is measured on sets of a population, and how often it should be true.

    Attributes:
        population: in words.
        people: what sets are drawn from.
        measure: gives findings of a set.
        lowest: the least share of sets that is right.
        highest: the largest.
    """

    population: str
    people: Population
    measure: Measure
    lowest: float = 0.0
    highest: float = 1.0


def simulate(
    experiment: Experiment, n: int, *, by_person: bool, sets: int, replicates: int = 1000
) -> dict[str, float]:
    """Return the share of so many test sets in which each finding is true."""
    rng = np.random.default_rng([n, by_person])
    people = experiment.people
    found = [
        experiment.measure(
            people,
            *drawn(people, n, by_person=by_person, rng=rng),
            Settings(replicates=replicates, seed=seed),
        )
        for seed in range(sets)
    ]
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


EXPERIMENTS = (
    Experiment("two unequal groups", TWO_GROUPS, measure_two, 0.93, 0.97),
    Experiment("pairs, 10 % flip", FLIPPING, measure_flips, 0.93, 0.97),
    Experiment("8 equal groups", eight_groups(), measure_largest, 0.95),
    Experiment("8 groups, one 10 points worse", eight_groups(0.1), measure_largest, 0.95),
    Experiment(
        "equal recalls, other mixes",
        EQUAL_RECALLS,
        partial(measure_permutations, metric="macro_recall"),
        0.04,
        0.06,
    ),
    Experiment(
        "equal accuracies, other mixes",
        EQUAL_ACCURACIES,
        partial(measure_permutations, metric="accuracy"),
        0.04,
        0.06,
    ),
    Experiment("groups by chance", EQUAL_RECALLS, measure_holm, 0.0, 0.055),
)


def print_table(experiments: Sequence[Experiment], sets: int = 2000) -> None:
    """Print a line of a Markdown table for each finding, experiment after experiment."""
    sizes = [(n, by_person) for n in (400, 4000) for by_person in (False, True)]
    print("| population | what | n = 400 | n = 400, persons | n = 4,000 | n = 4,000, persons |")
    print("|---|---|---|---|---|---|")
    for each in experiments:
        found = [simulate(each, n, by_person=by_person, sets=sets) for n, by_person in sizes]
        for name in found[0]:
            shares_in_percent = " | ".join(f"{100 * one[name]:.1f} %" for one in found)
            print(f"| {each.population} | {name} | {shares_in_percent} |", flush=True)


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]] or range(len(EXPERIMENTS))
    print_table([EXPERIMENTS[number] for number in numbers])
