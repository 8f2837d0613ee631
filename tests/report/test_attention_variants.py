from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.errors import DataError
from facebias.fairness.crossed import crossed_groups, estimate
from facebias.fairness.settings import Settings
from facebias.report.attention import attention_means
from facebias.report.attention_variants import _square, attention_by_variant

ATTRIBUTES = {"gender": ("female", "male", "diverse")}


def rows_of(variant: str, seed: int, count: int = 24, persons: int = 24) -> pd.DataFrame:
    random = np.random.default_rng([seed, *variant.encode()])
    eyes = random.uniform(0.1, 0.5, count)
    return pd.DataFrame(
        {
            "run": f"{variant}, seed {seed}",
            "variant": variant,
            "seed": seed,
            "id": [f"face{number:02d}" for number in range(count)],
            "label": ["happy", "neutral"] * (count // 2),
            "identity": [f"person{number % persons}" for number in range(count)],
            "gender": ["female"] * (count - 4) + ["male"] * 4,
            "share_eyes": eyes,
            "density_eyes": 4 * eyes,
            "top20_eyes": eyes,
            "pointing": "eyes",
            "outside": 1 - eyes,
        }
    )


def row_of(table: pd.DataFrame, variant: str, group: str, measure: str) -> dict[str, Any]:
    keys = table["variant"], table["group"], table["measure"]
    mask = (keys[0] == variant) & (keys[1] == group) & (keys[2] == measure)
    (row,) = table[mask].to_dict(orient="records")
    return {str(name): value for name, value in row.items()}


def test_a_variant_has_the_mean_of_its_seeds() -> None:
    runs = [rows_of("one", seed) for seed in range(3)] + [rows_of("other", 0)]
    table = attention_by_variant(pd.concat(runs), ATTRIBUTES, min_group=10)
    row = row_of(table, "one", "female", "share_eyes")
    own = [each.loc[each["gender"] == "female", "share_eyes"].mean() for each in runs[:3]]
    assert row["value"] == pytest.approx(np.mean(own))
    assert row["low"] < row["value"] < row["high"]
    assert (row["seeds"], row["n"], row["units"], row["status"]) == (3, 20, 20, "ok")
    assert row["resampled"] == "seeds x persons"
    assert row_of(table, "one", "male", "share_eyes")["status"] == "too small"
    nobody = row_of(table, "one", "diverse", "share_eyes")
    assert (nobody["n"], nobody["status"]) == (0, "empty")
    assert np.isnan([nobody["value"], nobody["low"]]).all()


def test_one_seed_has_the_interval_of_its_faces() -> None:
    rows = rows_of("one", 0, persons=6)
    table = attention_by_variant(rows, ATTRIBUTES)
    alone = attention_means(rows, ATTRIBUTES)
    for name in ("value", "low", "high", "n", "units", "faces", "status"):
        assert table[name].tolist() == pytest.approx(alone[name].tolist(), nan_ok=True), name
    assert set(table["resampled"]) == {"persons"}


def test_faces_without_a_map_in_any_run_count_in_none() -> None:
    runs = [rows_of("one", seed) for seed in range(2)]
    runs[1].loc[:4, ["share_eyes", "density_eyes", "top20_eyes", "outside"]] = np.nan
    row = row_of(attention_by_variant(pd.concat(runs), ATTRIBUTES), "one", "all", "share_eyes")
    assert (row["n"], row["faces"]) == (19, 24)
    assert row["value"] == pytest.approx(np.mean([each["share_eyes"][5:].mean() for each in runs]))


def test_runs_of_other_faces_have_no_mean() -> None:
    runs = [rows_of("one", 0), rows_of("one", 1).iloc[::-1]]
    with pytest.raises(DataError, match="different faces"):
        attention_by_variant(pd.concat(runs), ATTRIBUTES)


@given(seeds=st.integers(2, 5), persons=st.sampled_from((6, 20)), random=st.integers(0, 2**32 - 1))
def test_the_interval_is_that_of_seeds_and_faces_crossed(
    seeds: int, persons: int, random: int
) -> None:
    drawn = np.random.default_rng(random)
    faces = drawn.uniform(0.2, 0.9, 20)
    hits = drawn.random((seeds, 20)) < faces
    who = np.arange(20) % persons
    tables = [
        pd.DataFrame(
            {
                "id": [f"face{number}" for number in range(20)],
                "label": "a",
                "predicted": np.where(own, "a", "b"),
                "p_a": np.where(own, 0.9, 0.1),
                "p_b": np.where(own, 0.1, 0.9),
                "identity": [f"person{each}" for each in who],
            }
        )
        for own in hits
    ]
    (crossed, *_) = crossed_groups([tables], ("a", "b"), {}, (), Settings(), ("accuracy",))
    expected = estimate(crossed, (0,), 0.95).half_width
    half = float(np.sqrt(_square(hits[..., None].astype(float), who))[0])
    if np.isfinite(expected):
        assert half == pytest.approx(expected, rel=1e-4)
