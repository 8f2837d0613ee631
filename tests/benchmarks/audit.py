"""A million predictions with three attributes, from Parquet to the audit's tables.

python -m tests.benchmarks.audit
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from facebias.data.audited import AuditColumns, AuditValues, read_audited
from facebias.fairness.audit import audit

_ROWS, _PEOPLE = 1_000_000, 300_000
_CLASSES = {"two": ["female", "male"], "eight": [f"emotion {number}" for number in range(8)]}
_ATTRIBUTES = {
    "race": ["Black", "East Asian", "Indian", "Latino", "Middle Eastern", "White"],
    "age": ["0-9", "10-19", "20-39", "40-59", "60+"],
    "skin": ["light", "medium", "dark"],
}
_CASES = {
    "2 classes": ("two", False, False),
    "2 classes, probabilities": ("two", True, False),
    "8 classes": ("eight", False, False),
    "8 classes, probabilities": ("eight", True, False),
    "2 classes, 300,000 persons": ("two", False, True),
}


def write_predictions(path: Path, classes: list[str], *, scores: bool, persons: bool) -> None:
    """Write predictions that are right three times of four."""
    random = np.random.default_rng(0)
    label = random.integers(len(classes), size=_ROWS)
    other = random.integers(len(classes), size=_ROWS)
    predicted = np.where(random.random(_ROWS) < 0.75, label, other)
    names = np.array(classes)
    table = {"label": names[label], "predicted": names[predicted]}
    table |= {name: random.choice(groups, _ROWS) for name, groups in _ATTRIBUTES.items()}
    if persons:
        table["person"] = random.integers(_PEOPLE, size=_ROWS)
    if scores:
        raw = random.random((_ROWS, len(classes)))
        raw[np.arange(_ROWS), predicted] += 1.0
        raw /= raw.sum(axis=1, keepdims=True)
        table |= {f"p_{name}": raw[:, place] for place, name in enumerate(classes)}
    pd.DataFrame(table).to_parquet(path, index=False)


def measure(path: Path, *, persons: bool) -> None:
    """Print how long the tables of one file take, and the most memory that was held."""
    start = time.perf_counter()
    columns = AuditColumns("label", "predicted", tuple(_ATTRIBUTES))
    if persons:
        columns = AuditColumns("label", "predicted", tuple(_ATTRIBUTES), identity="person")
    faces = read_audited({"model": path}, columns, AuditValues())
    read = time.perf_counter() - start
    found = audit(faces.rows, **faces.columns())
    seconds, busy = time.perf_counter() - start, time.process_time()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows = sum(map(len, found.tables.values()))
    print(
        f"{seconds:6.1f} s ({read:.1f} s to read; {busy:.1f} s of processor time, with imports), "
        f"{held:.2f} GiB, {rows:,} rows of tables"
    )


def main() -> None:
    """Measure every case in a process of its own, so that memory is its own too."""
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]), persons=sys.argv[2] == "persons")
        return
    print(f"{_ROWS:,} predictions, 3 attributes and their pairs, 1,000 replicates")
    for name, (classes, scores, persons) in _CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "predictions.parquet"
            write_predictions(path, _CLASSES[classes], scores=scores, persons=persons)
            print(f"  {name:<28}", end="", flush=True)
            command = [sys.executable, "-m", "tests.benchmarks.audit", str(path)]
            command.append("persons" if persons else "rows")
            subprocess.run(command, check=True)  # noqa: S603


if __name__ == "__main__":
    main()
