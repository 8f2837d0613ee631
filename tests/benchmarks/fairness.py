"""The group report beside fairlearn's MetricFrame, and from Parquet for a million predictions.

python -m tests.benchmarks.fairness

Seconds of one process; run it alone. The first report of a process loads libraries and is not
counted.
"""

import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from facebias.fairness.gaps import group_gaps
from facebias.fairness.group_pairs import compare_groups
from facebias.fairness.group_report import group_report
from facebias.fairness.measures import estimate_groups, measure_groups
from facebias.fairness.predictions import all_group_codes, scored_rows
from facebias.fairness.resampling import count_groups
from facebias.fairness.settings import Settings

_ROWS, _PEER_REPLICATES, _ROUNDS = 20_000, 3, 5
_ATTRIBUTES = {"first": ("0", "1"), "second": ("0", "1"), "third": ("0", "1")}
_SETTINGS = Settings(replicates=1000)


def draw_predictions(n_classes: int, persons: int | None = None) -> pd.DataFrame:
    """Draw a table of 2 x 2 x 2 groups; persons have the groups, where there are any."""
    random = np.random.default_rng(0)
    classes = _classes(n_classes)
    label = random.integers(n_classes, size=_ROWS)
    right = random.random(_ROWS) < 0.8
    predicted = np.where(right, label, (label + 1) % n_classes)
    person = np.arange(_ROWS) if persons is None else random.integers(persons, size=_ROWS)
    groups = {
        name: np.array(values, object)[random.integers(2, size=_ROWS)[person]]
        for name, values in _ATTRIBUTES.items()
    }
    table = pd.DataFrame({"label": classes[label], "predicted": classes[predicted], **groups})
    return table if persons is None else table.assign(identity=[f"person{each}" for each in person])


def time_intersections(n_classes: int, persons: int | None = None) -> dict[str, float]:
    """Return the seconds of all count metrics and gaps of the 8 intersections, by step."""
    table, classes = draw_predictions(n_classes, persons), list(_classes(n_classes))
    times = []
    for _ in range(_ROUNDS):
        rows, moments = scored_rows(table, classes), [time.perf_counter()]
        codes = all_group_codes(rows.table, _ATTRIBUTES, [tuple(_ATTRIBUTES)])[-1]
        counted = count_groups(rows, codes, n_classes, _SETTINGS)
        moments.append(time.perf_counter())
        estimates = estimate_groups(counted, _SETTINGS)
        measure_groups(counted, estimates, classes, _SETTINGS)
        moments.append(time.perf_counter())
        compared = compare_groups(counted, estimates, _SETTINGS)
        group_gaps(counted, compared, classes, _SETTINGS)
        moments.append(time.perf_counter())
        times.append(np.diff(moments))
    fastest = min(times, key=sum)
    return dict(zip(("replicates", "metrics", "gaps and tests"), fastest.tolist(), strict=True))


def time_peer() -> float:
    """Return fairlearn's seconds for each replicate of seven metrics of the 8 intersections."""
    table = draw_predictions(2)
    averages: dict[str, Callable[..., float]] = {
        "precision": precision_score,
        "recall": recall_score,
        "f1": f1_score,
    }
    metrics: dict[str, Callable[..., float]] = {"accuracy": accuracy_score}
    for (name, function), average in (
        (each, average) for each in averages.items() for average in ("macro", "weighted")
    ):
        metrics[f"{average}_{name}"] = _averaged(function, average)
    start = time.perf_counter()
    MetricFrame(
        metrics=metrics,
        y_true=table["label"],
        y_pred=table["predicted"],
        sensitive_features=table[list(_ATTRIBUTES)],
        n_boot=_PEER_REPLICATES,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )
    return (time.perf_counter() - start) / _PEER_REPLICATES


def time_report(folder: Path, rows: int, groups: Sequence[int], n_classes: int) -> float:
    """Return the seconds from Parquet to the report of all attributes and their pairs."""
    random = np.random.default_rng(0)
    classes = _classes(n_classes)
    label = random.integers(n_classes, size=rows)
    right = random.random(rows) < 0.8
    table = pd.DataFrame(
        {
            "id": np.arange(rows),
            "label": classes[label],
            "predicted": classes[np.where(right, label, (label + 1) % n_classes)],
        }
    )
    attributes = {
        f"attribute{place}": tuple(f"group{each}" for each in range(size))
        for place, size in enumerate(groups)
    }
    for name, values in attributes.items():
        table[name] = random.choice(np.array(values, object), rows)
    table.to_parquet(folder / "predictions.parquet")
    del table
    start = time.perf_counter()
    group_report(
        pd.read_parquet(folder / "predictions.parquet"),
        list(classes),
        attributes,
        intersections=list(combinations(attributes, 2)),
    )
    return time.perf_counter() - start


def _averaged(function: Callable[..., float], average: str) -> Callable[..., float]:
    return lambda y, p: function(y, p, average=average, zero_division=0)


def _classes(n_classes: int) -> np.ndarray:
    return np.array([f"class{number}" for number in range(n_classes)], object)


def main() -> None:
    """Print the seconds of each case."""
    print(f"{_ROWS:,} rows, 8 intersections, {_SETTINGS.replicates:,} replicates of everything")
    for words, case in (("2 classes", (2,)), ("8 classes, 3,000 persons", (8, 3_000))):
        steps = time_intersections(*case)
        listed = ", ".join(f"{name} {seconds:.3f}" for name, seconds in steps.items())
        print(f"  {words}: {sum(steps.values()):.3f} s ({listed})")
    peer = time_peer()
    print(f"  fairlearn's MetricFrame, 7 metrics, no gaps: {peer:.3f} s for each replicate")
    with tempfile.TemporaryDirectory() as folder:
        seconds = time_report(Path(folder), 1_000_000, (2, 7, 9), 7)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"1,000,000 rows, 2, 7 and 9 groups and their pairs, 7 classes: {seconds:.1f} s")
    print(f"  the most memory that the process held, with its benchmark: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
