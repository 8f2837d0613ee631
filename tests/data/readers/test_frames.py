from pathlib import Path

import pandas as pd
import pytest

from facebias.data.readers.frames import column_names, read_frame
from facebias.errors import DataError


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "faces.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_values_are_text_without_spaces_around(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    text = f" file {delimiter}age\n é 顔.png {delimiter}007\n{delimiter} NA\n"
    frame = read_frame(written(tmp_path, text.encode(encoding)))
    assert frame.columns.tolist() == ["file", "age"]
    assert frame["age"].tolist() == ["007", "NA"]
    assert frame["file"][2] == "é 顔.png"
    assert pd.isna(frame["file"][3])


def test_the_index_is_the_line_and_blank_lines_are_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, "a,b\r\n1,\r\n\r\n , \r\n2,3\r\n\r\n")
    assert read_frame(file).index.tolist() == [2, 5]
    # What is read beside it does not decide whether a line is blank.
    assert read_frame(file, ["b"]).index.tolist() == [2, 5]


def test_lines_are_counted_on_through_all_parts_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facebias.data.readers.frames._PART", 3)
    frame = read_frame(written(tmp_path, "a\n" + "".join(f"{n}\n" for n in range(2, 12))))
    assert frame["a"].astype(int).tolist() == frame.index.tolist() == list(range(2, 12))


def test_columns_are_chosen(tmp_path: Path) -> None:
    file = written(tmp_path, "a,b,c\n1,2,3\n")
    assert read_frame(file, ["c", "a"]).to_dict("list") == {"c": ["3"], "a": ["1"]}
    assert column_names(file) == ["a", "b", "c"]


def test_a_parquet_file_is_read_with_what_was_its_index(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age ": [3, 4]}, index=pd.Index(["a.png", "b.png"], name="file"))
    frame.to_parquet(tmp_path / "faces.parquet")
    read = read_frame(tmp_path / "faces.parquet")
    assert read.index.tolist() == [1, 2]
    assert read.to_dict("list") == {"age": [3, 4], "file": ["a.png", "b.png"]}
    assert column_names(tmp_path / "faces.parquet") == ["age", "file"]
    assert list(read_frame(tmp_path / "faces.parquet", ["file"])) == ["file"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "has no rows"),
        ("a,b\n,\n\n", "has no rows"),
        ("a,b\n1,2\n", "the column c"),
        ("a, a\n1,2\n", "has the column a twice"),
        ("a,b\n1,2,3\n4,5,6\n", "more values than the header has names"),
        ("a,b\n1,2\n4,5,6\n", "Expected 2 fields in line 3, saw 3"),
        ('a,b\n"1,2\n', "EOF inside string"),
        (b"a,b\n\xff,2\n", "is not utf-8 text"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_frame(written(tmp_path, text), ["c"] if message.endswith("c") else None)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_frame(tmp_path / "absent.csv")


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataError, match=r"faces\.parquet is no Parquet file"):
        read_frame(tmp_path / "faces.parquet")


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": "a", "age ": "3"}, {"id": "b", "age ": null}]',
        '{"a": {"age": "3"}, "b": {"age": null}}',
        '\ufeff[{"id": "a", "age": "3"}, {"id": "b"}]',
    ],
)
def test_records_of_a_json_file_are_rows(tmp_path: Path, text: str) -> None:
    (tmp_path / "faces.json").write_text(text, encoding="utf-8")
    frame = read_frame(tmp_path / "faces.json")
    assert frame.index.tolist() == [1, 2]
    assert frame["id"].tolist() == ["a", "b"]
    assert frame["age"][1] == "3"
    assert pd.isna(frame["age"][2])
    assert list(read_frame(tmp_path / "faces.json", ["age"])) == ["age"]


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", "3", "[1, 2]", '{"a": 1}', "[" * 100_000])
def test_a_json_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "faces.json").write_text(text)
    with pytest.raises(DataError, match=r"faces\.json (is no JSON|holds something else)"):
        read_frame(tmp_path / "faces.json")


def test_a_file_without_a_header_line_is_given_names(tmp_path: Path) -> None:
    frame = read_frame(written(tmp_path, "1,2;3;4;5\n\n6,7\n"), ["b"], names=["a", "b"])
    assert frame["b"].to_dict() == {1: "2;3;4;5", 3: "7"}
