"""The group report, against fairlearn's MetricFrame on the same table, and with one copy.

python -m tests.benchmarks.fairness
"""

import time

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score, f1_score, recall_score

from facebias.fairness.group_report import group_report

_ROWS, _REPLICATES, _PEER_REPLICATES = 20_000, 1_000, 5
_CLASSES = ("a", "b")
_ATTRIBUTES = {"first": ("0", "1"), "second": ("0", "1"), "third": ("0", "1")}


def draw_predictions() -> pd.DataFrame:
    """Draw a table of two classes and 2 x 2 x 2 groups."""
    random = np.random.default_rng(0)
    label = random.choice(_CLASSES, _ROWS)
    right = random.random(_ROWS) < 0.8
    predicted = np.where(right, label, np.where(label == "a", "b", "a"))
    groups = {name: random.choice(values, _ROWS) for name, values in _ATTRIBUTES.items()}
    return pd.DataFrame({"label": label, "predicted": predicted, **groups})


def time_report(copies: int) -> float:
    """Return the seconds of a report on 7 classes and 2 x 9 groups, with so many copied faces."""
    random = np.random.default_rng(0)
    classes = [f"class{number}" for number in range(7)]
    attributes = {"gender": ["f", "m"], "age": [f"age{number}" for number in range(9)]}
    drawn = {"label": classes, "predicted": classes} | attributes
    table = pd.DataFrame({name: random.choice(values, _ROWS) for name, values in drawn.items()})
    identity = np.arange(_ROWS)
    identity[1 : 1 + copies] = 0
    table["identity"] = [f"person{number:06d}" for number in identity]
    start = time.perf_counter()
    group_report(
        table, classes, attributes, intersections=[tuple(attributes)], replicates=_REPLICATES
    )
    return time.perf_counter() - start


def main() -> None:
    """Print the seconds for each replicate, the ratio, and what one copied face costs."""
    table = draw_predictions()
    start = time.perf_counter()
    group_report(
        table,
        _CLASSES,
        _ATTRIBUTES,
        intersections=[tuple(_ATTRIBUTES)],
        replicates=_REPLICATES,
    )
    ours = (time.perf_counter() - start) / _REPLICATES
    metrics = {
        "accuracy": accuracy_score,
        "macro_recall": lambda y, p: recall_score(y, p, average="macro", zero_division=0),
        "macro_f1": lambda y, p: f1_score(y, p, average="macro", zero_division=0),
    }
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
    peer = (time.perf_counter() - start) / _PEER_REPLICATES
    print(f"{_ROWS:,} rows, 8 intersections, 2 classes, for each bootstrap replicate")
    print(f"  facebias, 4 groupings, 3 metrics and their gaps: {ours * 1000:8.2f} ms")
    print(f"  fairlearn MetricFrame, 1 grouping, 3 metrics:    {peer * 1000:8.2f} ms")
    print(f"  fairlearn / facebias: {peer / ours:.0f}")
    without, with_one = time_report(copies=0), time_report(copies=1)
    print(f"{_ROWS:,} rows, 18 intersections, 7 classes, {_REPLICATES:,} replicates")
    print(f"  every face its own person:           {without:8.2f} s")
    print(f"  one face copied, persons resampled:  {with_one:8.2f} s")
    print(f"  with one copy / without: {with_one / without:.1f}")


if __name__ == "__main__":
    main()
