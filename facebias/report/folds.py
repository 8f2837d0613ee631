"""The table of folds: a row a fold, and their mean, as CSV, LaTeX and on the console."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.table import Table

from facebias.files import whole_file, write_text
from facebias.report.summary import decimal
from facebias.report.tables import latex_text
from facebias.runs.settings import telling_keys
from facebias.runs.summary import FinishedRun

TABLE, LATEX = "folds.csv", "folds.tex"
MEAN = "mean"
METRICS = {
    "accuracy": "accuracy",
    **{f"macro_{name}": f"macro {name[0].upper()}" for name in ("precision", "recall")},
    "macro_f1": "macro F1",
    **{f"micro_{name}": f"micro {name[0].upper()}" for name in ("precision", "recall")},
    "micro_f1": "micro F1",
}
_MOST_ROWS = 24  # on the console


def fold_table(runs: Sequence[FinishedRun]) -> pd.DataFrame | None:
    """Return what each fold measures of all its faces, and the mean of the folds.

    Args:
        runs: as `facebias.runs.summary.read_finished` returns them.

    Returns:
        For each combination of settings, seed and split with several folds a row a fold, in their
        order, and one with `fold` "mean": the settings, seed, split, fold, n (faces; of the mean
        in all folds) and accuracy, macro and micro precision, recall and F1; NaN where undefined,
        and then in the mean too. None where there are no two folds.
    """
    keys = telling_keys([run.settings for run in runs])
    rows = [
        {
            **{key: str(run.settings[key]) for key in keys},
            **{"seed": run.seed, "split": split, "fold": run.fold, "n": int(values["n"])},
            **values[list(METRICS)].to_dict(),
        }
        for run in runs
        for split, values in _measured(run)
    ]
    parts = []
    table = pd.DataFrame(rows)
    for _, part in table.groupby([*keys, "seed", "split"], sort=False):
        if len(part) > 1:
            ordered = part.sort_values("fold")
            mean = ordered.iloc[[0]].assign(fold=MEAN, n=ordered["n"].sum())
            mean[list(METRICS)] = ordered[list(METRICS)].mean(skipna=False).to_numpy()
            parts += [ordered.astype({"fold": object}), mean]
    return pd.concat(parts, ignore_index=True) if parts else None


def _measured(run: FinishedRun) -> list[tuple[str, pd.Series]]:
    """Return the metrics of all faces of validation and test, as far as they were scored."""
    table = run.measured()
    whole = table[(table["attribute"] == "all") & (table["group"] == "all")]
    found = []
    for split in ("validation", "test"):
        own = whole[whole["split"] == split]
        if len(own):
            values = own.set_index("metric")["value"]
            values["n"] = own["faces"].iloc[0]
            found.append((split, values))
    return found


def write_folds(table: pd.DataFrame, folder: Path) -> None:
    """Write `folds.csv` and `folds.tex`.

    Args:
        table: as `fold_table` returns it.
        folder: of the summary.

    Raises:
        RunError: if a file cannot be written.
    """
    with whole_file(folder / TABLE) as temporary:
        table.to_csv(temporary, index=False)
    write_text(folder / LATEX, latex_text(table.rename(columns=METRICS)))


def printed_folds(table: pd.DataFrame, split: str) -> Table | None:
    """Return the table to print; None where it would be long.

    Args:
        table: as `fold_table` returns it.
        split: whose rows.
    """
    rows = table[table["split"] == split].drop(columns="split")
    if not 0 < len(rows) <= _MOST_ROWS:
        return None
    printed = Table(title=f"{split} faces, fold by fold")
    for name in rows:
        printed.add_column(METRICS.get(name, name), justify="right")
    for row in rows.to_dict(orient="records"):
        printed.add_row(
            *(
                decimal(None if pd.isna(found) else found) if name in METRICS else str(found)
                for name, found in row.items()
            ),
            end_section=row["fold"] == MEAN,
        )
    return printed
