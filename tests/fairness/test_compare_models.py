"""Two models on the same faces, by group."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from facebias.errors import DataError
from facebias.fairness.group_metrics import group_metrics
from facebias.fairness.intervals import wilson_interval
from facebias.fairness.paired import BY_PERSON, compare_models, paired_difference, same_faces
from facebias.fairness.settings import Settings
from facebias.fairness.significance import mcnemar

FloatArray = npt.NDArray[np.float64]

CLASSES = ("angry", "happy", "sad")
ATTRIBUTES = {"sex": ("f", "m"), "age": ("young", "old", "oldest")}


def made(faces: int = 600, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two models that fail on much the same faces; the first is worse with m."""
    random = np.random.default_rng(seed)
    truth = pd.DataFrame(
        {
            "id": [f"face {number}" for number in range(faces)],
            "label": random.choice(CLASSES, faces),
            "sex": random.choice(["f", "m"], faces),
            "age": random.choice(["young", "old"], faces),
        }
    )
    hard = random.random(faces) < 0.3

    def model(other_chances: FloatArray) -> pd.DataFrame:
        right = ~hard | (random.random(faces) < other_chances)
        return truth.assign(predicted=truth["label"].where(right, random.choice(CLASSES, faces)))

    return model(np.where(truth["sex"] == "m", 0.1, 0.4)), model(np.full(faces, 0.5))


def row(table: pd.DataFrame, **wanted: object) -> pd.Series:
    for name, value in wanted.items():
        table = table[table[name].isna() if value is None else table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_values_are_those_of_each_model_alone() -> None:
    models = made()
    found = compare_models(*models, CLASSES, ATTRIBUTES, intersections=[("sex", "age")])
    groups = found[found["against"].isna()]
    for column, model in zip(("first_value", "second_value"), models, strict=True):
        alone = group_metrics(model, CLASSES, ATTRIBUTES, [("sex", "age")])
        for metric in ("accuracy", "macro_recall", "macro_f1"):
            own = groups[groups["metric"] == metric]
            assert own["group"].tolist() == alone["group"].tolist()
            np.testing.assert_array_equal(own[column], alone[metric])
    np.testing.assert_array_equal(
        groups["difference"], groups["first_value"] - groups["second_value"]
    )


def test_a_gap_of_both_models_is_compared() -> None:
    found = compare_models(*made(), CLASSES, ATTRIBUTES)
    gap = row(found, metric="accuracy", group="f", against="m")
    first, second = (row(found, metric="accuracy", group=name, against=None) for name in "fm")
    for column in ("first_value", "second_value", "difference"):
        assert gap[column] == pytest.approx(first[column] - second[column])
    assert gap["n"] == first["n"] + second["n"]
    assert gap["low"] < gap["difference"] < gap["high"]


def test_the_interval_of_an_accuracy_is_that_of_the_paired_bootstrap() -> None:
    first, second = made(2000)
    found = row(
        compare_models(first, second, CLASSES, {}, settings=Settings(replicates=5000)),
        metric="accuracy",
    )
    rights = [model["predicted"] == model["label"] for model in (first, second)]
    other = paired_difference(*rights, replicates=5000, seed=1)
    assert found["difference"] == pytest.approx(other.difference)
    assert (found["low"], found["high"]) == pytest.approx((other.low, other.high), abs=0.002)


def test_the_interval_of_a_gap_is_about_that_of_the_normal_approximation() -> None:
    first, second = made(4000)
    found = row(
        compare_models(first, second, CLASSES, ATTRIBUTES, settings=Settings(replicates=4000)),
        **{"metric": "accuracy", "group": "f", "against": "m"},
    )
    right = [(model["predicted"] == model["label"]).astype(float) for model in (first, second)]
    parts = (right[0] - right[1]).groupby(first["sex"])
    half = 1.96 * math.sqrt((parts.var() / parts.size()).sum())
    assert found["high"] - found["low"] == pytest.approx(2 * half, rel=0.05)


def test_mcnemar_stands_where_rows_are_independent() -> None:
    first, second = made()
    found = row(compare_models(first, second, CLASSES, ATTRIBUTES), metric="accuracy", group="m")
    chosen = first["sex"] == "m"
    right = [(model["predicted"] == model["label"])[chosen] for model in (first, second)]
    only = (right[0] & ~right[1]).sum(), (~right[0] & right[1]).sum()
    assert (found["only_first"], found["only_second"]) == only
    # Exact and two-sided: the tail of a fair coin, twice.
    tail = sum(math.comb(sum(only), heads) for heads in range(min(only) + 1)) / 2 ** sum(only)
    assert found["p"] == pytest.approx(min(1, 2 * tail))
    assert found["p_reason"] == ""


def test_persons_with_many_rows_are_not_taken_for_as_many_faces() -> None:
    # The first model is right on 8 persons, the other on 4; all 30 photos of one go together.
    persons, right = np.repeat(np.arange(12), 30), np.repeat(np.arange(12) < 8, 30)
    names = np.array(["a", "b"])
    label = np.tile([0, 1], 180)
    table = pd.DataFrame({"id": np.arange(360), "label": names[label], "identity": persons})
    first, second = (
        table.assign(predicted=names[np.where(each, label, 1 - label)]) for each in (right, ~right)
    )
    whole = row(compare_models(first, second, ("a", "b"), {}), group="all", metric="accuracy")
    assert mcnemar(240, 120) < 1e-9  # as if photos were independent
    assert whole["p"] > 0.1
    assert whole["low"] < 0 < whole["high"]


def test_where_persons_have_several_rows_the_test_is_that_of_the_interval_over_persons() -> None:
    first, second = (model.assign(identity=np.arange(600) // 3) for model in made())
    found = compare_models(first, second, CLASSES, ATTRIBUTES)
    own = found[(found["metric"] == "accuracy") & found["against"].isna() & (found["n"] > 0)]
    assert own["only_first"].notna().all()
    assert (own["test"] == BY_PERSON).all()
    told = (own["low"] > 0) | (own["high"] < 0)
    assert 0 < told.sum() < len(own)
    assert ((own["p"] <= 0.05) == told).all()
    assert (own["p_reason"] == "").all()
    whole = row(own, group="all")
    assert (whole["n"], whole["units"]) == (600, 200)
    assert whole["method"] == "paired shares, by person"


def test_the_difference_of_two_models_that_are_right_on_other_faces_is_nearly_newcombes() -> None:
    # Of 100 faces both have 60 right, only the first 20, only the second 10 (Newcombe 1998,
    # Statistics in Medicine 17, method 10, without its correction of the correlation).
    first = pd.DataFrame(
        {"id": range(100), "label": "a", "predicted": ["a"] * 80 + ["b"] * 20, "identity": None}
    )
    second = first.assign(predicted=["a"] * 60 + ["b"] * 20 + ["a"] * 10 + ["b"] * 10)
    found = row(
        compare_models(first, second, ("a", "b"), {}, settings=Settings(replicates=20_000)),
        metric="accuracy",
    )
    (low, lower), (high, higher) = wilson_interval([80, 70], [100, 100])
    correlation = (60 * 10 - 20 * 10) / math.sqrt(80 * 20 * 70 * 30)
    down, up = (0.8 - low, higher - 0.7), (high - 0.8, 0.7 - lower)
    reach = [math.sqrt(one**2 + two**2 - 2 * correlation * one * two) for one, two in (down, up)]
    assert found["difference"] == pytest.approx(0.1)
    assert (found["low"], found["high"]) == pytest.approx(
        (0.1 - reach[0], 0.1 + reach[1]), abs=0.003
    )


def test_copies_of_a_face_tell_nothing_when_the_person_is_known() -> None:
    models = made()
    first, second = (
        pd.concat([model.assign(identity=model["id"], id=model["id"] + end) for end in "abc"])
        for model in models
    )
    settings = Settings(replicates=4000)
    one = compare_models(*models, CLASSES, ATTRIBUTES, settings=settings)
    two = compare_models(first, second, CLASSES, ATTRIBUTES, settings=settings)
    np.testing.assert_allclose(two["difference"], one["difference"])
    np.testing.assert_allclose(two["high"] - two["low"], one["high"] - one["low"], rtol=0.08)
    assert two["units"].tolist() == one["units"].tolist()


def test_chunks_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for per_person in (1, 3):
        first, second = (model.assign(identity=np.arange(600) // per_person) for model in made())
        one = compare_models(first, second, CLASSES, ATTRIBUTES)
        monkeypatch.setattr("facebias.fairness.paired._CHUNK", 3**4 * 50)
        pd.testing.assert_frame_equal(one, compare_models(first, second, CLASSES, ATTRIBUTES))
        monkeypatch.undo()


def test_the_order_of_the_rows_does_not_matter() -> None:
    first, second = made()
    one = compare_models(first, second, CLASSES, ATTRIBUTES)
    two = compare_models(first, second.sample(frac=1, random_state=1), CLASSES, ATTRIBUTES)
    pd.testing.assert_frame_equal(one, two)


def test_models_that_never_differ_have_no_interval() -> None:
    first, _ = made()
    found = compare_models(first, first, CLASSES, ATTRIBUTES)
    known = found[found["first_value"].notna()]
    assert (known["difference"] == 0).all()
    assert known["low"].isna().all()
    assert set(known["reason"]) == {"the models do not differ in any replicate"}
    assert row(known, attribute="all", metric="accuracy")["p"] == 1


def test_groups_that_cannot_be_judged_say_so() -> None:
    first, second = (model.assign(sex=model["sex"].mask(model.index < 20)) for model in made())
    settings = Settings(min_class=150)
    found = compare_models(first, second, CLASSES, ATTRIBUTES, settings=settings)
    empty = row(found, group="oldest", metric="accuracy")
    assert (empty["n"], empty["reason"], empty["p_reason"]) == (0, "no rows", "no rows")
    assert math.isnan(empty["difference"])
    assert row(found, group="unknown", metric="accuracy")["n"] == 20
    assert row(found, group="f", metric="macro_f1")["reason"] == "too few rows of a class"
    gaps = found[found["against"].notna()]
    assert list(zip(gaps["metric"], gaps["group"], gaps["against"], strict=True)) == [
        ("accuracy", "f", "m"),
        ("accuracy", "young", "old"),
    ]


def test_tables_that_do_not_fit_are_refused() -> None:
    one, two = made()
    for wrong, says in [
        (two.iloc[1:], "599 faces"),
        (two.drop(columns="id"), "ids"),
        (two.assign(label=two["label"].to_numpy()[::-1]), "another label"),
        (two.assign(age=two["age"].to_numpy()[::-1]), "another age"),
    ]:
        with pytest.raises(DataError, match=says):
            compare_models(one, wrong, CLASSES, ATTRIBUTES)


def test_the_predictions_of_all_models_come_in_the_order_of_the_first() -> None:
    one, two = made()
    _, predicted = same_faces([one, two.iloc[::-1]], CLASSES)
    for codes, model in zip(predicted, (one, two), strict=True):
        assert [CLASSES[code] for code in codes] == model["predicted"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("per_person", [1, 3])
def test_intervals_cover_the_truth(per_person: int) -> None:
    random = np.random.default_rng(per_person)
    hits = np.zeros(2)
    for number in range(600):
        first, second = _planted(random, 390, per_person)
        found = compare_models(
            first, second, ("a", "b"), {"sex": ("f", "m")}, settings=Settings(seed=number)
        )
        accuracy = found[found["metric"] == "accuracy"]
        for place, (own, true) in enumerate([(accuracy.iloc[0], 0.05), (accuracy.iloc[-1], 0.0)]):
            hits[place] += own["low"] <= true <= own["high"]
    assert (hits / 600 >= 0.925).all()
    assert (hits / 600 <= 0.975).all()


def _planted(
    random: np.random.Generator, faces: int, per_person: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return models of which the first is right 5 points more often, in both groups alike."""
    persons = np.arange(faces) // per_person
    hardness = random.random(faces)[persons]
    truth = pd.DataFrame({"id": range(faces), "identity": persons, "label": "a"})
    truth["sex"] = np.array(["f", "m"])[persons % 2]

    def model(share: float) -> pd.DataFrame:
        chance = np.where(random.random(faces) < 0.5, hardness, random.random(faces))
        return truth.assign(predicted=np.where(chance < share, "a", "b"))

    return model(0.55), model(0.5)


def test_two_published_models_are_told_apart(real_data: Callable[[str], Path]) -> None:
    folder = real_data("audit")
    truth = pd.read_csv(folder / "train_labels_inferred_only.csv").set_index("image_id")
    models = []
    for name in ("deepface_3k.csv", "facellm_3k.csv"):
        model = pd.read_csv(folder / name).rename(columns={"gender": "predicted"})
        joined = model[["image_id", "predicted"]].join(truth[["gender", "race"]], on="image_id")
        models.append(joined.rename(columns={"image_id": "id", "gender": "label"}))
    races = {"race": tuple(sorted(truth["race"].unique()))}
    found = compare_models(models[0], models[1], ("Female", "Male"), races)
    whole = row(found, attribute="all", metric="accuracy")
    # As published with the predictions: 68.48 % and 88.29 %.
    assert whole["first_value"] == pytest.approx(0.6848, abs=5e-5)
    assert whole["second_value"] == pytest.approx(0.8829, abs=5e-5)
    assert whole["high"] < -0.17
    assert whole["p"] < 1e-50
