"""What an audit says in words and shows in pictures."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from PIL import Image

from facebias.data.audited import Note
from facebias.fairness.audit import Audit, audit
from facebias.report import audit_figures
from facebias.report import audit_pictures as pictures
from facebias.report.audit_page import sections
from facebias.report.audit_tables import group_table
from facebias.report.audit_words import CANNOT_TELL, SUPPORTED, Statement, note_words, statements
from facebias.report.page_parts import Picture

FEW: dict[str, Any] = {"replicates": 100}
SVG = "{http://www.w3.org/2000/svg}"


def faces(rates: Sequence[float], per_group: int, *, second: float = 0.0) -> pd.DataFrame:
    """Return faces of groups that are right at these rates; a second model at one rate."""
    groups = np.repeat([f"group {number}" for number in range(len(rates))], per_group)
    label = np.tile(["f", "m"], len(groups) // 2)
    within = np.tile(np.arange(per_group), len(rates))
    right = within < np.repeat(np.array(rates) * per_group, per_group)
    other = np.where(label == "f", "m", "f")
    also = np.arange(len(groups)) % 100 < 100 * second
    return pd.DataFrame(
        {
            "label": label,
            "predicted": np.where(right, label, other),
            "second": np.where(also, label, other),
            "race": groups,
        }
    )


def said_of(found: Audit, about: str) -> Statement:
    (statement,) = [each for each in statements(found) if each.about == about]
    return statement


def test_a_gap_beyond_chance_is_supported_with_both_groups_and_their_n() -> None:
    found = audit(faces([0.9, 0.6, 0.88], 200), groups=["race"], replicates=200)
    statement = said_of(found, "race")
    assert statement.verdict == SUPPORTED
    for part in ("group 1 (60.0 %, n = 200)", "group 0 (90.0 %, n = 200)", "30.0 points", "3 of 3"):
        assert part in statement.text


def test_a_gap_that_may_be_chance_cannot_be_told_and_the_smallest_visible_one_is_named() -> None:
    found = audit(faces([0.8, 0.78, 0.82], 100), groups=["race"], replicates=200)
    statement = said_of(found, "race")
    assert statement.verdict == CANNOT_TELL
    assert "it cannot be told" in statement.text
    gaps = found.tables["gaps"]
    largest = gaps[(gaps["metric"] == "accuracy") & (gaps["kind"] == "largest")].iloc[0]
    assert f"a gap of {100 * largest['detectable']:.1f} points or more" in statement.text
    assert f"would show about {100 * largest['expected']:.1f}" in statement.text
    assert "a smaller one may be there" in statement.text


@pytest.mark.parametrize("rates", [[0.8, 0.8], [0.9, 0.5], [1.0, 1.0], [0.5, 0.52, 0.49]])
def test_it_is_never_said_that_there_is_no_difference(rates: list[float]) -> None:
    found = audit(faces(rates, 60), groups=["race"], replicates=100)
    for statement in statements(found):
        for claim in ("no difference", "no bias", "is fair", "no gap", "are equal"):
            assert claim not in statement.text


def test_a_smaller_gap_that_is_told_goes_before_a_larger_one_that_is_not() -> None:
    table = pd.concat(
        [faces([0.88, 0.8], 600), faces([0.76], 30).assign(race="few")], ignore_index=True
    )
    text = said_of(audit(table, groups=["race"], replicates=300), "race").text
    assert "less often on group 1" in text
    assert "A larger gap was seen" in text
    assert "few (76.7 %, n = 30)" in text
    assert "may be chance" in text


def test_models_on_the_same_faces_are_compared_in_the_right_direction() -> None:
    table = faces([0.6, 0.6], 200, second=0.9)
    predicted = {"worse": "predicted", "better": "second"}
    statement = said_of(audit(table, predicted=predicted, replicates=200), "models")
    assert statement.verdict == SUPPORTED
    assert "better is right more often than worse, by 30.0 points" in statement.text
    same = audit(table.assign(second=table["predicted"]), predicted=predicted, replicates=200)
    assert said_of(same, "models").verdict == CANNOT_TELL


def test_parity_by_the_label_itself_is_refused_with_the_reason() -> None:
    table = faces([0.9, 0.8], 100)
    found = audit(table.assign(sex=table["label"]), groups=["sex", "race"], replicates=100)
    (refused,) = [each for each in statements(found) if "refused" in each.text]
    assert refused.verdict == CANNOT_TELL
    assert "sex" in refused.text
    assert "recall and the precision of each class" in refused.text
    assert "by race is refused" not in refused.text


def test_groups_that_are_too_small_are_not_compared() -> None:
    found = audit(faces([0.5, 0.9], 20), groups=["race"], replicates=100)
    statement = said_of(found, "race")
    assert statement.verdict == CANNOT_TELL
    assert "0 of 2 groups have enough faces" in statement.text


KINDS = ["read", "no partner", "no label", "no answer", "unmapped", "unknown group"]


@pytest.mark.parametrize("kind", [*KINDS, "map unused", "percent", "not likeliest"])
def test_every_note_has_words_with_its_place(kind: str) -> None:
    words = note_words(Note(kind, "file.csv", "value", 1234))
    assert "file.csv" in words
    assert "1,234" in words or kind == "map unused"


@pytest.fixture(scope="module")
def found() -> Audit:
    """Return the audit of two models by two attributes, with confidences."""
    table = faces([0.9, 0.7, 0.8], 120, second=0.8)
    table["age"] = np.array(["old", "young"])[np.arange(len(table)) // 2 % 2]
    table["sure"] = 0.5 + (np.arange(len(table)) % 50) / 100
    predicted = {"one": "predicted", "two": "second"}
    return audit(
        table, predicted=predicted, confidence="sure", groups=["race", "age"], replicates=100
    )


def drawn_pictures(found: Audit) -> list[Picture]:
    return [
        picture
        for section in sections(found)
        for picture in section.pictures
        if isinstance(picture, Picture)
    ]


def test_every_kind_of_picture_is_drawn_and_the_same_each_time(
    tmp_path: Path, found: Audit
) -> None:
    drawn = drawn_pictures(found)
    pictures = {picture.name.split("_")[0]: picture.figure for picture in drawn}
    expected = {"confusion", "accuracy", "recall", "gaps", "heat-map", "paired", "reliability"}
    assert set(pictures) == expected
    for kind, figure in pictures.items():
        audit_figures.save(figure, tmp_path / kind)
    audit_figures.save(drawn_pictures(found)[0].figure, tmp_path / "again")
    for path in tmp_path.iterdir():
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"  # noqa: S314
        else:
            with Image.open(path) as image:
                image.verify()


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.0, 0.3, 1.0], -0.02, 1.02),
        ([0.0, 0.0, 0.12], -0.02, 0.2),
        ([0.55, 0.7, 0.72], 0.5, 0.8),
        ([-0.3, 0.1, 0.4], -0.4, 0.5),
        ([np.nan], 0.0, 1.0),
    ],
)
def test_an_axis_of_shares_hardly_leaves_0_to_1_and_cuts_no_value(
    values: list[float], low: float, high: float
) -> None:
    rows = pd.DataFrame({"model": "one", "class": "", "value": values, "status": "ok"})
    rows = rows.assign(group=[str(place) for place in range(len(values))])
    sizes = pd.Series(100, index=rows["group"])
    rows = rows.assign(low=rows["value"], high=rows["value"])
    figure = audit_figures.forest(rows, sizes, ["one"], "title", "accuracy")
    assert figure.axes[0].get_xlim() == pytest.approx((low, high))


def test_the_counts_below_a_reliability_curve_are_drawn_whole(found: Audit) -> None:
    (picture,) = pictures.reliability_curves(found)
    below = picture.figure.axes[1]
    highest = max(np.max(line.get_ydata()) for line in below.get_lines())
    bottom, top = below.get_ylim()
    assert bottom == 0
    assert top > 1.05 * highest > 0


def test_every_table_has_a_cell_for_every_column_and_says_n(found: Audit) -> None:
    for section in sections(found):
        for table in (*section.tables, *section.folded):
            assert {len(row) for row in table.rows} <= {len(table.columns)}
            said = "n" in table.columns or any("(n = " in cell for cell in table.rows[0])
            assert said, table.caption


def test_a_macro_metric_over_other_classes_than_elsewhere_stands_in_brackets() -> None:
    table = faces([0.9, 0.7, 0.8], 120)
    few = table.index[(table["race"] == "group 1") & (table["label"] == "m")][3:]
    found = audit(table.drop(index=few), groups=["race"], replicates=100)
    shown = group_table(found, "race")
    assert "[in brackets]" in shown.caption
    rows = {row[0]: dict(zip(shown.columns, row, strict=True)) for row in shown.rows}
    assert rows["group 1"]["macro F1"].startswith("[")
    assert rows["group 1"]["recall of m"].startswith("[")
    assert not rows["group 1"]["accuracy"].startswith("[")
    assert not any(cell.startswith("[") for cell in rows["group 0"].values())


def test_references_have_a_table_of_their_own() -> None:
    table = faces([0.9, 0.7, 0.8], 120)
    found = audit(table, groups=["race"], references={"race": "group 1"}, replicates=100)
    captions = [each.caption for section in sections(found) for each in section.tables]
    assert "Accuracy of group 1 minus that of each group, in percentage points" in captions


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    table = faces([0.9, 0.7, 0.8], 60)
    table["race"] = table["race"].map(
        {"group 0": "$x^2$ <b>", "group 1": "a" * 200, "group 2": "c & d"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in drawn_pictures(audit(table, groups=["race"], replicates=100)):
            audit_figures.save(picture.figure, tmp_path / picture.name)
    assert len(list(tmp_path.glob("*.svg"))) == len(list(tmp_path.glob("*.png"))) > 0


def lightness(colours: np.ndarray) -> np.ndarray:
    """Return CIELAB's lightness of sRGB colours (N, 3)."""
    linear = np.where(colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    small = luminance * 24389 / 27
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, small)


def test_the_scales_are_even_to_the_eye() -> None:
    steps = np.linspace(0, 1, 101)
    values = lightness(colormaps[audit_figures.VALUES](steps)[:, :3])
    assert (np.diff(values) > 0).all()
    both = lightness(audit_figures.DIFFERENCES(steps)[:, :3])
    left, right = np.diff(both[:51]), -np.diff(both[50:])
    for half in (left, right):
        assert (half > 0).all()
        assert half.max() < 2 * half.mean()
    # Without colours, the two ends differ too little to be mistaken for more and less.
    assert abs(both[0] - both[-1]) < 15


def test_a_gap_that_is_the_labels_mix_is_said_to_be() -> None:
    numbers = np.arange(400)
    rare = numbers % 10 == 0  # group a has one f in ten, group b one m in ten
    label = np.where((numbers < 200) == rare, "f", "m")
    right = (label == "m") | (numbers // 10 % 2 == 0)
    table = pd.DataFrame(
        {
            "label": label,
            "predicted": np.where(right, label, "m"),
            "race": np.where(numbers < 200, "a", "b"),
        }
    )
    text = said_of(audit(table, groups=["race"], replicates=200), "race").text
    assert "less often on b (55.0 %, n = 200) than on a (95.0 %, n = 200)" in text
    assert "It is 0.0 points if every group is given the same mix of labels" in text
    equal = audit(faces([0.9, 0.6], 200), groups=["race"], replicates=200)
    assert "mix of labels" not in said_of(equal, "race").text


def test_names_in_letters_that_no_font_has_are_drawn_without_a_warning(tmp_path: Path) -> None:
    found = audit(
        faces([0.9, 0.6], 60).replace({"race": {"group 0": "日本"}}), groups=["race"], **FEW
    )
    (first, *_) = pictures.forests(found, "race")
    audit_figures.save(first.figure, tmp_path / "names")  # warnings are errors
    assert (tmp_path / "names.svg").stat().st_size > 1000


def test_recalls_of_all_classes_have_one_scale() -> None:
    table = faces([0.9, 0.6], 100)
    table.loc[table["label"] == "f", "predicted"] = "f"
    _, recall = pictures.forests(audit(table, groups=["race"], **FEW), "race")
    one, other = (axes.get_xlim() for axes in recall.figure.axes)
    assert one == other


def test_intervals_are_called_by_their_level() -> None:
    table = faces([0.9, 0.6, 0.7], 100, second=0.8)
    models = {"A": "predicted", "B": "second"}
    references = {"race": "group 0"}
    found = audit(table, predicted=models, groups=["race"], references=references, level=0.9, **FEW)
    for section in sections(found):
        shown = [section.text, *(each.alt for each in section.pictures)]
        for each in (*section.tables, *section.folded):
            shown += [each.caption, *each.columns]
        assert not [words for words in shown if "95 %" in words]
        assert any("90 % interval" in words for words in shown)


def test_a_page_says_which_pairs_of_many_groups_are_not_listed() -> None:
    table = faces([0.8] * 102, 30)
    found = audit(table, groups=["race"], min_class=1, replicates=30)
    (text,) = (section.text for section in sections(found) if section.title == "By race")
    assert "102 groups are compared, more than 100" in text
    assert "not every pair is listed" in text
    few = audit(faces([0.8] * 3, 30), groups=["race"], min_class=1, **FEW)
    assert [section.text for section in sections(few) if section.title == "By race"] == [""]
