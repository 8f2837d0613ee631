"""One CSV or Parquet file with a row a face."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from facebias.data.readers.side_tables import KEYS, read_csv_records
from facebias.data.table import COLUMNS, SPLITS, UNKNOWN, FaceTable
from facebias.errors import DataError


def read_table(
    file: str,
    root: str,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]] | None = None,
    label_map: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    provenance: str = "not stated",
) -> FaceTable:
    """Read faces from a table.

    Args:
        file: a CSV file in UTF-8 or UTF-16, or a Parquet file.
        root: folder that the paths in the table start from.
        classes: labels, in the order of the model's outputs.
        attributes: for each attribute its groups; no groups declares those that are found.
        label_map: label in the table: its class, where they differ.
        columns: name of the column for "source", "label", "split", "identity" or an attribute,
            where it differs.
        provenance: who said what the groups are.

    Raises:
        DataError: for a missing file or column, an unknown label, group or split.
    """
    path = Path(file).expanduser()
    given = _read(path)
    columns = columns or {}
    named = columns.get("source", next((key for key in KEYS if key in given), "source"))
    rows = pd.DataFrame({"source": _column(given, named, path).astype(str)})
    rows["id"] = rows["source"]
    labels = dict(label_map or {})
    rows["label"] = _optional(given, columns, "label").map(lambda label: labels.get(label, label))
    rows["identity"] = _optional(given, columns, "identity").fillna(rows["id"])
    rows["split"] = _optional(given, columns, "split")
    rows["left_out"] = ""
    _refuse_splits(rows, path)
    declared = {}
    for name, groups in (attributes or {}).items():
        rows[name] = _column(given, columns.get(name, name), path)
        rows[name] = rows[name].astype(object).fillna(UNKNOWN).astype(str)
        declared[name] = tuple(groups) or tuple(sorted(set(rows[name]) - {UNKNOWN}))
    rows = rows[[*COLUMNS, *declared]]
    return FaceTable(rows, Path(root).expanduser(), tuple(classes), declared, provenance)


def table_columns(file: Path) -> set[str]:
    """Return the names of a table's columns."""
    return {str(name) for name in _read(file).columns}


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"there is no file {path}", "a CSV or Parquet file with a row a face")
    if path.suffix.lower() in (".parquet", ".pq"):
        frame = _read_parquet(path)
    else:
        frame = pd.DataFrame([record for _, record in read_csv_records(path)])
        frame = frame.mask(frame == "", None)
    if frame.empty:
        raise DataError(f"{path} has no rows", "a row a face", "fill it")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:  # what pyarrow raises
        raise DataError(f"{path} is no Parquet file ({error})", "a CSV or Parquet file") from error


def _column(given: pd.DataFrame, name: str, path: Path) -> pd.Series:
    if name not in given:
        raise DataError(
            f"{path} has the columns {', '.join(map(str, given.columns))}",
            f"a column {name!r}",
            "add it, or name yours with columns: {MEANING: COLUMN}",
        )
    return given[name]


def _optional(given: pd.DataFrame, columns: Mapping[str, str], meaning: str) -> pd.Series:
    """Return a column as text, missing throughout where the table has none."""
    name = columns.get(meaning, meaning)
    if meaning in columns and name not in given:
        raise DataError(f"the table has no column {name!r}", f"a column for {meaning}")
    found = given[name] if name in given else pd.Series(None, index=given.index)
    text = found.astype(object)
    return text.where(text.isna(), text.astype(str)).where(text.notna(), None)


def _refuse_splits(rows: pd.DataFrame, path: Path) -> None:
    wrong = set(rows["split"].dropna()) - set(SPLITS)
    if wrong:
        raise DataError(
            f"{path} has the splits {', '.join(sorted(wrong))}", f"one of {', '.join(SPLITS)}"
        )
