"""Side tables: CSV files beside the images that say more about them.

VGG Image Annotator writes its attributes as JSON text in one column, tools that pass through
Python leave `{'gender': 'female'}`, and others add plain columns; all three are read.
"""

import ast
import codecs
import csv
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from facebias.data.table import UNKNOWN
from facebias.errors import DataError

# Columns that may name the image, the first that is there is taken.
KEYS = ("filename", "file", "source", "path", "image", "image_id", "id", "face_id")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


# What a text that is neither JSON nor a Python literal leads their parsers to.
_UNPARSABLE = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)
_LISTED = 10  # columns that a message names
# How tables write that they do not know; a group that is declared under such a name is a group.
NOTHING = frozenset({"", UNKNOWN, "na", "n/a", "nan", "none", "null", "?"})


@dataclass(frozen=True)
class SideRow:
    """One line of a side table: the image that it names, and its groups."""

    file: Path
    line: int
    key: str
    groups: dict[str, str]


def read_csv_records(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file in UTF-8 or UTF-16; commas, semicolons or tabs part its columns.

    Returns:
        The line number and the columns of each record, names and values stripped.

    Raises:
        DataError: if it is no text, or has no header.
    """
    raw = file.read_bytes()
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_text(file, encoding, error.start) from error
    if "\0" in text:
        raise _not_text(file, encoding, text.index("\0"))
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    records = []
    try:
        if not reader.fieldnames:
            raise DataError(f"{file} is empty", "a header line with the names of the columns")
        reader.fieldnames = [name.strip() for name in reader.fieldnames]
        for record in reader:
            records.append(
                (
                    reader.line_num,
                    {
                        name: (value or "").strip()
                        for name, value in record.items()
                        if name is not None and not isinstance(value, list)
                    },
                )
            )
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: {error}", "a CSV file") from error
    return records


def _delimiter(text: str) -> str:
    """Return what parts the columns of the header: spreadsheets write commas, semicolons, tabs."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _not_text(file: Path, encoding: str, place: int) -> DataError:
    return DataError(
        f"{file} is not {encoding} text (at {place})",
        "a CSV file in UTF-8, or in UTF-16 with a byte order mark",
        "save it as UTF-8",
    )


def read_side_table(
    file: Path, attributes: Mapping[str, Sequence[str]], columns: Mapping[str, str]
) -> list[SideRow]:
    """Read the groups that a CSV file gives for images.

    Args:
        file: the CSV file.
        attributes: the declared groups of each attribute to look for.
        columns: name of the column of an attribute, or of "source", where it differs.

    Raises:
        DataError: for a file without a column that names the image, an attribute that says two
            things in one line, or a group that is not declared; with the file and the line.
    """
    records = read_csv_records(file)
    if not _says_groups(records, attributes, columns):
        return []
    names = (columns["source"],) if "source" in columns else KEYS
    there = {name.lower(): name for name in records[0][1]}
    key = next((there[name.lower()] for name in names if name.lower() in there), None)
    if key is None:
        raise DataError(
            f"{file} has the columns {', '.join(list(records[0][1])[:_LISTED])}",
            f"one of {', '.join(names)} that names the image",
            "add the column, or name yours with columns.source in the reader's configuration",
        )
    return [
        SideRow(file, line, record[key], _groups(file, line, record, attributes, columns))
        for line, record in records
        if record[key]
    ]


def _says_groups(
    records: Sequence[tuple[int, Mapping[str, str]]],
    attributes: Mapping[str, Sequence[str]],
    columns: Mapping[str, str],
) -> bool:
    """Tell whether a CSV file is about groups at all; others, such as landmarks, are let be."""
    wanted = {columns.get(attribute, attribute).lower() for attribute in attributes}
    return any(
        wanted & {name.lower() for name in record}
        or any(text.startswith("{") for text in record.values())
        for _, record in records
    )


def _groups(
    file: Path,
    line: int,
    record: Mapping[str, str],
    attributes: Mapping[str, Sequence[str]],
    columns: Mapping[str, str],
) -> dict[str, str]:
    """Return the group of each attribute, "unknown" where the record does not say."""
    sources = [_lower(record), *(_lower(each) for each in nested_records(file, line, record))]
    groups = {}
    for attribute, declared in attributes.items():
        column = columns.get(attribute, attribute).lower()
        values = (each.get(column) for each in sources)
        said = {str(value).strip() for value in values if value is not None}
        said = {value for value in said if value.lower() not in NOTHING or value in declared}
        if len(said) > 1:
            raise DataError(
                f"{file}, line {line}: {attribute} is {' and '.join(sorted(said))}",
                "one value",
                "correct the line, or empty one of the two",
            )
        group = said.pop() if said else UNKNOWN
        if declared and group not in (*declared, UNKNOWN):
            raise DataError(
                f"{file}, line {line}: {attribute} is {group!r}",
                f"one of {', '.join(declared)}, or nothing",
                f"correct the line, or declare it in data.reader.attributes.{attribute}",
            )
        groups[attribute] = group
    return groups


def _lower(record: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name).lower(): value for name, value in record.items()}


def nested_records(file: Path, line: int, record: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return what each column with JSON or Python text says, such as `file_attributes`."""
    found: list[Mapping[str, Any]] = []
    for name, text in record.items():
        if text.startswith("{"):
            try:
                value = _parsed(text)
            except _UNPARSABLE as error:
                raise DataError(
                    f"{file}, line {line}: {name} is {text[:60]!r}",
                    "JSON text or a Python dict",
                    "correct the line",
                ) from error
            found += [value] if isinstance(value, dict) else []
    return found


@lru_cache(maxsize=4096)  # many lines say the same
def _parsed(text: str) -> Any:  # noqa: ANN401
    """Read JSON or a Python literal; nothing is run."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        with warnings.catch_warnings(action="ignore"):  # an odd escape is no matter here
            return ast.literal_eval(text)
