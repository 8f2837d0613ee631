"""What an audit measures where it knows more: estimated groups, valences, train compositions."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from facebias.errors import DataError
from facebias.fairness.audit import audit
from facebias.fairness.audit_further import named_counts

MATRIX = {"a": {"a": 0.9, "b": 0.1}, "b": {"a": 0.2, "b": 0.8}}


def table(cells: list[tuple[dict[str, object], int]]) -> pd.DataFrame:
    return pd.DataFrame([face for face, n in cells for _ in range(n)])


def estimated_faces() -> pd.DataFrame:
    """200 true a, 160 right, and 100 true b, 50 right, as an estimator with MATRIX shows them."""
    return table(
        [
            ({"label": label, "predicted": label if right else other, "race": group}, n // 2)
            for group, right, n in (("a", 1, 154), ("a", 0, 46), ("b", 1, 56), ("b", 0, 44))
            for label, other in (("x", "y"), ("y", "x"))
        ]
    )


def only(found: pd.DataFrame, **chosen: object) -> dict[str, Any]:
    for name, wanted in chosen.items():
        found = found[found[name] == wanted]
    (row,) = found.to_dict(orient="records")
    return {str(name): each for name, each in row.items()}


def test_true_groups_stand_beside_estimated_ones() -> None:
    found = audit(estimated_faces(), groups=["race"], estimated={"race": MATRIX}, replicates=200)
    rows = found.tables["estimated"]
    for group, true, raw in (("a", 0.8, 0.77), ("b", 0.5, 0.56)):
        row = only(rows, kind="group", metric="accuracy", group=group)
        assert (row["value"], row["raw_value"]) == pytest.approx((true, raw))
        assert row["low"] < true < row["high"]
        assert row["raw_low"] < raw < row["raw_high"]
        assert (row["n"], row["status"]) == ({"a": 200, "b": 100}[group], "ok")
    share = only(rows, kind="group", metric="share", group="a")
    assert (share["value"], share["raw_value"]) == pytest.approx((2 / 3, 2 / 3))
    gap = only(rows, kind="largest gap", metric="accuracy")
    assert (gap["group"], gap["against"]) == (gap["raw_group"], gap["raw_against"]) == ("a", "b")
    assert (gap["value"], gap["raw_value"]) == pytest.approx((0.3, 0.21))
    assert gap["low"] < 0.3 < gap["high"]


def test_an_uncertain_matrix_widens_the_intervals() -> None:
    settings: dict[str, Any] = {"groups": ["race"], "estimated": {"race": MATRIX}}
    known, uncertain = (
        only(
            audit(estimated_faces(), **settings, estimated_rows=rows).tables["estimated"],
            kind="largest gap",
            metric="accuracy",
        )
        for rows in (None, {"race": {"a": 50, "b": 50}})
    )
    assert uncertain["high"] - uncertain["low"] > 1.1 * (known["high"] - known["low"])


@pytest.mark.parametrize(
    ("estimated", "rows", "words"),
    [
        ({"age": MATRIX}, {}, "estimated names age"),
        ({}, {"race": {"a": 5, "b": 5}}, "each with its matrix"),
        ({"race": {"a": {"a": 1}}}, {}, "exactly the groups a, b"),
        ({"race": MATRIX | {"c": {"c": 1}}}, {}, "exactly the groups a, b"),
        ({"race": {"a": {"c": 1}, "b": {"b": 1}}}, {}, "names the estimated groups c"),
        ({"race": {"a": {"a": 0.7}, "b": {"b": 1}}}, {}, "add up to"),
        ({"race": MATRIX}, {"race": {"a": 5}}, "has rows for a"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(
    estimated: Any,  # noqa: ANN401
    rows: Any,  # noqa: ANN401
    words: str,
) -> None:
    with pytest.raises(DataError) as refused:
        audit(estimated_faces(), groups=["race"], estimated=estimated, estimated_rows=rows)
    assert words in str(refused.value)


def expressions() -> pd.DataFrame:
    """40 neutral faces; one model reads 12 as negative and 4 as positive, the other 4 and 4."""
    return table(
        [
            ({"label": "calm", "one": "cross", "two": "calm", "sex": "f"}, 8),
            ({"label": "calm", "one": "cross", "two": "cross", "sex": "f"}, 4),
            ({"label": "calm", "one": "glad", "two": "glad", "sex": "f"}, 4),
            ({"label": "calm", "one": "calm", "two": "calm", "sex": "f"}, 24),
            ({"label": "glad", "one": "glad", "two": "glad", "sex": "f"}, 40),
            ({"label": "cross", "one": "cross", "two": "cross", "sex": "m"}, 40),
        ]
    )


VALENCES = {"calm": "neutral", "cross": "negative", "glad": "positive"}


def test_valences_are_read_and_models_compared() -> None:
    models = {"one": "one", "two": "two"}
    found = audit(expressions(), predicted=models, groups=["sex"], valences=VALENCES)
    chosen = {"attribute": "sex", "group": "f", "true": "neutral", "reading": "raw"}
    rows = found.tables["valence"]
    for model, negative, positive in (("one", 0.3, 0.1), ("two", 0.1, 0.1)):
        of_model = {"model": model, **chosen}
        assert only(rows, **of_model, read="negative")["value"] == pytest.approx(negative)
        assert only(rows, **of_model, read="positive")["value"] == pytest.approx(positive)
    row = only(found.tables["valence_differences"], **chosen, read="negative")
    assert (row["model"], row["against_model"]) == ("one", "two")
    assert (row["first_value"], row["second_value"]) == pytest.approx((0.3, 0.1))
    assert row["value"] == pytest.approx(0.2)
    assert 0 < row["low"] < 0.2 < row["high"]
    corrected = rows[rows["reading"] == "prior-corrected"]
    assert corrected["status"].str.contains("lack scores|empty").all()


def test_the_shares_of_the_training_are_divided_out() -> None:
    # Trained on nine glad faces of ten: .6 for glad is .06 / .9 of .4 / .1 without them.
    faces = pd.DataFrame({"label": ["calm", "glad"] * 20, "predicted": "glad"})
    faces = faces.assign(p_calm=0.4, p_glad=0.6)
    valences = {"calm": "neutral", "glad": "positive"}
    for further in (
        {"train_shares": {"predicted": {"calm": 0.1, "glad": 0.9}}},
        {"train_counts": {"predicted": {"all": np.array([[10, 90]])}}},
    ):
        rows = audit(faces, valences=valences, **further).tables["valence"]
        chosen = {"attribute": "all", "true": "neutral", "read": "positive"}
        assert only(rows, **chosen, reading="raw")["value"] == 1
        assert only(rows, **chosen, reading="prior-corrected")["value"] == 0
    assert "valence" not in audit(faces).tables


def answers() -> pd.DataFrame:
    """Labels tied to sex by 3 : 1, answers by 9 : 1."""
    cells = [("f", "x", "x", 30), ("f", "y", "x", 6), ("f", "y", "y", 4)]
    cells += [("m", "y", "y", 30), ("m", "x", "y", 6), ("m", "x", "x", 4)]
    return table(
        [({"sex": sex, "label": label, "predicted": said}, n) for sex, label, said, n in cells]
    )


def test_amplification_is_measured_where_the_composition_is_the_trainings() -> None:
    counts = named_counts("sex", {"f": {"x": 300, "y": 100}, "m": {"x": 100, "y": 300}}, "fm", "xy")
    found = audit(answers(), groups=["sex"], train_counts={"predicted": {"sex": counts}})
    row = only(found.tables["amplification"], metric="mals")
    assert (row["value"], row["distance"], row["status"]) == pytest.approx((0.15, 0, "ok"))
    # P(answer | sex) is .9 where P(label | sex) is .75.
    row = only(found.tables["amplification"], metric="directional A->T")
    assert row["value"] == pytest.approx(0.15)
    assert row["low"] < 0.15 < row["high"]
    other = audit(answers(), groups=["sex"], train_counts={"predicted": {"sex": counts[::-1]}})
    rows = other.tables["amplification"]
    assert rows["value"].isna().all()
    assert rows["status"].str.startswith("undefined: ").all()
    assert "amplification" not in audit(answers(), groups=["sex"]).tables


@pytest.mark.parametrize("rows", [{"x": -1}, {"x": 0.5}, {"z": 1}])
def test_counts_of_what_is_not_declared_are_refused(rows: dict[str, int]) -> None:
    with pytest.raises(DataError, match="train counts"):
        named_counts("sex", {"f": rows}, ["f", "m"], ["x", "y"])
