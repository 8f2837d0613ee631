import numpy as np
import pandas as pd

from facebias.data.predictions import predictions_table
from tests.data.made_tables import face_rows, face_table

PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], np.float32)


def predicted() -> pd.DataFrame:
    rows = face_rows(
        ["happy", "happy", None],
        genders=["female", "unknown", "male"],
        splits=["test"] * 3,
    ).set_index(pd.Index([7, 3, 5]))
    return predictions_table(face_table(rows), rows, PROBABILITIES, run="first", seed=4)


def test_columns_stand_in_the_documented_order() -> None:
    assert list(predicted().columns) == [
        "id", "run", "seed", "split", "label", "predicted", "p_happy", "p_neutral", "gender",
        "identity",
    ]  # fmt: skip


def test_every_face_keeps_its_own_probabilities() -> None:
    table = predicted()
    assert table.index.tolist() == [0, 1, 2]
    assert table["id"].tolist() == ["face0.png", "face1.png", "face2.png"]
    np.testing.assert_array_equal(table[["p_happy", "p_neutral"]].to_numpy(), PROBABILITIES)
    assert table["gender"].tolist() == ["female", "unknown", "male"]
    assert set(table["run"]) == {"first"}
    assert set(table["seed"]) == {4}


def test_the_largest_probability_predicts_and_a_tie_goes_to_the_first() -> None:
    assert predicted()["predicted"].tolist() == ["happy", "neutral", "happy"]


def test_an_unknown_label_is_missing() -> None:
    assert predicted()["label"].isna().tolist() == [False, False, True]


def test_pairs_of_counterfactual_faces_stand_before_the_split() -> None:
    rows = face_rows(["happy"] * 3, splits=["test"] * 3)
    rows = rows.assign(pair=["a", "a", "b"], pair_factor="age", pair_value=["10", "70", "10"])
    table = predictions_table(face_table(rows), rows, PROBABILITIES, run="first")
    assert list(table.columns[:6]) == ["id", "run", "pair", "pair_factor", "pair_value", "split"]
    assert table["pair_value"].tolist() == ["10", "70", "10"]
