"""An ensemble beside its members: `members.csv`, `ensemble.json`, and what the console says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from facebias.fairness.group_report import group_report
from facebias.fairness.paired import paired_difference
from facebias.fairness.predictions import scored_rows
from facebias.files import whole_file, write_json
from facebias.report.results import ENSEMBLE_FILE, read_results
from facebias.report.summary import console_for_tables, decimal, signed
from facebias.runs.trained import TrainedRun

MEMBERS_FILE = "members.csv"
MEAN = "mean of the members"
_METRICS = ("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "auroc")
_PAIRED = ("difference", "difference_low", "difference_high", "only_ensemble", "only_member")


def write_members(
    runs: Sequence[TrainedRun],
    predictions: pd.DataFrame,
    folder: Path,
    *,
    vote: str,
    **options: Any,  # noqa: ANN401
) -> pd.DataFrame:
    """Write `members.csv` and `ensemble.json`: the ensemble beside its members.

    The ensemble is compared with each member and with their mean, face by face. It is not compared
    with the best member: which one that is would be chosen on the very faces of the comparison.

    Args:
        runs: the members.
        predictions: of the ensemble.
        folder: of the ensemble.
        vote: "soft" or "hard".
        options: `replicates` and `seed` of the bootstraps.

    Returns:
        A row for the ensemble, the mean of the members and each member: member, folder, n (faces),
        accuracy with its 95 % interval, macro_f1, auroc; difference (the ensemble's accuracy minus
        this one's) with its paired 95 % interval, only_ensemble and only_member (faces that the one
        has right and the other has not). NaN where undefined.

    Raises:
        RunError: if a file cannot be written.
    """
    split = runs[0].results.headline_split
    rows = predictions[predictions["split"] == split]
    table = _rows(runs, rows, options)
    with whole_file(folder / MEMBERS_FILE) as temporary:
        table.to_csv(temporary, index=False)
    content = {
        "vote": vote,
        "split": split,
        "splits": list(dict.fromkeys(predictions["split"])),
        "provenance": runs[0].results.provenance,
        "rows": table.to_dict(orient="records"),
    }
    write_json(folder / ENSEMBLE_FILE, content)
    return table


def _rows(
    runs: Sequence[TrainedRun], rows: pd.DataFrame, options: Mapping[str, Any]
) -> pd.DataFrame:
    classes, faces = runs[0].classes, rows["id"]
    own = [run.rows.set_index("id", drop=False).loc[faces] for run in runs]
    right = np.stack([_right(each) for each in own])
    persons, together = scored_rows(rows, classes).persons, _right(rows)
    paired = {"persons": persons, **options}
    table = pd.DataFrame(
        [
            {"member": "ensemble", "folder": None} | _metrics(rows, classes, options),
            {"member": MEAN, "folder": None} | _against(together, right.mean(axis=0), paired),
            *(
                {"member": run.name, "folder": str(run.folder)}
                | _metrics(each, classes, options)
                | _against(together, answers, paired)
                for run, each, answers in zip(runs, own, right, strict=True)
            ),
        ],
        columns=["member", "folder", "n", *_METRICS, *_PAIRED],
    )
    means = ["n", "accuracy", "macro_f1", "auroc"]
    table.loc[1, means] = table.loc[2:, means].mean()
    table.loc[1, ["only_ensemble", "only_member"]] = np.nan
    return table.astype({"n": int})


def _right(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    return np.asarray(rows["predicted"].to_numpy() == rows["label"].to_numpy(), np.float64)


def _metrics(
    rows: pd.DataFrame, classes: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    overall = group_report(rows.reset_index(drop=True), classes, {}, **options).overall
    return {name: overall[name] for name in ("n", *_METRICS)}


def _against(
    ensemble: npt.NDArray[np.float64], member: npt.NDArray[np.float64], options: Mapping[str, Any]
) -> dict[str, float]:
    """Return the ensemble's accuracy minus another one's, and the faces that only one has right."""
    found = paired_difference(ensemble, member, **options)
    only = ((ensemble > member).sum(), (ensemble < member).sum())
    values = (found.difference, found.low, found.high, *map(int, only))
    return dict(zip(_PAIRED, values, strict=True))


def print_members(folder: Path, console: Console | None = None) -> None:
    """Print the ensemble beside its members.

    Args:
        folder: of the ensemble.
        console: to print on.
    """
    console = console or console_for_tables()
    content = read_results(folder).ensemble
    rows = content["rows"]
    title = f"{content['vote']} vote of {len(rows) - 2}, {rows[0]['n']:,} {content['split']} faces"
    table = Table("", title=title)
    for name in ("accuracy [95 % interval]", "macro F1", "AUROC", "ensemble minus it, paired"):
        table.add_column(name, justify="right", overflow="fold")
    for row in rows:
        difference = "" if row["difference"] is None else signed_interval(row)
        cells = (decimal(row["macro_f1"]), decimal(row["auroc"]), difference)
        table.add_row(row["member"], accuracy_cell(row), *cells)
    console.print(table)
    console.print(
        "Differences are of the same faces; intervals cover other faces, not other trainings.",
        highlight=False,
    )


def accuracy_cell(row: Mapping[str, Any]) -> str:
    """Format an accuracy, and its interval where it has one."""
    if row["accuracy_low"] is None:
        return decimal(row["accuracy"])
    bounds = decimal(row["accuracy_low"]), decimal(row["accuracy_high"])
    return f"{decimal(row['accuracy'])} [{', '.join(bounds)}]"


def signed_interval(row: Mapping[str, Any]) -> str:
    """Format a paired difference with its interval; where there is none, dashes."""
    bounds = signed(row["difference_low"]), signed(row["difference_high"])
    return f"{signed(row['difference'])} [{', '.join(bounds)}]"
