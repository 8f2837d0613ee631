import numpy as np
import pandas as pd
import pytest

from facebias.data.choice import choose_faces

ATTRIBUTES = {"gender": ("female", "male"), "age": ("young", "old")}


def predictions(count: int = 200, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    share = random.random(count)
    return pd.DataFrame(
        {
            "id": [f"face{number}" for number in range(count)],
            "label": random.choice(["happy", "sad"], count),
            "predicted": np.where(share >= 0.5, "happy", "sad"),
            "p_happy": share,
            "p_sad": 1 - share,
            "gender": random.choice(["female", "male", "unknown"], count),
            "age": random.choice(["young", "old"], count),
        }
    )


def test_each_combination_gets_correct_and_wrong_faces() -> None:
    table = predictions()
    chosen = choose_faces(table, ATTRIBUTES, 3, 0)
    sizes = chosen.groupby(["group", "correct"]).size()
    assert len(sizes) == 10  # two genders x two ages, and those not known
    assert (sizes == 3).all()
    for row in chosen.to_dict("records"):
        source = table.iloc[row["position"]]
        assert row["id"] == source["id"]
        known = "unknown" not in (source["gender"], source["age"])
        assert row["group"] == (f"{source['gender']}, {source['age']}" if known else "not known")
        assert row["correct"] == (source["label"] == source["predicted"])


def test_the_choice_is_a_function_of_id_and_seed() -> None:
    table = predictions()
    chosen = choose_faces(table, ATTRIBUTES, 3, 0)
    moved = choose_faces(table.sample(frac=1, random_state=1), ATTRIBUTES, 3, 0)
    assert moved["id"].tolist() == chosen["id"].tolist()
    assert choose_faces(table, ATTRIBUTES, 3, 1)["id"].tolist() != chosen["id"].tolist()


def test_another_model_that_agrees_shows_the_same_faces() -> None:
    table = predictions()
    other = table.assign(p_happy=table["p_happy"] ** 0.1)
    chosen = choose_faces(table, ATTRIBUTES, 3, 0)
    assert choose_faces(other, ATTRIBUTES, 3, 0)["id"].tolist() == chosen["id"].tolist()


def test_a_group_with_fewer_faces_gives_what_it_has() -> None:
    table = predictions(8)
    assert len(choose_faces(table, {}, 100, 0)) == 8
    assert set(choose_faces(table, {}, 1, 0)["group"]) == {"all"}


def test_many_combinations_are_shown_by_attribute() -> None:
    many = {"gender": ("female", "male"), "age": tuple(f"age{number}" for number in range(9))}
    table = predictions().assign(age="age3")
    groups = set(choose_faces(table, many, 1, 0)["group"])
    assert groups == {"gender: female", "gender: male", "age: age3"}


def test_titles_say_what_was_taken_for_what() -> None:
    table = predictions(3).assign(
        label=["sad", "happy", None], predicted="happy", p_happy=[0.714, 0.9, 0.5]
    )
    chosen = choose_faces(table, {}, 3, 0).set_index("id")
    assert chosen.loc["face0", "title"] == "sad → happy 0.71"
    assert chosen.loc["face1", "title"] == "happy 0.90"
    assert chosen.loc["face2", "title"] == "happy 0.50"


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_unlabelled_faces_are_neither_correct_nor_wrong(missing: object) -> None:
    table = predictions(5).assign(label=pd.Series([missing] * 5, dtype=object))
    assert choose_faces(table, {}, 5, 0)["correct"].tolist() == [None] * 5


def test_faces_of_unknown_groups_are_shown_too() -> None:
    table = predictions().assign(gender="unknown")
    chosen = choose_faces(table, {"gender": ("female", "male")}, 2, 0)
    assert set(chosen["group"]) == {"not known"}
