from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.bias import AllFaces, AttributeShares, Bias, compose
from facebias.data.label_noise import LabelNoise
from facebias.data.remedy import NoRemedy, Remedy, Undersample
from facebias.data.twins import SOURCE, TwinReport, Variant, twin_report
from facebias.errors import CompositionError
from tests.data.made_tables import random_table, shuffled

NORMALISATION = {"shape": [1, 1, 1], "mean": [0.5], "deviation": [0.2], "sha256": "ab"}
SETTINGS = {"data.seed": 0, "checkpoint.use": "last", "seed": 0, "optimizer.lr": 0.001}
WOMEN = AttributeShares("women", "gender", {"female": 1}, [{"male": 1}])
MEN = AttributeShares("men", "gender", {"male": 1}, [{"female": 1}])


def source_rows(count: int = 300, seed: int = 0) -> pd.DataFrame:
    splits = (["train"] * 3 + ["validation", "test"]) * (count // 5)
    return random_table(count, seed).rows.assign(split=splits)


def variant(
    bias: Bias,
    remedy: Remedy | None = None,
    rows: pd.DataFrame | None = None,
    **changes: Any,  # noqa: ANN401 - of the variant
) -> Variant:
    table = random_table(5).with_rows(source_rows() if rows is None else rows)
    made = (remedy or NoRemedy()).apply(compose(table, bias, 0), 0)
    steps = len(made.used("train")) // 10
    made_of: dict[str, Any] = {
        "normalisation": NORMALISATION,
        "steps": steps,
        "settings": SETTINGS,
        **changes,
    }
    return Variant(bias.variant, made.rows, bias.attributes, **made_of)


def answers(report: TwinReport) -> dict[str, bool | None]:
    return {answer.question: answer.same for answer in report.answers}


def test_twins_differ_in_the_chosen_faces_alone() -> None:
    report = twin_report(variant(WOMEN), variant(MEN))
    assert report.are_twins
    assert set(answers(report).values()) == {True}
    assert report.sentence == "women and men are twins: they differ only in the chosen train faces."
    assert (report.shared, report.share, report.relabelled) == (0, 0, 0)
    train = source_rows().query("split == 'train'")
    assert report.cells[SOURCE].to_numpy().sum() == len(train)
    assert report.cells["women"]["male"].sum() == report.cells["men"]["female"].sum() == 0
    totals = [report.cells[name].sum(axis=1).tolist() for name in ("women", "men")]
    assert totals[0] == totals[1]


def test_a_variant_shares_all_of_its_faces_with_itself() -> None:
    report = twin_report(variant(WOMEN), variant(WOMEN))
    assert report.share == 1
    assert report.are_twins


def test_another_total_and_other_steps_make_no_twins() -> None:
    everyone = variant(AllFaces())
    report = twin_report(everyone, variant(WOMEN))
    assert {name for name, same in answers(report).items() if not same} == {
        "same total",
        "same number of steps",
    }
    assert report.sentence.startswith("none and women are no twins: same total no: 180 and ")
    assert report.shared == len(variant(WOMEN).train)
    assert report.share == report.shared / 180


def test_remedied_faces_are_part_of_the_source() -> None:
    report = twin_report(variant(AllFaces(), Undersample(["gender"])), variant(AllFaces()))
    assert answers(report)["identical source"]
    assert not answers(report)["same total"]


def test_label_noise_is_told_and_the_source_has_the_true_labels() -> None:
    noisy = LabelNoise("noisy", "gender", "female", 0.5)
    report = twin_report(variant(AllFaces()), variant(noisy))
    assert report.are_twins
    assert (
        report.relabelled
        == (variant(noisy).train["label"] != variant(noisy).train["true_label"]).sum()
    )
    assert report.relabelled > 0
    assert not report.cells["noisy"].equals(report.cells[SOURCE])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_first_face_that_differs_is_named(split: str) -> None:
    rows = source_rows()
    first = rows[rows["split"] == split].sort_values("id").iloc[3]
    without = rows.assign(left_out=rows["left_out"].where(rows["id"] != first["id"], "bad image"))
    report = twin_report(variant(WOMEN, rows=rows), variant(MEN, rows=without))
    found = next(each for each in report.answers if each.question == f"identical {split}")
    assert found.same is False
    assert f"the first is {first['id']}: {first['label']} and (not there)" in found.detail
    assert found.detail in report.sentence


@pytest.mark.parametrize(
    ("changes", "question", "said"),
    [
        ({"settings": SETTINGS | {"data.seed": 1}}, "same data.seed", "data.seed is 0 and 1"),
        (
            {"settings": SETTINGS | {"checkpoint.use": "best"}},
            "same checkpoint rule",
            "checkpoint.use is last and best",
        ),
        (
            {"settings": SETTINGS | {"optimizer.lr": 0.1}},
            "same settings otherwise",
            "optimizer.lr is 0.001 and 0.1",
        ),
        (
            {"normalisation": NORMALISATION | {"sha256": "cd", "mean": [0.6]}},
            "identical normalisation",
            "means 0.5000 and 0.6000",
        ),
    ],
)
def test_what_differs_beside_the_faces_is_named(
    changes: dict[str, Any], question: str, said: str
) -> None:
    report = twin_report(variant(WOMEN), variant(MEN, **changes))
    assert {name for name, same in answers(report).items() if not same} == {question}
    assert said in report.sentence


def test_what_was_not_recorded_is_neither_yes_nor_no() -> None:
    report = twin_report(variant(WOMEN), variant(MEN, normalisation={}))
    assert report.are_twins is None
    assert "nobody can tell: identical normalisation not recorded" in report.sentence


@given(st.integers(8, 15), st.integers(0, 1000))
def test_twins_of_any_table_are_twins_whatever_the_order_of_rows(fifths: int, seed: int) -> None:
    rows = source_rows(5 * fifths, seed)
    other = shuffled(random_table(5).with_rows(rows), seed).rows
    try:
        report = twin_report(variant(WOMEN, rows=rows), variant(MEN, rows=other))
    except CompositionError:
        return
    assert report.are_twins
