"""A table of a million faces read, split and biased, against pandas and scikit-learn alone.

python -m tests.benchmarks.tables
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from facebias.data.bias import ValenceShares, compose
from facebias.data.readers.tables import read_table
from facebias.data.split import draw_splits

_ROWS, _PEOPLE = 1_000_000, 300_000
_VALENCES = {
    "anger": "negative",
    "contempt": "negative",
    "disgust": "negative",
    "fear": "negative",
    "happy": "positive",
    "neutral": "neutral",
    "sad": "negative",
    "surprise": "positive",
}
_ATTRIBUTES = {
    "gender": ["female", "male"],
    "age": ["child", "young", "adult", "older"],
    "skin_tone": ["light", "medium", "dark"],
}
_PEER_ROWS, _FOLDS = 5_000, 10


def write_tables(folder: str) -> list[str]:
    """Write the same faces as CSV and as Parquet; one in twenty is of unknown gender."""
    random = np.random.default_rng(0)
    number, people = np.arange(_ROWS).astype(str), random.integers(0, _PEOPLE, _ROWS).astype(str)
    faces = pd.DataFrame(
        {
            "source": np.strings.add("images/", np.strings.add(number, ".jpg")),
            "label": random.choice(list(_VALENCES), _ROWS),
            "identity": np.strings.add("person", people),
            **{name: random.choice(groups, _ROWS) for name, groups in _ATTRIBUTES.items()},
        }
    )
    faces["gender"] = faces["gender"].mask(random.random(_ROWS) < 0.05)
    files = [f"{folder}/faces.csv", f"{folder}/faces.parquet"]
    faces.to_csv(files[0], index=False)
    faces.to_parquet(files[1], index=False)
    return files


def measure(steps: dict[str, Callable[[Any], Any]], start: object) -> list[dict[str, object]]:
    """Run steps, each on what the one before returned; its seconds, and the peak memory so far."""
    measured, result = [], start
    for name, step in steps.items():
        clock, worked = time.perf_counter(), time.process_time()
        result = step(result)
        measured.append(
            {
                "step": name,
                "seconds": time.perf_counter() - clock,
                "processor": time.process_time() - worked,
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    return measured


def ours(file: str) -> list[dict[str, object]]:
    """Read, split and bias as `facebias.train` does, and write `split.parquet`."""
    folder = Path(file).parent
    bias = ValenceShares("negative", dose=0.6, valences=_VALENCES, within="label")
    steps: dict[str, Callable[[Any], Any]] = {
        "read": lambda file: read_table(file, str(folder), list(_VALENCES), _ATTRIBUTES),
        "split": lambda table: draw_splits(
            table, folds=_FOLDS, fold=0, stratify=tuple(_ATTRIBUTES), seed=0
        ),
        "bias": lambda table: compose(table, bias, seed=0),
        "write": lambda table: table.rows.to_parquet(folder / "split.parquet", index=False),
    }
    return measure(steps, file)


def plain(file: str) -> list[dict[str, object]]:
    """Read and sample with pandas alone, and split the first rows with scikit-learn."""
    read = pd.read_csv if file.endswith(".csv") else pd.read_parquet

    def sampled(rows: pd.DataFrame) -> pd.DataFrame:
        valence = rows["label"].map(_VALENCES)
        least = int(valence.value_counts().min())
        rows.groupby(valence).sample(least, random_state=0)
        return rows

    def folded(rows: pd.DataFrame) -> None:
        part = rows.iloc[:_PEER_ROWS]
        folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
        next(folds.split(part, part["label"], part["identity"]))

    return measure({"read": read, "bias": sampled, "split": folded}, file)


def in_new_process(kind: str, place: Path) -> Any:  # noqa: ANN401
    """Do one of `_KINDS` in a process of its own, which has a peak of memory of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.tables", kind, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout)


def report(name: str, measured: list[dict[str, Any]]) -> dict[str, float]:
    """Print seconds and memory of each step; return the seconds of processor."""
    for each in measured:
        print(
            f"  {name:9} {each['step']:6} {each['seconds']:7.2f} s "
            f"({each['processor']:6.2f} s of processor), peak {each['megabytes']:5.0f} MB"
        )
    return {each["step"]: each["processor"] for each in measured}


def main() -> None:
    """Print both ways, for CSV and for Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        for file in in_new_process("write", Path(folder)):
            print(f"{_ROWS:,} faces of {_PEOPLE:,} people, {Path(file).suffix[1:]}")
            whole = report("facebias", in_new_process("facebias", file))
            bare = report("plain", in_new_process("plain", file))
            print(f"  plain splits only {_PEER_ROWS:,} faces; in seconds of processor:")
            ratio = (whole["read"] + whole["bias"]) / (bare["read"] + bare["bias"])
            splits = bare["split"] / _PEER_ROWS / (whole["split"] / _ROWS)
            print(f"  read, split and bias: {whole['read'] + whole['split'] + whole['bias']:.1f} s")
            print(f"  read and bias, facebias with its checks / plain: {ratio:.1f}")
            print(f"  split of a face, plain / facebias: {splits:.0f}")


_KINDS: dict[str, Callable[[str], object]] = {
    "write": write_tables,
    "facebias": ours,
    "plain": plain,
}

if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(_KINDS[sys.argv[1]](sys.argv[2])))
    else:
        main()
