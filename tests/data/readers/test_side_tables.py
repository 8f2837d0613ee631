import csv
import io
from pathlib import Path

import pytest

from facebias.data.readers.side_tables import SideRow, read_csv_records, read_side_table
from facebias.errors import DataError

ATTRIBUTES = {"gender": ["female", "male"], "age": ["young", "old"]}


def written(folder: Path, *lines: list[str], encoding: str = "utf-8") -> Path:
    stream = io.StringIO()
    csv.writer(stream).writerows(lines)
    file = folder / "meta.csv"
    file.write_bytes(stream.getvalue().encode(encoding))
    return file


def one_row(folder: Path, text: str, gender: str | None = None) -> SideRow:
    header, line = ["filename", "file_attributes"], ["im1.png", text]
    if gender is not None:
        header, line = [*header, "gender"], [*line, gender]
    (row,) = read_side_table(written(folder, header, line), ATTRIBUTES, {})
    return row


@pytest.mark.parametrize(
    "text",
    [
        '{"gender": "male", "age": "old"}',
        "{'gender': 'male', 'age': 'old'}",
        "{'gender': ' male ', 'age': 'old', 'caption': '', 'other': None}",
        "{'gender': 'male', 'age': 'old', 'caption': 'a\\d'}",
    ],
)
def test_nested_attributes_are_read_as_json_and_as_python(tmp_path: Path, text: str) -> None:
    assert one_row(tmp_path, text).groups == {"gender": "male", "age": "old"}


def test_plain_columns_are_read(tmp_path: Path) -> None:
    file = written(tmp_path, ["image", "gender", "years"], ["im1.png", " male ", "old"])
    rows = read_side_table(file, ATTRIBUTES, {"age": "years"})
    assert rows == [SideRow(file, 2, "im1.png", {"gender": "male", "age": "old"})]


@pytest.mark.parametrize("text", ["", "{}", '{"gender": null}', '{"gender": ""}', "[1]"])
def test_what_is_not_said_is_unknown(tmp_path: Path, text: str) -> None:
    assert one_row(tmp_path, text, gender="").groups == {"gender": "unknown", "age": "unknown"}


def test_a_group_of_the_number_zero_is_not_taken_for_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, ["filename", "extra"], ["im1.png", '{"gender": 0}'])
    (row,) = read_side_table(file, {"gender": ["0", "1"]}, {})
    assert row.groups == {"gender": "0"}


def test_column_and_nested_value_that_agree_are_taken(tmp_path: Path) -> None:
    assert one_row(tmp_path, '{"gender": "male"}', gender="male").groups["gender"] == "male"
    assert one_row(tmp_path, '{"gender": "male"}', gender="unknown").groups["gender"] == "male"


def test_column_and_nested_value_that_contradict_name_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"meta\.csv, line 2: gender is female and male"):
        one_row(tmp_path, '{"gender": "male"}', gender="female")


def test_two_nested_columns_that_contradict_are_refused(tmp_path: Path) -> None:
    header = ["filename", "file_attributes", "region_attributes"]
    file = written(tmp_path, header, ["im1.png", '{"gender": "male"}', '{"gender": "female"}'])
    with pytest.raises(DataError, match="line 2: gender is female and male"):
        read_side_table(file, ATTRIBUTES, {})


def test_an_undeclared_group_names_file_line_and_choice(tmp_path: Path) -> None:
    file = written(tmp_path, ["filename", "gender"], ["im1.png", "male"], ["im2.png", "Male"])
    with pytest.raises(DataError, match=r"line 3: gender is 'Male'") as caught:
        read_side_table(file, ATTRIBUTES, {})
    assert "female, male" in caught.value.expected
    assert "data.reader.attributes.gender" in caught.value.todo


def test_code_in_nested_text_is_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    text = "{'gender': __import__('pathlib').Path(" + repr(str(witness)) + ").touch()}"
    with pytest.raises(DataError, match="line 2: file_attributes"):
        one_row(tmp_path, text)
    assert not witness.exists()


@pytest.mark.parametrize(
    "text",
    [
        "{" * 50_000,
        '{"a":' * 20_000 + "1" + "}" * 20_000,
        '{"a": ' + "[" * 50_000 + "]" * 50_000 + "}",
        "{'a': " + "-" * 50_000 + "1}",
        "{[1]: 2}",
        '{"a": ' + "1" * 5_000 + "}",
        "{'a': 1",
        "{**{}}",
    ],
)
def test_nested_text_that_no_parser_takes_is_a_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"line 2: file_attributes is .{") as caught:
        one_row(tmp_path, text)
    assert len(caught.value.found) < 400
    assert "JSON" in caught.value.expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read(tmp_path: Path, encoding: str) -> None:
    file = written(tmp_path, ["filename", "gender"], ["é 顔.png", "male"], encoding=encoding)
    assert read_csv_records(file) == [(2, {"filename": "é 顔.png", "gender": "male"})]


@pytest.mark.parametrize(
    "content",
    [
        "filename,gender\né.png,male\n".encode("latin-1"),
        "filename,gender\nim.png,male\n".encode("utf-16-le"),
        "filename,gender\nim.png,male\n".encode("utf-32"),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\xff\xfea",
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "meta.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"meta\.csv is not .* text") as caught:
        read_csv_records(file)
    assert "UTF-8" in caught.value.todo


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "meta.csv").write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        read_csv_records(tmp_path / "meta.csv")


@pytest.mark.parametrize("text", ["filename,gender\n{},male\n", "{},gender\n"])
def test_a_field_beyond_the_limit_names_file_and_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "meta.csv").write_text(text.format("x" * 200_000))
    with pytest.raises(DataError, match=r"meta\.csv, line \d: field larger"):
        read_csv_records(tmp_path / "meta.csv")


def test_short_and_long_lines_and_old_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_bytes(b"filename,gender\rim1.png\r\rim2.png,male,more\r")
    records = [record for _, record in read_csv_records(tmp_path / "meta.csv")]
    assert records == [
        {"filename": "im1.png", "gender": ""},
        {"filename": "im2.png", "gender": "male"},
    ]


def test_a_file_about_groups_that_names_no_image_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, ["picture", "gender"], ["im1.png", "male"])
    with pytest.raises(DataError, match="picture, gender") as caught:
        read_side_table(file, ATTRIBUTES, {})
    assert "columns.source" in caught.value.todo
    (row,) = read_side_table(file, ATTRIBUTES, {"source": "picture"})
    assert row.key == "im1.png"


def test_a_file_about_something_else_is_let_be(tmp_path: Path) -> None:
    file = written(tmp_path, ["when", "what"], ["today", "rain"])
    assert read_side_table(file, ATTRIBUTES, {}) == []


def test_a_line_that_names_no_image_is_skipped(tmp_path: Path) -> None:
    file = written(tmp_path, ["filename", "gender"], ["", "male"], ["im2.png", "male"])
    assert [row.line for row in read_side_table(file, ATTRIBUTES, {})] == [3]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_delimiters_and_loose_headers_are_read(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "people.csv"
    lines = [["Filename", " Gender "], ["im1.png", "female"], ["im2.png", "NA"]]
    file.write_text("\n".join(delimiter.join(line) for line in lines))
    rows = read_side_table(file, ATTRIBUTES, {})
    assert [(row.key, row.groups["gender"]) for row in rows] == [
        ("im1.png", "female"),
        ("im2.png", "unknown"),
    ]


def test_a_group_that_is_declared_under_the_name_of_nothing_is_a_group(tmp_path: Path) -> None:
    file = written(tmp_path, ["filename", "glasses"], ["im1.png", "none"])
    (row,) = read_side_table(file, {"glasses": ["none", "sun"]}, {})
    assert row.groups == {"glasses": "none"}
