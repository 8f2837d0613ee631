from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from facebias.cam import between
from facebias.cam.between import compare_attention, compare_maps
from facebias.cam.similarity import jensen_shannon, rank_correlation
from facebias.errors import DataError

Values = NDArray[np.float64]


def table(variants: dict[str, Values], regions: tuple[str, ...] = ("eyes",)) -> pd.DataFrame:
    """Return what `compare_attention` takes of each variant's values (seeds, faces, regions)."""
    rows = [
        {"run": f"{variant} {seed}", "variant": variant, "seed": seed, "id": f"face {face}"}
        | {f"share_{name}": values[seed, face, place] for place, name in enumerate(regions)}
        for variant, values in variants.items()
        for seed, face in np.ndindex(*values.shape[:2])
    ]
    return pd.DataFrame(rows)


def one_region(*seeds: float) -> Values:
    """Return a value a seed, on two faces that differ by as much in every model."""
    return np.asarray(np.array(seeds)[:, None, None] + np.array([-0.1, 0.1])[None, :, None])


def drawn(seeds: int, regions: int, rng: np.random.Generator, mean: float = 0.0) -> Values:
    """Return what seeds of one variant do: a model's own part, and a face's."""
    model, face = rng.normal(mean, 1, (seeds, 1, regions)), rng.normal(0, 3, (1, 4, regions))
    return np.asarray(model + face + rng.normal(0, 0.1, (seeds, 4, regions)))


def row(found: pd.DataFrame, **chosen: Any) -> "pd.Series[Any]":  # noqa: ANN401
    for name, value in chosen.items():
        found = found[found[name] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_five_seeds_each_worked_out_by_hand() -> None:
    apart = {
        "a": one_region(0.50, 0.52, 0.54, 0.56, 0.58),
        "b": one_region(0.40, 0.41, 0.42, 0.43, 0.44),
    }
    found = row(compare_attention(table(apart)))
    assert found["difference"] == pytest.approx(0.54 - 0.42)
    assert (found["first_seeds"], found["second_seeds"], found["n"]) == (5, 5, 2)
    # All ten models are in order: only this way and the opposite one part them so.
    assert found["p"] == found["p_adjusted"] == pytest.approx(2 / 252)
    assert found["verdict"] == "different"
    spreads = 0.02 * np.sqrt(2.5), 0.01 * np.sqrt(2.5)
    assert (found["first_spread"], found["second_spread"]) == pytest.approx(spreads)
    wanted = stats.ttest_ind(
        [0.50, 0.52, 0.54, 0.56, 0.58], [0.40, 0.41, 0.42, 0.43, 0.44], equal_var=False
    ).confidence_interval()
    assert (found["low"], found["high"]) == pytest.approx((wanted.low, wanted.high))


def test_one_seed_across_the_border_makes_p_four_of_252() -> None:
    # Of the 252 ways only the ordered one and this one, and their opposites, are as far apart.
    crossed = {"a": one_region(6, 7, 8, 9, 5), "b": one_region(1, 2, 3, 4, 5.5)}
    assert row(compare_attention(table(crossed)))["p"] == pytest.approx(4 / 252)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_p_is_that_of_scipy_with_all_permutations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = drawn(5, 1, rng, 0.5), drawn(6, 1, rng)
    second += (first.mean(axis=0) - second.mean(axis=0)) * 0.5
    found = row(compare_attention(table({"a": first, "b": second})))
    wanted = stats.permutation_test(
        (first.mean(axis=(1, 2)), second.mean(axis=(1, 2))),
        lambda one, other: abs(one.mean() - other.mean()),
        n_resamples=np.inf,
        alternative="greater",
    )
    assert found["p"] == pytest.approx(wanted.pvalue)


def test_the_adjusted_p_is_that_of_the_largest_of_all_regions() -> None:
    rng = np.random.default_rng(3)
    values = {"a": drawn(5, 3, rng, 0.9), "b": drawn(5, 3, rng)}
    found = compare_attention(table(values, ("eyes", "nose", "mouth")))
    means = np.concatenate([each.mean(axis=1) for each in values.values()])
    scaled = (means - means.mean(axis=0)) / means.std(axis=0)
    largest = [
        np.abs(scaled[list(chosen)].mean(axis=0) * 2).max() for chosen in combinations(range(10), 5)
    ]
    true = np.abs(scaled[:5].mean(axis=0) * 2)
    wanted = [float((np.array(largest) >= value - 1e-9).mean()) for value in true]
    assert found["p_adjusted"].tolist() == pytest.approx(wanted)
    assert (found["p_adjusted"] >= found["p"]).all()


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_with_fewer_than_five_seeds_it_is_descriptive(seeds: int) -> None:
    rng = np.random.default_rng(0)
    found = row(compare_attention(table({"a": drawn(seeds, 1, rng, 9), "b": drawn(7, 1, rng)})))
    assert np.isnan([found["p"], found["p_adjusted"]]).all()
    assert found["verdict"] == "descriptive"
    assert found["difference"] > 5
    assert np.isnan([found["low"], found["high"]]).all() == (seeds == 1)


def test_only_faces_with_a_value_in_every_model_count() -> None:
    first, second = one_region(1, 2, 3, 4, 5), one_region(1, 2, 3, 4, 5)
    second[3, 0] = np.nan
    found = row(compare_attention(table({"a": first, "b": second})))
    assert found["n"] == 1
    assert found["difference"] == pytest.approx(0)
    assert found["first_value"] == pytest.approx(3.1)


def test_a_region_of_no_face_is_undefined_and_spoils_no_other() -> None:
    rng = np.random.default_rng(0)
    values = {"a": drawn(5, 2, rng, 9), "b": drawn(5, 2, rng)}
    alone = compare_attention(table({name: each[..., :1] for name, each in values.items()}))
    values["a"][2, :, 1] = np.nan
    found = compare_attention(table(values, ("eyes", "nose")))
    nose = row(found, region="nose")
    assert nose["n"] == 0
    assert np.isnan(nose[["difference", "p", "p_adjusted"]].astype(float)).all()
    assert nose["verdict"] == ""
    pd.testing.assert_series_equal(row(found, region="eyes"), row(alone))


def test_models_that_all_do_the_same_are_not_told_apart() -> None:
    same = one_region(0.3, 0.3, 0.3, 0.3, 0.3)
    found = row(compare_attention(table({"a": same, "b": same})))
    assert (found["difference"], found["p"], found["verdict"]) == (0, 1, "not told apart")
    assert found["low"] == found["high"] == 0


def test_pairs_of_variants_share_the_error() -> None:
    rng = np.random.default_rng(0)
    variants = {name: drawn(5, 1, rng, mean) for name, mean in (("a", 9), ("b", 0), ("c", -9))}
    found = compare_attention(table(variants))
    assert [tuple(pair) for pair in found[["first", "second"]].to_numpy()] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert found["p_adjusted"].tolist() == pytest.approx([3 * 2 / 252] * 3)
    against = compare_attention(table(variants), against="b")
    assert against[["first", "second"]].to_numpy().tolist() == [["a", "b"], ["c", "b"]]
    assert against["p_adjusted"].tolist() == pytest.approx([2 * 2 / 252] * 2)


def test_a_variant_with_too_few_seeds_takes_nothing_from_the_others() -> None:
    rng = np.random.default_rng(4)
    variants = {"a": drawn(5, 1, rng, 9), "b": drawn(5, 1, rng)}
    alone = row(compare_attention(table(variants)))
    beside = compare_attention(table(variants | {"c": drawn(2, 1, rng)}))
    assert row(beside, first="a", second="b")["p_adjusted"] == alone["p_adjusted"] == alone["p"]


def test_attention_outside_of_the_face_is_compared_too() -> None:
    rows = table({"a": one_region(1), "b": one_region(2)}).assign(outside=0.25, entropy=0.5)
    assert compare_attention(rows)["region"].tolist() == ["eyes", "outside"]


def test_what_cannot_be_compared_is_refused() -> None:
    rows = table({"a": one_region(1, 2), "b": one_region(1, 2)})
    with pytest.raises(DataError, match="without seed"):
        compare_attention(rows.drop(columns="seed"))
    with pytest.raises(DataError, match="without shares"):
        compare_attention(rows.drop(columns="share_eyes"))
    with pytest.raises(DataError, match="'a 1' has 1 faces"):
        compare_attention(rows.drop(index=2))
    with pytest.raises(DataError, match="same faces"):
        compare_attention(pd.concat([rows, rows.iloc[:1]]))
    with pytest.raises(DataError, match="Variants: a"):
        compare_attention(rows[rows["variant"] == "a"])
    with pytest.raises(DataError, match="one of them 'c'"):
        compare_attention(rows, against="c")
    with pytest.raises(DataError, match="'a' and seed 0"):
        compare_attention(rows.assign(seed=0))
    with pytest.raises(DataError, match="named class"):
        compare_attention(rows.assign(target=np.where(rows["run"] == "a 1", "sad", "happy")))
    by_face = rows.assign(target=np.where(rows["id"] == "face 1", "sad", "happy"))
    assert len(compare_attention(by_face)) == 1


def models(*, apart: float, seeds: int = 5) -> dict[str, Values]:
    """Return maps of two variants that look at opposite corners, the more the farther apart."""
    rng = np.random.default_rng(0)
    maps = rng.random((2 * seeds, 3, 4, 4))
    maps[:seeds, :, :2, :2] += apart
    maps[seeds:, :, 2:, 2:] += apart
    return {f"{'ab'[place // seeds]}{place}": each for place, each in enumerate(maps)}


def variants_of(maps: dict[str, Values]) -> dict[str, str]:
    return {run: run[0] for run in maps}


def test_maps_that_lie_apart_are_told_apart() -> None:
    maps = models(apart=5)
    found = compare_maps(maps, variants_of(maps))
    assert found["measure"].tolist() == ["rank correlation", "Jensen-Shannon distance"]
    # Both ways round are the same distance: 2 of 252, times two measures.
    assert found["p"].tolist() == pytest.approx([2 / 252] * 2)
    assert found["p_adjusted"].tolist() == pytest.approx([4 / 252] * 2)
    assert found["verdict"].tolist() == ["different"] * 2
    ranks, distances = (found.iloc[place] for place in (0, 1))
    assert ranks["between"] < min(ranks["within_first"], ranks["within_second"])
    assert distances["between"] > max(distances["within_first"], distances["within_second"])


def test_maps_of_one_kind_are_not_told_apart() -> None:
    maps = models(apart=0)
    assert compare_maps(maps, variants_of(maps))["verdict"].tolist() == ["not told apart"] * 2


@pytest.mark.parametrize("seeds", [5, 6])
def test_means_and_p_of_maps_by_brute_force(seeds: int) -> None:
    maps = models(apart=0.1)
    if seeds == 6:
        maps["b10"] = np.broadcast_to(np.eye(4), (3, 4, 4))
    found = compare_maps(maps, variants_of(maps))
    values = list(maps.values())
    for place, (measure, sign) in enumerate(((rank_correlation, -1), (jensen_shannon, 1))):
        close = np.array([[measure(one, two).mean() for two in values] for one in values])

        def mean(pairs: list[tuple[int, int]], close: Values = close) -> float:
            return float(np.mean([close[pair] for pair in pairs]))

        def separation(first: tuple[int, ...], close: Values = close, sign: int = sign) -> float:
            second = [model for model in range(len(close)) if model not in first]
            across = mean([(one, two) for one in first for two in second], close)
            own = [mean(list(permutations(group, 2)), close) for group in (first, second)]
            return sign * (across - sum(own) / 2)

        ways = [separation(chosen) for chosen in combinations(range(len(values)), 5)]
        assert found["p"][place] == pytest.approx((np.array(ways) >= ways[0] - 1e-9).mean())
        across = [(one, two) for one in range(5) for two in range(5, len(values))]
        assert found["between"][place] == pytest.approx(mean(across))
        assert found["within_first"][place] == pytest.approx(mean(list(combinations(range(5), 2))))


def test_faces_without_a_map_in_one_model_count_in_none() -> None:
    maps = models(apart=5, seeds=2)
    without = {run: each[1:] for run, each in maps.items()}
    broken = {run: each.copy() for run, each in maps.items()}
    broken["a0"][0], broken["b2"][0] = np.nan, 1
    found, wanted = (compare_maps(each, variants_of(each)) for each in (broken, without))
    pd.testing.assert_frame_equal(found, wanted)
    assert found["n"].tolist() == [2, 2]
    assert found["verdict"].tolist() == ["descriptive"] * 2
    nothing = {run: np.full((3, 4, 4), np.nan) for run in maps}
    found = compare_maps(nothing, variants_of(nothing))
    assert (found["n"].tolist(), found["verdict"].tolist()) == ([0, 0], ["", ""])
    assert found[["between", "within_first", "p"]].isna().all(axis=None)


def test_faces_in_parts_are_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = models(apart=1)
    whole = compare_maps(maps, variants_of(maps))
    monkeypatch.setattr(between, "_NUMBERS", 2 * 10 * 16)
    pd.testing.assert_frame_equal(compare_maps(maps, variants_of(maps)), whole)


def test_maps_that_cannot_be_compared_are_refused() -> None:
    maps = models(apart=1, seeds=1)
    with pytest.raises(DataError, match="'b1' has no variant"):
        compare_maps(maps, {"a0": "a"})
    with pytest.raises(DataError, match="the same in every run"):
        compare_maps({**maps, "b1": maps["b1"][:2]}, variants_of(maps))


def test_with_many_models_ways_are_drawn_and_the_true_one_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    values = table({"a": drawn(5, 1, rng, 9), "b": drawn(5, 1, rng)})
    monkeypatch.setattr(between, "_ALL", 251)
    monkeypatch.setattr(between, "_DRAWN", 999)
    p = row(compare_attention(values))["p"]
    assert 1 / 1000 <= p <= 2 / 252 + 4 * np.sqrt(2 / 252 / 1000) + 1 / 1000


def test_under_the_null_hypothesis_few_tables_find_anything() -> None:
    """Of 200 tables with 6 regions at most 5 % and chance may have a false finding."""
    rng = np.random.default_rng(1)
    false = []
    for _ in range(200):
        means = rng.normal(size=(10, 6)) + 2 * rng.normal(size=(10, 1))
        values = {"a": means[:5, None], "b": means[5:, None]}
        found = compare_attention(table(values, tuple("uvwxyz")))
        false.append((found["verdict"] == "different").any())
    assert stats.binomtest(sum(false), 200, 0.05, alternative="greater").pvalue > 0.01
    assert sum(false) > 0
