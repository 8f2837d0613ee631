"""Several seeds on the same faces."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.errors import DataError
from facebias.fairness.crossed import share_bounds
from facebias.fairness.group_metrics import group_metrics
from facebias.fairness.intervals import student_interval, wilson_interval
from facebias.fairness.seeds import pool_folds, seed_differences, seed_gaps, seed_measures
from facebias.fairness.settings import Settings

CLASSES = ("angry", "happy", "sad")
ATTRIBUTES = {"sex": ("f", "m"), "age": ("young", "old", "oldest")}


def made(faces: int = 300, seeds: int = 3, start: int = 0) -> list[pd.DataFrame]:
    """Return runs that fail on much the same faces, some seeds more than others."""
    random = np.random.default_rng(11)
    truth = pd.DataFrame(
        {
            "id": [f"face {number}" for number in range(faces)],
            "label": random.choice(CLASSES, faces),
            "sex": random.choice(["f", "m"], faces),
            "age": random.choice(["young", "old"], faces),
        }
    )
    hard = random.random(faces) < 0.4
    return [scored(truth, hard, start + seed) for seed in range(seeds)]


def scored(truth: pd.DataFrame, hard: npt.NDArray[np.bool_], seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    right = random.random(len(truth)) < np.where(hard, 0.3 + 0.05 * (seed % 3), 0.95)
    predicted = np.where(right, truth["label"], random.choice(CLASSES, len(truth)))
    return truth.assign(seed=seed, predicted=predicted)


def answers(rights: npt.ArrayLike) -> list[pd.DataFrame]:
    """Return runs (R) that are right on these faces (R, N), of two classes."""
    return [
        pd.DataFrame(
            {
                "id": range(len(right)),
                "label": "a",
                "predicted": np.where(right, "a", "b"),
                "sex": "f",
            }
        )
        for right in np.asarray(rights, bool)
    ]


def row(table: pd.DataFrame, **wanted: object) -> pd.Series:
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_the_value_is_the_mean_of_the_seeds() -> None:
    runs = made()
    found = seed_measures(runs, CLASSES, ATTRIBUTES, intersections=[("sex", "age")])
    tables = [group_metrics(run, CLASSES, ATTRIBUTES, [("sex", "age")]) for run in runs]
    for metric in ("accuracy", "macro_precision", "macro_recall", "macro_f1"):
        expected = np.mean([table[metric] for table in tables], axis=0)
        own = found[found["metric"] == metric]
        assert own["group"].tolist() == tables[0]["group"].tolist()
        np.testing.assert_allclose(own["value"], expected, rtol=1e-12)


def test_the_errors_are_those_of_the_two_way_analysis_of_variance() -> None:
    rights = np.random.default_rng(2).random((4, 50)) < np.linspace(0.2, 1, 50)
    seeds, faces = rights.shape
    found = row(seed_measures(answers(rights), ("a", "b"), {}), metric="accuracy")
    by_seed, by_face, mean = rights.mean(axis=1), rights.mean(axis=0), rights.mean()
    of_faces = seeds * ((by_face - mean) ** 2).sum() / (faces - 1)
    rest = rights - by_seed[:, None] - by_face + mean
    of_both = (rest**2).sum() / (seeds - 1) / (faces - 1)
    assert found["seed_error"] == pytest.approx(by_seed.std(ddof=1) / math.sqrt(seeds))
    assert found["face_error"] ** 2 == pytest.approx((of_faces - of_both) / rights.size, rel=1e-3)


def test_macro_recall_is_as_sure_as_its_classes_together() -> None:
    runs = made(seeds=4)
    found = row(seed_measures(runs, CLASSES, {}), metric="macro_recall")
    square = 0.0
    for name in CLASSES:
        rights = [run["predicted"].eq(name)[run["label"] == name] for run in runs]
        own = row(seed_measures(answers(rights), ("a", "b"), {}), metric="accuracy")
        faces = len(rights[0])
        square += own["face_error"] ** 2 * (faces - 1) / faces / len(CLASSES) ** 2
    assert found["face_error"] == pytest.approx(math.sqrt(square * 300 / 299), rel=1e-3)


def test_an_interval_is_wider_than_one_over_the_seeds_alone() -> None:
    runs = made()
    gap = row(seed_gaps(runs, CLASSES, ATTRIBUTES), attribute="sex", metric="macro_f1", kind="pair")
    tables = [group_metrics(run, CLASSES, {"sex": ("f", "m")}).set_index("group") for run in runs]
    gaps = [table.loc["f", "macro_f1"] - table.loc["m", "macro_f1"] for table in tables]
    low, high = student_interval(np.mean(gaps), np.std(gaps, ddof=1), len(gaps))
    assert gap["difference"] == pytest.approx(np.mean(gaps))
    assert gap["face_error"] > 0
    assert gap["low"] < low < high < gap["high"]


def test_three_seeds_reach_4_30_of_their_errors_and_not_1_96() -> None:
    gap = row(
        seed_gaps(made(seeds=3), CLASSES, ATTRIBUTES),
        **{"attribute": "sex", "metric": "accuracy", "kind": "pair"},
    )
    half = (gap["high"] - gap["low"]) / 2
    assert gap["seed_error"] > 0
    faces = 1.96 * gap["face_error"]
    assert half == pytest.approx(math.hypot(4.303 * gap["seed_error"], faces), rel=0.01)
    assert half > 4.3 * gap["seed_error"]


def test_seeds_that_agree_leave_the_interval_of_the_faces() -> None:
    right = np.arange(400) < 300
    found = row(seed_measures(answers([right, right]), ("a", "b"), {}), metric="accuracy")
    low, high = wilson_interval(300, 400)
    assert found["seed_error"] == 0
    assert (found["low"], found["high"]) == pytest.approx((float(low), float(high)), abs=5e-4)


def test_what_is_always_right_has_the_interval_of_wilson() -> None:
    found = seed_measures(answers(np.ones((3, 40))), ("a", "b"), {})
    low, high = wilson_interval(40, 40)
    for metric in ("accuracy", "macro_recall"):
        own = row(found, metric=metric)
        assert (own["low"], own["high"]) == (float(low), float(high))


def test_a_macro_metric_that_is_always_right_rests_on_its_rarest_class() -> None:
    run = pd.DataFrame({"id": range(40), "label": ["a"] * 34 + ["b"] * 6})
    run["predicted"] = run["label"]
    found = seed_measures([run, run], ("a", "b"), {})
    assert row(found, metric="accuracy")["low"] == float(wilson_interval(40, 40)[0])
    assert row(found, metric="macro_recall")["low"] == float(wilson_interval(6, 6)[0])


def test_copies_of_a_face_tell_nothing_when_the_person_is_known() -> None:
    once = [run.assign(identity=run["id"]) for run in made()]
    thrice = [
        pd.concat([run.assign(id=run["id"] + f" {copy}") for copy in range(3)]) for run in once
    ]
    alone, together = (seed_measures(runs, CLASSES, ATTRIBUTES) for runs in (once, thrice))
    assert set(together["method"]) == {"crossed seeds x persons", "none"}
    assert set(alone["method"]) == {"crossed seeds x faces", "none"}
    columns = ["value", "low", "high", "units", "seed_error", "face_error"]
    pd.testing.assert_frame_equal(alone[columns], together[columns], rtol=1e-4)
    assert (together["n"] == 3 * alone["n"]).all()


def test_neither_the_order_of_rows_nor_of_runs_matters() -> None:
    runs = made()
    mixed = [run.sample(frac=1, random_state=4) for run in reversed(runs)]
    one, two = (seed_measures(each, CLASSES, ATTRIBUTES) for each in (runs, mixed))
    pd.testing.assert_frame_equal(one, two, rtol=1e-9)


def test_a_difference_of_variants_forgets_what_is_hard_for_both() -> None:
    first, second = made(seeds=3), made(seeds=5, start=30)
    found = seed_differences(first, second, CLASSES, ATTRIBUTES)
    own = row(found[found["against"].isna()], attribute="all", metric="accuracy")
    parts = [row(seed_measures(runs, CLASSES, {}), metric="accuracy") for runs in (first, second)]
    assert (own["first_value"], own["second_value"]) == tuple(part["value"] for part in parts)
    assert own["seed_error"] == pytest.approx(math.hypot(*(part["seed_error"] for part in parts)))
    assert own["face_error"] < 0.5 * math.hypot(*(part["face_error"] for part in parts))
    assert (own["first_seeds"], own["second_seeds"]) == (3, 5)


def test_the_other_way_round_is_the_negative() -> None:
    variants = made(seeds=3), made(seeds=4, start=30)
    one, two = (seed_differences(*pair, CLASSES, ATTRIBUTES) for pair in (variants, variants[::-1]))
    np.testing.assert_allclose(one["difference"], -two["difference"])
    np.testing.assert_allclose(one["low"], -two["high"])
    gaps = one[one["against"].notna()]
    assert len(gaps) == 6
    expected = seed_gaps(variants[0], CLASSES, ATTRIBUTES)
    expected = expected[expected["kind"] == "pair"]
    np.testing.assert_allclose(gaps["first_value"], expected["difference"])


def test_the_largest_gap_allows_for_the_search() -> None:
    runs = made()
    names = {"part": tuple("abcd")}
    for number, run in enumerate(runs):
        runs[number] = run.assign(part=np.resize(list("abcd"), len(run)))
    found = seed_gaps(runs, CLASSES, names)
    for metric in ("accuracy", "macro_recall", "macro_f1"):
        own = found[found["metric"] == metric]
        largest, pairs = row(own, kind="largest"), own[own["kind"] == "pair"]
        assert len(pairs) == 6
        assert largest["difference"] == pytest.approx(pairs["difference"].abs().max())
        same = pairs.loc[pairs["difference"].abs().idxmax()]
        assert {largest["first"], largest["second"]} == {same["first"], same["second"]}
        assert largest["high"] - largest["low"] > 1.5 * (same["high"] - same["low"])


def test_groups_that_cannot_be_judged_say_so() -> None:
    runs = [run.assign(sex=run["sex"].mask(run.index < 20)) for run in made()]
    settings = Settings(min_class=60)
    found = seed_measures(runs, CLASSES, ATTRIBUTES, settings=settings)
    empty = row(found, group="oldest", metric="accuracy")
    assert (empty["n"], empty["status"], empty["reason"]) == (0, "empty", "no rows")
    assert math.isnan(empty["value"])
    unknown = row(found, attribute="sex", group="unknown", metric="accuracy")
    assert (unknown["n"], unknown["status"]) == (20, "unknown")
    sparse = row(found, group="f", metric="macro_recall")
    assert sparse["reason"] == "too few rows of a class"
    assert math.isnan(sparse["low"])
    assert not math.isnan(sparse["value"])
    gaps = seed_gaps(runs, CLASSES, ATTRIBUTES, settings=settings)
    assert set(gaps["metric"]) == {"accuracy"}
    assert row(gaps, attribute="age", kind="largest")[["eligible", "groups"]].tolist() == [2, 3]


def test_one_seed_has_a_value_and_no_interval() -> None:
    found = seed_measures(made(seeds=1), CLASSES, {})
    assert found["value"].notna().all()
    assert found["low"].isna().all()
    assert set(found["reason"]) == {"one seed tells nothing of other seeds"}


def test_a_gap_in_which_nothing_varies_has_no_interval() -> None:
    runs = [run.assign(sex=np.resize(["f", "m"], 80)) for run in answers(np.ones((2, 80)))]
    gap = row(seed_gaps(runs, ("a", "b"), {"sex": ("f", "m")}), metric="accuracy", kind="pair")
    assert gap["difference"] == 0
    assert math.isnan(gap["low"])
    assert gap["reason"] == "it is the same whichever faces and seeds are drawn"


def test_runs_that_do_not_fit_are_refused() -> None:
    one, two, _ = made()
    for wrong, says in [
        (two.iloc[1:], "faces"),
        (two.assign(id=two["id"] + "?"), "0 of the 300"),
        (two.drop(columns="id"), "ids"),
        (two.assign(label=two["label"].to_numpy()[::-1]), "another label"),
        (two.assign(sex=two["sex"].to_numpy()[::-1]), "another sex"),
        (two.assign(seed=0), "same seed"),
    ]:
        with pytest.raises(DataError, match=says):
            seed_measures([one, wrong], CLASSES, ATTRIBUTES)
    with pytest.raises(DataError, match="without runs"):
        seed_differences([one], [], CLASSES, ATTRIBUTES)


def test_folds_are_pooled_without_their_scores() -> None:
    run = made(seeds=1)[0].assign(p_angry=0.1, p_happy=0.2, p_sad=0.7)
    folds = [run.iloc[part::3].assign(fold=part) for part in range(3)]
    pool = pool_folds(folds)
    assert sorted(pool["id"]) == sorted(run["id"])
    assert not [name for name in pool.columns if name.startswith("p_")]
    whole, pooled = (group_metrics(each, CLASSES, ATTRIBUTES) for each in (run, pool))
    pd.testing.assert_frame_equal(whole.drop(columns="auroc"), pooled.drop(columns="auroc"))


def test_pools_of_several_seeds_are_runs() -> None:
    runs = made()
    pools = [pool_folds([run.iloc[part::3].assign(fold=part) for part in range(3)]) for run in runs]
    one, two = (seed_measures(each, CLASSES, ATTRIBUTES) for each in (runs, pools))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize("folds", [[], [0, 0], [0, 1, 0]])
def test_folds_that_share_a_face_are_refused(folds: list[int]) -> None:
    run = made(seeds=1)[0]
    with pytest.raises(DataError, match=r"no fold|100 faces come in more than one fold"):
        pool_folds([run.iloc[part::3] for part in folds])


@given(st.floats(0, 1), st.floats(0, 3), st.integers(1, 1000))
def test_bounds_of_a_share_hold_it_and_stay_in_its_range(
    value: float, half_width: float, units: int
) -> None:
    low, high = share_bounds(value, half_width, units)
    assert -1e-12 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1 + 1e-12
