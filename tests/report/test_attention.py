import numpy as np
import pandas as pd
import pytest

from facebias.cam.averages import average
from facebias.report.attention import attention_means, measure_names, region_names

ATTRIBUTES = {"gender": ("female", "male", "diverse")}


def made(count: int = 60, seed: int = 0, **columns: object) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = {
        "run": "a, seed 0",
        "variant": "a",
        "seed": 0,
        "id": [f"face{number}" for number in range(count)],
        "label": random.choice(["happy", "sad"], count),
        "identity": [f"person{number}" for number in range(count)],
        "gender": random.choice(["female", "male"], count),
        "share_eyes": random.beta(2, 5, count),
        "share_mouth": random.beta(2, 9, count),
        "density_eyes": random.gamma(2, 1, count),
        "density_mouth": random.gamma(2, 1, count),
        "top20_eyes": random.beta(2, 5, count),
        "top20_mouth": random.beta(2, 5, count),
        "pointing": random.choice(["eyes", "mouth", "outside"], count),
        "outside": random.beta(2, 5, count),
        "centre_x": random.uniform(0.4, 0.6, count),
        "centre_y": random.uniform(0.4, 0.6, count),
        "spread": random.uniform(0.2, 0.3, count),
        "entropy": random.uniform(0.8, 0.9, count),
    }
    return pd.DataFrame(rows | columns)


def row_of(table: pd.DataFrame, group: str, measure: str, run: str = "a, seed 0") -> pd.Series:
    found = table[(table["run"] == run) & (table["group"] == group) & (table["measure"] == measure)]
    assert len(found) == 1
    return found.iloc[0]


def test_means_are_those_of_each_group() -> None:
    faces = pd.concat([made(), made(seed=1, run="b, seed 0", variant="b")], ignore_index=True)
    table = attention_means(faces, ATTRIBUTES)
    for run in ("a, seed 0", "b, seed 0"):
        own = faces[(faces["run"] == run) & (faces["gender"] == "male")]
        row = row_of(table, "male", "density_mouth", run)
        assert row["value"] == pytest.approx(own["density_mouth"].mean())
        assert (row["n"], row["units"], row["faces"]) == (len(own),) * 3
    assert set(table["measure"]) == {
        *measure_names(faces),
        *(f"pointing_{name}" for name in (*region_names(faces), "outside")),
    }


def test_pointing_is_the_share_of_faces() -> None:
    faces = made()
    table = attention_means(faces, ATTRIBUTES)
    row = row_of(table, "happy", "pointing_mouth")
    happy = faces[faces["label"] == "happy"]
    assert row["value"] == pytest.approx((happy["pointing"] == "mouth").mean())
    assert row["attribute"] == "label"


def test_a_measure_without_bounds_has_students_interval() -> None:
    faces = made(identity=[f"person{number // 3}" for number in range(60)])
    row = row_of(attention_means(faces, ATTRIBUTES), "all", "density_eyes")
    expected = average(faces["density_eyes"], list(faces["identity"]))
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert (row["n"], row["units"]) == (60, 20)


def test_a_person_whose_faces_agree_counts_once() -> None:
    once = made(20)
    thrice = once.loc[once.index.repeat(3)].reset_index(drop=True)
    alone = attention_means(once, {}, min_group=1)
    together = attention_means(thrice, {}, min_group=1)
    for name in ("value", "low", "high", "units"):
        assert np.allclose(alone[name], together[name], equal_nan=True), name


def test_shares_stay_within_0_and_1() -> None:
    faces = made(12, share_eyes=[0.98] * 11 + [0.1], pointing="eyes")
    table = attention_means(faces, {})
    share = row_of(table, "all", "share_eyes")
    assert 0 <= share["low"] < share["value"] < share["high"] <= 1
    pointing = row_of(table, "all", "pointing_eyes")
    assert pointing["value"] == pointing["high"] == 1
    assert 0.6 < pointing["low"] < 0.9  # of 12 faces, not certain


def test_an_undefined_map_counts_among_the_faces_only() -> None:
    faces = made(40)
    names = [*measure_names(faces), "pointing"]
    faces[names] = faces[names].astype(object)
    faces.loc[:9, names] = None
    faces[names[:-1]] = faces[names[:-1]].astype(float)
    row = row_of(attention_means(faces, {}), "all", "share_eyes")
    assert (row["n"], row["faces"]) == (30, 40)
    assert row["value"] == pytest.approx(faces["share_eyes"].iloc[10:].mean())
    pointing = row_of(attention_means(faces, {}), "all", "pointing_eyes")
    assert pointing["n"] == 30


def test_groups_without_faces_are_undefined_and_small_ones_marked() -> None:
    faces = made(40, gender=["female"] * 35 + ["male"] * 4 + ["unknown"])
    table = attention_means(faces, ATTRIBUTES, min_group=30)
    empty = row_of(table, "diverse", "share_eyes")
    assert np.isnan([empty["value"], empty["low"], empty["high"]]).all()
    said = {group: row_of(table, group, "entropy")["status"] for group in table["group"].unique()}
    assert said["female"] == "ok"
    assert (said["diverse"], said["male"], said["unknown"]) == ("empty", "too small", "too small")
    one = row_of(table, "unknown", "share_eyes")
    assert np.isfinite(one["value"])
    assert np.isnan([one["low"], one["high"]]).all()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        own = np.repeat(random.beta(4, 8, 25), 2)  # persons differ, their two faces do not much
        share = np.clip(own + random.normal(0, 0.02, 50), 0, 1)
        people = [f"person{number // 2}" for number in range(50)]
        table = attention_means(made(50, seed, share_eyes=share, identity=people), {})
        row = row_of(table, "all", "share_eyes")
        held.append(row["low"] <= 1 / 3 <= row["high"])
    assert 0.88 <= np.mean(held) <= 0.99
