from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.bias import AllFaces, compose
from facebias.data.composition import largest_remainder
from facebias.data.label_noise import TRUE_LABEL, LabelNoise, noise_line
from facebias.data.table import FaceTable
from facebias.errors import DataError
from tests.data.made_tables import face_rows, random_table, shuffled

CLASSES = ("happy", "neutral", "sad", "angry")


def table_of(count: int, seed: int = 0) -> FaceTable:
    """Return faces of four labels, a fifth of them in test."""
    made = random_table(count, seed)
    labels = pd.Series(CLASSES).sample(count, replace=True, random_state=seed)
    splits = (["train"] * 4 + ["test"]) * (count // 5)
    rows = made.rows.assign(label=labels.tolist(), split=splits)
    return FaceTable(rows, made.root, CLASSES, made.attributes)


def noisy(table: FaceTable, rate: float, towards: str | None = None, seed: int = 0) -> pd.DataFrame:
    bias = LabelNoise("noisy", "gender", "female", rate, towards)
    return compose(table, bias, seed).rows.set_index("id")


def changed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["label"] != rows[TRUE_LABEL]]


@given(
    st.integers(5, 30),
    st.integers(0, 1000),
    st.tuples(*[st.integers(0, 20)] * 2),
    st.sampled_from([None, "happy"]),
)
def test_just_the_rate_is_changed_in_the_group_alone_and_rates_are_nested(
    fifths: int, seed: int, twentieths: tuple[int, int], towards: str | None
) -> None:
    table = table_of(5 * fifths, seed)
    source = table.rows.set_index("id")
    group = source[(source["split"] == "train") & (source["gender"] == "female")]
    eligible = group[group["label"] != towards]
    if eligible.empty:
        return
    found = []
    for n in sorted(twentieths):
        rows = noisy(table, n / 20, towards, seed)
        assert (rows[TRUE_LABEL] == source["label"]).all()
        wrong = changed(rows)
        assert set(wrong.index) <= set(eligible.index)
        assert len(wrong) == largest_remainder(len(eligible), [n, 20 - n])[0]
        exact = eligible["label"].value_counts() * len(wrong) / len(eligible)
        counts = wrong[TRUE_LABEL].value_counts().reindex(exact.index, fill_value=0)
        assert (abs(counts - exact) < 1).all()
        assert towards is None or set(wrong["label"]) <= {towards}
        found.append(wrong["label"])
    for smaller, larger in pairwise(found):
        assert larger.reindex(smaller.index).equals(smaller)


def test_wrong_labels_are_each_other_one_equally_often() -> None:
    wrong = changed(noisy(table_of(1000), 0.5))
    for label, faces in wrong.groupby(TRUE_LABEL):
        counts = faces["label"].value_counts().reindex([n for n in CLASSES if n != label])
        assert counts.max() - counts.min() <= 1


def test_every_face_is_taken_and_the_order_of_rows_plays_no_part() -> None:
    table = table_of(200)
    rows = noisy(table, 0.3)
    assert (rows["left_out"] == "").all()
    other = noisy(shuffled(table), 0.3)
    pd.testing.assert_frame_equal(other.sort_index(), rows.sort_index())
    assert set(changed(noisy(table, 0.3, seed=1)).index) != set(changed(rows).index)


def test_noise_is_marked_and_its_absence_is_not() -> None:
    table = table_of(200)
    bias = LabelNoise("noisy", "gender", "female", 0.25)
    composed = compose(table, bias, 0)
    wrong = len(changed(composed.rows))
    line = noise_line(composed.rows)
    assert line is not None
    assert line.startswith(f"LABEL NOISE: {wrong} of 160 train faces have a wrong label")
    assert noise_line(compose(table, AllFaces(), 0).rows) is None


def test_what_does_not_exist_is_told() -> None:
    table = table_of(50)
    with pytest.raises(DataError, match=r"bias\.rate=1\.5"):
        LabelNoise("noisy", "gender", "female", 1.5)
    with pytest.raises(DataError, match=r"bias\.group is 'women'"):
        compose(table, LabelNoise("noisy", "gender", "women"), 0)
    with pytest.raises(DataError, match=r"bias\.towards is 'joy'"):
        compose(table, LabelNoise("noisy", "gender", "female", towards="joy"), 0)
    rows = face_rows(["happy"], splits=["train"])
    happy = FaceTable(rows, table.root, CLASSES, table.attributes)
    with pytest.raises(DataError, match="no train face of gender female"):
        compose(happy, LabelNoise("noisy", "gender", "female", towards="happy"), 0)
