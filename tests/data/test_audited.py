"""Reading somebody else's predictions: joins, values and what is said of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.audited import (
    AuditColumns,
    AuditedFaces,
    AuditValues,
    Note,
    natural_order,
    read_audited,
)
from facebias.errors import ConfigError, DataError

SEX = ["female", "male", "female", "male", "female", "male"]
SAID = ["female", "male", "male", "male", "female", "female"]
AGE = ["3-9", "10-19", "more than 70", "3-9", "10-19", "20-29"]
KEYS = [f"f{number}" for number in range(6)]


def table() -> pd.DataFrame:
    return pd.DataFrame({"id": KEYS, "sex": SEX, "age": AGE, "said": SAID})


def written(folder: Path, rows: pd.DataFrame, name: str = "one.csv") -> Path:
    path = folder / name
    if path.suffix == ".parquet":
        rows.to_parquet(path, index=False)
    else:
        rows.to_csv(path, index=False)
    return path


def read(path: Path, *, groups: tuple[str, ...] = ("age",), **values: object) -> AuditedFaces:
    columns = AuditColumns("sex", "said", groups)
    return read_audited({"one": path}, columns, AuditValues(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["one.csv", "one.parquet", "one.json"])
def test_a_file_is_read_with_its_classes_and_groups_in_order(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("json"):
        table().to_json(path, orient="records")
    else:
        written(tmp_path, table(), name)
    faces = read(path)
    assert faces.classes == ("female", "male")
    assert faces.attributes == {"age": ("3-9", "10-19", "20-29", "more than 70")}
    assert faces.rows["label"].tolist() == SEX
    assert faces.rows["one: predicted"].tolist() == SAID
    assert faces.rows["age"].tolist() == AGE
    assert faces.notes == (Note("read", name, "", 6),)


def joined(folder: Path, truth: pd.DataFrame, answers: pd.DataFrame, kind: str) -> AuditedFaces:
    return read_audited(
        {"one": written(folder, answers, f"answers.{kind}")},
        AuditColumns("sex", "sex", ("age",), key="id"),
        AuditValues(),
        written(folder, truth, "truth.csv"),
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_truth_is_joined_by_key_whatever_the_order_and_the_kind(tmp_path: Path, kind: str) -> None:
    answers = pd.DataFrame({"id": range(6), "sex": SAID}).sample(frac=1, random_state=0)
    faces = joined(tmp_path, table().assign(id=range(6)).drop(columns="said"), answers, kind)
    assert faces.rows["one: predicted"].tolist() == SAID
    assert [note.kind for note in faces.notes] == ["read", "read"]


def test_rows_without_partner_are_counted_on_both_sides(tmp_path: Path) -> None:
    answers = pd.DataFrame({"id": ["f1", "f2", "f3", "f4", "f5", "x", "y"], "sex": [*SAID, "male"]})
    faces = joined(tmp_path, table().drop(columns="said"), answers, "csv")
    assert Note("no partner", "truth.csv", "f0", 1) in faces.notes
    assert Note("no partner", "answers.csv", "x, y", 2) in faces.notes
    assert Note("no answer", "one", "", 1) in faces.notes
    assert faces.rows["one: predicted"].isna().tolist() == [True, *[False] * 5]
    assert len(faces.rows) == 6


def test_several_models_stand_beside_each_other(tmp_path: Path) -> None:
    other = pd.DataFrame({"id": KEYS[::-1], "said": SEX[::-1]})
    files = {
        "a": written(tmp_path, table()),
        "b": written(tmp_path, other, "b.csv"),
    }
    faces = read_audited(files, AuditColumns("sex", "said", ("age",), key="id"), AuditValues())
    assert faces.models == ("a", "b")
    assert faces.rows["a: predicted"].tolist() == SAID
    assert faces.rows["b: predicted"].tolist() == SEX


def test_values_are_mapped_to_classes_and_groups(tmp_path: Path) -> None:
    coded = table().assign(sex=[0, 1, 0, 1, 0, None], said=["w", "m", "w", "m", "w", "m"])
    path = written(tmp_path, coded, "one.parquet")
    faces = read(
        path,
        label_map={"0": "female", "1": "male"},
        predicted_map={"w": "female", "m": "male"},
        group_map={"age": {"3-9": "child", "10-19": "child", "20-29": "adult", "80+": "adult"}},
    )
    assert faces.rows["label"].tolist()[:5] == SEX[:5]
    assert faces.rows["one: predicted"].tolist() == ["female", "male"] * 3
    assert set(faces.attributes["age"]) == {"child", "adult", "more than 70"}
    assert Note("no label", "sex", "", 1) in faces.notes
    assert Note("map unused", "age", "80+", 0) in faces.notes


def test_a_map_of_the_truth_serves_the_predictions_too(tmp_path: Path) -> None:
    coded = table().assign(sex=[0, 1, 0, 1, 0, 1], said=[0, 1, 1, 1, 0, 0])
    faces = read(written(tmp_path, coded), label_map={"0": "female", "1": "male"})
    assert faces.rows["one: predicted"].tolist() == SAID
    assert [note.kind for note in faces.notes] == ["read"]


def test_an_undeclared_value_is_refused_with_its_count(tmp_path: Path) -> None:
    path = written(tmp_path, table().assign(said=[*SAID[:4], "robot", "robot"]))
    with pytest.raises(DataError, match=r"'robot' \(2 rows\)") as refused:
        read(path)
    assert "female, male" in refused.value.expected
    assert "unmapped=report" in refused.value.todo


def test_unmapped_values_are_reported_and_their_rows_stay(tmp_path: Path) -> None:
    rows = table().assign(said=[*SAID[:4], "robot", "robot"])
    faces = read(
        written(tmp_path, rows), unmapped="report", attributes={"age": ("3-9", "10-19", "90+")}
    )
    assert len(faces.rows) == 6
    assert Note("unmapped", "one: predicted", "robot", 2) in faces.notes
    assert Note("no answer", "one", "", 2) in faces.notes
    assert Note("unmapped", "age", "more than 70", 1) in faces.notes
    assert Note("unknown group", "age", "", 2) in faces.notes
    assert faces.rows["age"].tolist() == ["3-9", "10-19", "unknown", "3-9", "10-19", "unknown"]
    assert faces.attributes["age"] == ("3-9", "10-19", "90+")


@pytest.mark.parametrize("nothing", ["", "unknown", "NA", "none", "?"])
def test_groups_that_nobody_knows_are_no_group(tmp_path: Path, nothing: str) -> None:
    faces = read(written(tmp_path, table().assign(age=["3-9", nothing, *AGE[2:]])))
    assert nothing not in faces.attributes["age"]
    assert faces.rows["age"].tolist()[1] == "unknown"
    assert Note("unknown group", "age", "", 1) in faces.notes


def test_percent_become_shares_and_it_is_said(tmp_path: Path) -> None:
    shares = np.array([0.9, 0.8, 0.75, 0.6, 0.99, 1.0])
    rows = table().assign(p_female=100 * shares, p_male=100 * (1 - shares), sure=100 * shares)
    columns = AuditColumns("sex", "said", ("age",), confidence="sure")
    faces = read_audited({"one": written(tmp_path, rows)}, columns, AuditValues())
    for name in ("one: p_female", "one: confidence"):
        np.testing.assert_allclose(faces.rows[name], shares)
    assert {note.where for note in faces.notes if note.kind == "percent"} == {
        "one: p_female, p_male",
        "one: sure",
    }
    assert Note("not likeliest", "one", "", 3) in faces.notes


def test_probabilities_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="do not sum to 1"):
        read(written(tmp_path, table().assign(p_female=0.9, p_male=0.9)))
    with pytest.raises(DataError, match="missing, below 0 or above 100"):
        read(written(tmp_path, table().assign(p_female=-0.5, p_male=1.5)))
    with pytest.raises(DataError, match="something else than numbers"):
        read(written(tmp_path, table().assign(p_female="high", p_male="low")))


def test_rounded_probabilities_sum_to_one_again(tmp_path: Path) -> None:
    faces = read(written(tmp_path, table().assign(p_female=0.33, p_male=0.66)))
    both = faces.rows[["one: p_female", "one: p_male"]].sum(axis=1)
    np.testing.assert_allclose(both, 1)


def wrong_column(folder: Path) -> None:
    read(written(folder, table()), groups=("agee",))


def key_twice(folder: Path) -> None:
    rows = table().assign(id=["f0", "f0", *KEYS[2:]])
    joined(folder, rows, table()[["id", "sex"]], "csv")


def key_missing(folder: Path) -> None:
    rows = table().assign(id=["f0", None, *KEYS[2:]])
    joined(folder, rows, table()[["id", "sex"]], "csv")


def unknown_kind(folder: Path) -> None:
    path = folder / "one.xlsx"
    path.write_bytes(b"PK")
    read(path)


def empty(folder: Path) -> None:
    path = folder / "one.csv"
    path.write_text("")
    read(path)


def header_only(folder: Path) -> None:
    read(written(folder, table()[:0]))


def not_there(folder: Path) -> None:
    read(folder / "none.csv")


def no_labels(folder: Path) -> None:
    read(written(folder, table().assign(sex=None)))


def no_partner_at_all(folder: Path) -> None:
    joined(folder, table(), table()[["id", "sex"]].assign(id=list("abcdef")), "csv")


def lists(folder: Path) -> None:
    read(written(folder, table().assign(sex=[["a"]] * 6), "one.parquet"))


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (wrong_column, "did you mean age"),
        (key_twice, "line 3: f0 stands twice, the first time in line 2"),
        (key_missing, "line 3: there is no id"),
        (unknown_kind, "unknown kind"),
        (empty, "is empty"),
        (header_only, "has no rows"),
        (not_there, "there is no file"),
        (no_labels, "no row has a label"),
        (no_partner_at_all, "has a partner in"),
        (lists, "lists or records"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_words(
    tmp_path: Path, wrong: Callable[[Path], None], found: str
) -> None:
    with pytest.raises(DataError) as refused:
        wrong(tmp_path)
    assert found in str(refused.value)


def test_columns_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    path, values = written(tmp_path, table()), AuditValues()
    with pytest.raises(ConfigError, match="no key"):
        read_audited({"one": path}, AuditColumns("sex", "said"), values, tmp_path / "truth.csv")
    with pytest.raises(ConfigError, match="both the column"):
        read_audited({"one": path}, AuditColumns("sex", "sex"), values)
    with pytest.raises(ConfigError, match="groups names id"):
        read_audited({"one": path}, AuditColumns("sex", "said", ("id",)), values)


@given(st.sets(st.text(min_size=1, max_size=8), max_size=8))
def test_natural_order_is_an_order_of_the_same_names(names: set[str]) -> None:
    ordered = natural_order(names)
    assert set(ordered) == names
    assert len(ordered) == len(names)
    assert natural_order(ordered[::-1]) == ordered


def test_the_published_audit_is_read(real_data: Callable[[str], Path]) -> None:
    folder = real_data("audit")
    models = {"DeepFace": folder / "deepface_3k.csv", "FaceLLM": folder / "facellm_3k.csv"}
    columns = AuditColumns("gender", "gender", ("race", "age"), "image_id")
    truth = folder / "train_labels_inferred_only.csv"
    faces = read_audited(models, columns, AuditValues(), truth)
    assert len(faces.rows) == 2998
    assert faces.attributes["age"][:3] == ("0-2", "3-9", "10-19")
    assert faces.attributes["age"][-1] == "more than 70"
    assert Note("no partner", "deepface_3k.csv", "10949, 11006", 2) in faces.notes
    right = [(faces.rows[f"{model}: predicted"] == faces.rows["label"]).mean() for model in models]
    assert right == pytest.approx([0.6848, 0.8829], abs=5e-5)
