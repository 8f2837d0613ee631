"""Recall and precision of each class in every group, as a page shows them."""

from pathlib import Path
from typing import Any

import pandas as pd

from facebias.report.groups import MEASURES

_SHOWN = ("recall", "precision")


def read_by_class(folder: Path, split: str) -> dict[str, Any] | None:
    """Read recall and precision of each class of a run.

    Args:
        folder: of the run.
        split: whose faces.

    Returns:
        classes, and rows: attribute, group, n, status, and cells: recall and precision of each
        class in turn, with value, low and high, None where undefined. None where nothing was
        measured.
    """
    file = folder / MEASURES
    if not file.is_file():
        return None
    table = pd.read_csv(file, keep_default_na=False, na_values=[""])
    table = table[(table["split"] == split) & table["metric"].isin(_SHOWN)]
    if table.empty:
        return None
    classes = list(dict.fromkeys(table["class"]))
    filled = table.astype(object).where(table.notna(), None)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in filled.to_dict(orient="records"):
        names = ("attribute", "group", "n", "status")
        own = found.setdefault(
            (row["attribute"], row["group"]), {name: row[name] for name in names}
        )
        cell = {name: row[name] for name in ("value", "low", "high")}
        own.setdefault("found", {})[row["class"], row["metric"]] = cell
    for own in found.values():
        cells = own.pop("found")
        own["cells"] = [cells[name, metric] for name in classes for metric in _SHOWN]
    return {"classes": classes, "rows": list(found.values())}
