"""Tables as they lie on disk: CSV, Parquet and JSON files read into data frames."""

import codecs
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from pandas.io.parsers import TextFileReader
from pyarrow import parquet

from facebias.data.table import leads_out
from facebias.errors import DataError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_RECORDS = 'a list of records, such as [{"file": "1.jpg", "gender": "female"}], or one for each id'
_RENAME = "add it, or rename yours"
_LISTED = 10  # columns that a message names
_PART = 1 << 16  # lines that are parsed at a time: the parser needs several times their memory


def read_frame(
    path: Path,
    columns: Sequence[str] | None = None,
    *,
    names: Sequence[str] | None = None,
    todo: str = _RENAME,
) -> pd.DataFrame:
    """Read a CSV, Parquet or JSON file.

    Args:
        path: a Parquet file (`.parquet`, `.pq`); a JSON file (`.json`) with a list of records, or a
            record for each id; or CSV in UTF-8 or UTF-16, whose columns commas, semicolons or tabs
            part.
        columns: those to read; None: all.
        names: of all columns of a CSV file that has no header line and commas between its columns;
            None: its first line says them.
        todo: what to do where a column is missing.

    Returns:
        A row a record. Of a CSV file the values are text without spaces around them, NaN where
        there is nothing, and the index is the line in the file; blank lines are left out. Of other
        files the index is the row, from 1. The names of columns have no spaces around them.

    Raises:
        DataError: if there is no such file, it has no rows, lacks a column, or cannot be read.
    """
    there = column_names(path) if names is None else list(names)
    wanted = there if columns is None else list(columns)
    require_columns(pd.DataFrame(columns=there), path, wanted, todo)
    if _is_parquet(path):
        frame = _read_parquet(path, wanted)
    elif _is_json(path):
        frame = _read_json(path)
    else:
        frame = _read_csv(path, wanted, names)
    if frame.empty:
        raise DataError(f"{path} has no rows", "a row a face", "fill it")
    return frame[wanted]


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns, without spaces around them.

    Raises:
        DataError: if there is no such file, it cannot be read, or two columns have one name.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}", "a CSV, Parquet or JSON file, a row a face")
    if _is_json(path):
        names = list(_read_json(path))
    else:
        names = _parquet_names(path) if _is_parquet(path) else _csv_names(path)
    stripped = [name.strip() for name in names]
    twice = {name for name in stripped if stripped.count(name) > 1}
    if twice:
        raise DataError(
            f"{path} has the column {', '.join(sorted(twice))} twice",
            "a name of its own for every column",
            "rename one of them",
        )
    return stripped


def require_columns(
    frame: pd.DataFrame, path: Path, columns: Sequence[str], todo: str = _RENAME
) -> None:
    """Refuse a table that lacks a column.

    Args:
        frame: of the table.
        path: of its file.
        columns: that it has to have.
        todo: what to do where one is missing.

    Raises:
        DataError: naming the columns that it has.
    """
    missing = [name for name in columns if name not in frame]
    if missing:
        there = [str(name) for name in frame.columns]
        more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
        raise DataError(
            f"{path} has the columns {', '.join(there[:_LISTED])}{more}",
            f"the column {', '.join(missing)}",
            todo,
        )


def refuse_wrong_paths(paths: pd.Series, file: Path, column: str, root: Path) -> None:
    """Refuse the path of an image that is empty or not below the root.

    Args:
        paths: text, NaN where there is nothing; the index is the line in the file.
        file: that says them.
        column: of the file.
        root: folder that the paths start from.

    Raises:
        DataError: with the line.
    """
    if paths.isna().any():
        raise DataError(
            f"{file}, line {paths.isna().idxmax()}: there is no {column}",
            "the path of an image",
            "fill it, or remove the line",
        )
    outside = leads_out(paths)
    if outside.any():
        line = outside.idxmax()
        raise DataError(
            f"{file}, line {line}: {paths[line]!r} leads out of the data's folder {root}",
            "a path below it, with /",
            "correct the file, or give a root above all of its images with data.root=FOLDER",
        )


def refuse_twice(names: pd.Series, file: Path) -> None:
    """Refuse a name of a face that stands in two lines.

    Args:
        names: the index is the line in the file.
        file: that says them.

    Raises:
        DataError: with both lines.
    """
    twice = names.duplicated()
    if twice.any():
        line = twice.idxmax()
        raise DataError(
            f"{file}, line {line}: {names[line]} stands twice, the first time in line "
            f"{names.index[names == names[line]][0]}",
            "one line a face",
            "remove one of the lines, or take the file as it was published",
        )


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _read_json(path: Path) -> pd.DataFrame:
    """Read a list of records, or a record for each id."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON file in UTF-8 ({error})", _RECORDS) from error
    records = content if isinstance(content, list) else []
    if isinstance(content, dict) and all(isinstance(each, dict) for each in content.values()):
        records = [{"id": key, **record} for key, record in content.items()]
    if not records or not all(isinstance(record, dict) for record in records):
        raise DataError(f"{path} holds something else than records", _RECORDS)
    frame = pd.DataFrame.from_records(records, index=pd.RangeIndex(1, len(records) + 1))
    return frame.rename(columns=str.strip)


def _parquet_names(path: Path) -> list[str]:
    try:
        return list(parquet.read_schema(path).names)
    except (ValueError, OSError) as error:  # what pyarrow raises
        raise _no_parquet(path, error) from error


def _read_parquet(path: Path, wanted: Sequence[str]) -> pd.DataFrame:
    names = [name for name in _parquet_names(path) if name.strip() in wanted]
    try:
        # Whatever was the index of whoever wrote it is a column as any other.
        frame = parquet.read_table(path, columns=names).to_pandas(ignore_metadata=True)
    except (ValueError, OSError) as error:
        raise _no_parquet(path, error) from error
    frame.columns = frame.columns.str.strip()
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return frame


def _no_parquet(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is no Parquet file ({error})", "a CSV or Parquet file")


def _csv_names(path: Path) -> list[str]:
    with _csv_parts(path) as parts:
        return [str(name) for name in parts.read(0).columns]


def _read_csv(path: Path, wanted: Sequence[str], names: Sequence[str] | None) -> pd.DataFrame:
    first = 2 if names is None else 1  # line 1 is the header, if there is one
    with _csv_parts(path, names) as parts:
        return pd.concat([_cleaned(part, first)[list(wanted)] for part in parts])


def _cleaned(part: pd.DataFrame, first: int) -> pd.DataFrame:
    """Return lines without spaces around their values, and without blank lines."""
    part.index += first
    part.columns = part.columns.str.strip()
    there = pd.Series(False, index=part.index)
    for name in part:
        text = part[name].str.strip()
        filled = text.notna() & (text != "")
        part[name] = text if filled.all() else text.where(filled)
        there |= filled
    return part if there.all() else part[there]


@contextmanager
def _csv_parts(path: Path, names: Sequence[str] | None = None) -> Iterator[TextFileReader]:
    """Open a CSV file, to be read in parts: text as it stands, NaN where there is nothing.

    Args:
        path: of the file.
        names: of the columns of a file without a header line.

    Raises:
        DataError: if it, or a line that is read meanwhile, is no CSV.
    """
    encoding, delimiter = _dialect(path)
    with _told_plainly(path, encoding), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        with pd.read_csv(
            path,
            sep=delimiter if names is None else ",",
            header=0 if names is None else None,
            names=names,
            encoding=encoding,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,  # so that rows and lines keep step
            index_col=False,
            chunksize=_PART,
        ) as parts:
            yield parts


@contextmanager
def _told_plainly(path: Path, encoding: str) -> Iterator[None]:
    """Turn what pandas raises within the block into a `DataError`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not {encoding} text (at {error.start})",
            "a CSV file in UTF-8, or in UTF-16 with a byte order mark",
            "save it as UTF-8",
        ) from error
    except pd.errors.EmptyDataError as error:
        raise DataError(
            f"{path} is empty", "a header line with the names of the columns"
        ) from error
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"{path}: its lines have more values than the header has names",
            "a name for every column",
            "write the names into the first line, or quote values that hold the delimiter",
        ) from error
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"{path}: {str(error).strip()}", "a CSV file") from error


def _dialect(path: Path) -> tuple[str, str]:
    """Return the encoding of a CSV file, and what parts the columns of its header."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if start.startswith(mark)), "utf-8")
    header = start.decode(encoding, errors="ignore").partition("\n")[0]
    return encoding, max(",;\t", key=header.count)
