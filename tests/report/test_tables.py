import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.errors import RunError
from facebias.report.tables import ENDINGS, escaped, json_text, latex_text, write_table

TABLE = pd.DataFrame(
    {
        "a<b_": ["x & $y\n%", "{é}"],
        "n": [3, None],
        "value": [0.12345, 1e-9],
        "known": [True, False],
        "text": ["word " * 20, None],
    }
)


def test_a_table_has_three_files(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "tables" / "mine.of.it")
    names = sorted(path.name for path in (tmp_path / "tables").iterdir())
    assert names == [f"mine.of.it{ending}" for ending in ENDINGS]
    read = pd.read_csv(tmp_path / "tables" / "mine.of.it.csv")
    pd.testing.assert_frame_equal(read, TABLE, check_dtype=False)


def test_what_is_undefined_is_null() -> None:
    table = TABLE.assign(value=[float("nan"), float("inf")])
    found = json.loads(json_text(table), parse_constant=pytest.fail)
    assert [row["value"] for row in found] == [None, None]
    assert [row["n"] for row in found] == [3, None]
    assert found[0]["a<b_"] == "x & $y\n%"
    assert json.loads(json_text(TABLE.head(0))) == []


def test_latex_has_numbers_that_are_read_and_text_that_is_escaped() -> None:
    lines = latex_text(TABLE).splitlines()
    assert lines[0] == r"\begin{longtable}{lrrlp{6cm}}"
    assert lines[2] == r"a\textless{}b\_ & n & value & known & text \\"
    assert lines[5].startswith(r"x \& \$y \% & 3 & 0.123 & True & word")
    assert lines[6] == r"\{é\} & -- & 1.0e-09 & False & -- \\"
    assert lines[-1] == r"\end{longtable}"


@given(st.text())
def test_no_sign_of_latex_is_left_as_it_is(text: str) -> None:
    said = escaped(text)
    for mark in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}"):
        said = said.replace(mark, "")
    for mark in (r"\textless{}", r"\textgreater{}", *(rf"\{sign}" for sign in "&%$#_{}")):
        said = said.replace(mark, "")
    assert not set(said) & set("&%$#_{}\\~^<>\n")


def test_a_table_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_table(TABLE, tmp_path / "file" / "table")


def test_a_wide_table_is_set_on_its_side() -> None:
    wide = pd.DataFrame({f"column{number}": [1.5] for number in range(13)})
    lines = latex_text(wide).splitlines()
    assert lines[0] == r"\begin{landscape}"
    assert lines[-1] == r"\end{landscape}"
    assert r"\begin{landscape}" not in latex_text(wide.iloc[:, :5])
