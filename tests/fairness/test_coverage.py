"""What intervals and tests promise, on drawn test sets; docs/statistics.md has the full table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from facebias.fairness.counterfactual import counterfactual_flips
from facebias.fairness.group_report import group_report
from facebias.fairness.intervals import percentile_interval
from facebias.fairness.metrics import accuracy
from facebias.fairness.predictions import GroupCodes, ScoredRows
from facebias.fairness.resampling import count_groups
from facebias.fairness.settings import Settings
from tests.simulations.coverage import (
    EXPERIMENTS,
    FLIPPING,
    TWO_GROUPS,
    Bounds,
    Experiment,
    Population,
    drawn,
    eight_groups,
    everybody,
    largest_gap,
    macro_recall_interval,
    share_interval,
    simulate,
)

QUICK = [each for each in EXPERIMENTS if "chance" not in each.population]


def check(experiment: Experiment, n: int, *, by_person: bool, sets: int, replicates: int) -> None:
    found = simulate(experiment, n, by_person=by_person, sets=sets, replicates=replicates)
    judged = {name: share for name, share in found.items() if "raw" not in name}
    # Four standard errors of a share of so many sets that is 5 % from its end.
    allowance = 4 * (0.05 * 0.95 / sets) ** 0.5
    low, high = experiment.lowest - allowance, experiment.highest + allowance
    assert {name: share for name, share in judged.items() if not low <= share <= high} == {}


@pytest.mark.parametrize("experiment", QUICK, ids=lambda each: each.population)
def test_a_handful_of_sets_is_held(experiment: Experiment) -> None:
    check(experiment, 300, by_person=True, sets=20, replicates=200)


@pytest.mark.slow
@pytest.mark.parametrize("by_person", [False, True], ids=["rows", "persons"])
@pytest.mark.parametrize("n", [400, 4000])
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda each: each.population)
def test_intervals_hold_and_tests_reject_as_often_as_they_say(
    experiment: Experiment, n: int, by_person: bool
) -> None:
    check(experiment, n, by_person=by_person, sets=200, replicates=500)


def test_intervals_that_take_faces_of_a_person_for_independent_would_be_found_out() -> None:
    def as_rows(
        people: Population, rows: ScoredRows, codes: GroupCodes, settings: Settings
    ) -> dict[str, bool]:
        alone = ScoredRows(
            rows.table, rows.labels, rows.predicted, None, scores=None, unscored=rows.unscored
        )
        return EXPERIMENTS[0].measure(people, alone, codes, settings)

    naive = Experiment("two unequal groups", TWO_GROUPS, as_rows, 0.93, 0.97)
    with pytest.raises(AssertionError):
        check(naive, 300, by_person=True, sets=400, replicates=100)


def test_percentiles_of_the_largest_gap_never_hold_the_zero_of_equal_groups() -> None:
    # Fault seen elsewhere: every replicate of a maximum lies above 0, so its percentiles do too.
    for seed in range(20):
        rows, codes = drawn(eight_groups(), 400, by_person=False, rng=np.random.default_rng(seed))
        counted = count_groups(rows, codes, 2, Settings(replicates=200))
        gaps = np.ptp(accuracy(counted.drawn[:, :-1]), axis=1)
        assert percentile_interval(gaps)[0] > 0


def predictions(rows: ScoredRows, codes: GroupCodes) -> pd.DataFrame:
    names = {"label": rows.labels, "predicted": rows.predicted, "group": codes.codes}
    if rows.persons is not None:
        names["identity"] = rows.persons
    return pd.DataFrame({name: column.astype(str) for name, column in names.items()})


@pytest.mark.parametrize("by_person", [False, True], ids=["rows", "persons"])
def test_what_is_simulated_is_what_reports_show(by_person: bool) -> None:
    people, settings = eight_groups(), Settings(replicates=300)
    rows, codes = drawn(people, 1600, by_person=by_person, rng=np.random.default_rng(0))
    report = group_report(
        predictions(rows, codes), "01", {"group": codes.groups}, replicates=300, seed=0
    )
    measures = report.measures.set_index(["attribute", "group", "metric"])
    intervals = {"accuracy": share_interval, "macro_recall": macro_recall_interval}
    for metric, interval in intervals.items():
        for name, groups in (("all", everybody(codes)), ("group", codes)):
            counted = count_groups(rows, groups, 2, settings)
            shown = measures.loc[(name, slice(None), metric), ["low", "high"]].to_numpy(float).T
            np.testing.assert_allclose(interval(counted), shown, rtol=1e-9)
        first, second, bounds = largest_gap(count_groups(rows, codes, 2, settings), metric)
        gaps = report.gaps
        gap = gaps[(gaps["metric"] == metric) & (gaps["kind"] == "largest")].iloc[0]
        assert (gap["first"], gap["second"]) == (str(first), str(second))
        np.testing.assert_allclose(np.ravel(bounds), [gap["low"], gap["high"]], rtol=1e-9)


@pytest.mark.parametrize("by_person", [False, True], ids=["rows", "persons"])
def test_what_is_simulated_is_the_flip_rate(by_person: bool) -> None:
    rows, codes = drawn(FLIPPING, 400, by_person=by_person, rng=np.random.default_rng(0))
    pairs = predictions(rows, codes).reset_index(names="pair").astype({"pair": str})
    common = pairs[["pair", "label"]].assign(**pairs.filter(["identity"]), pair_factor="age")
    before = common.assign(id=pairs["pair"], predicted=pairs["label"], pair_value="young")
    after = common.assign(id=pairs["pair"] + "b", predicted=pairs["predicted"], pair_value="old")
    both = pd.concat([before, after])
    (found,) = counterfactual_flips(both, "012", replicates=300, seed=0)
    bounds: Bounds = share_interval(
        count_groups(rows, everybody(codes), 3, Settings(replicates=300))
    )
    np.testing.assert_allclose([1 - found.high, 1 - found.low], np.ravel(bounds), rtol=1e-9)
