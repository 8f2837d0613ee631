"""What a comparison says of its runs: settings, faces, learning curves, leaks, cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from facebias.data.bag import drawn_faces
from facebias.data.leaks import read_leaks
from facebias.data.prepare import COMPOSITION_FILE
from facebias.data.table import SPLITS
from facebias.report.paired import Variant
from facebias.report.variant_readings import bias_dose
from facebias.runs.folder import STATUS
from facebias.runs.settings import differing_settings
from facebias.runs.trained import TrainedRun

CURVES = ("loss", "accuracy", "macro_f1")
"""What learning curves show."""

LOUD = "LEAK"
"""Begins what a run says of faces that leak and are used."""

_SPLITS = ("train", "validation")


def variant_table(variants: Sequence[Variant]) -> pd.DataFrame:
    """Return what each variant was trained with, a row a variant.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.

    Returns:
        variant, runs, seeds (their list), bias, dose (NaN if it has none), remedy, model, epochs,
        batch, and the used faces of train (of a bag its draws), validation and test of the first
        run.
    """
    return pd.DataFrame([_variant_row(variant) for variant in variants])


def _variant_row(variant: Variant) -> dict[str, Any]:
    first = variant.runs[0]
    used = first.faces[first.faces["left_out"] == ""]
    train = drawn_faces(used[used["split"] == "train"])
    counts = {split: int((used["split"] == split).sum()) for split in SPLITS}
    return {
        "variant": variant.name,
        "runs": len(variant.runs),
        "seeds": ", ".join(str(run.config.seed) for run in variant.runs),
        "bias": str(first.config.bias.variant),
        "dose": bias_dose(first.config),
        "remedy": _short_target(first, "remedy"),
        "model": _model(first),
        "epochs": int(first.config.trainer.max_epochs),
        "batch": int(first.config.data.batch_size),
        **counts,
        "train": len(train),
    }


def _short_target(run: TrainedRun, node: str) -> str:
    """Return the class that a node of the configuration names, without its module."""
    name = str(OmegaConf.select(run.config, f"{node}._target_") or "none").rpartition(".")[2]
    return "none" if name == "NoRemedy" else name


def _model(run: TrainedRun) -> str:
    """Name a backbone, or say how many filters the layers of a network of our own have."""
    model = run.config.model
    filters = OmegaConf.select(model, "filters")
    widths = "" if filters is None else f" ({', '.join(map(str, filters))})"
    return str(OmegaConf.select(model, "name") or f"{_short_target(run, 'model')}{widths}")


def run_table(variants: Sequence[Variant]) -> pd.DataFrame:
    """Return where each run lies and what it ran on, a row a run.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.

    Returns:
        run, variant, seed, fold, folder, facebias, commit, python, torch, device, threads, ended
        (UTC) and cpu_seconds (of all its processes); what a run has not recorded is None or NaN.
    """
    rows = [_run_row(run, variant) for variant in variants for run in variant.runs]
    return pd.DataFrame(rows).astype({"cpu_seconds": float})


def _run_row(run: TrainedRun, variant: Variant) -> dict[str, Any]:
    said, status = run.results.environment, _read(run.folder / STATUS)
    return {
        **{"run": run.name, "variant": variant.name},
        **{"seed": int(run.config.seed), "fold": int(run.config.data.fold)},
        "folder": str(run.folder),
        **{name: said.get(name) for name in ("facebias", "commit", "python")},
        "torch": said.get("versions", {}).get("torch"),
        **{name: said.get(name) for name in ("device", "threads")},
        **{"ended": status.get("at"), "cpu_seconds": status.get("cpu_seconds")},
    }


def _read(file: Path) -> dict[str, Any]:
    """Read a JSON file; of one that is not there, nothing."""
    content: dict[str, Any] = {}
    if file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
    return content


def setting_table(variants: Sequence[Variant]) -> pd.DataFrame:
    """Return the settings in which variants differ, but for seed and fold: a row a setting.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.

    Returns:
        setting, then a column a variant: its value as text, empty where it has none.
    """
    firsts = differing_settings([variant.runs[0].config for variant in variants])
    rows = [
        {
            "setting": key,
            **{
                variant.name: "" if chosen[key] is None else str(chosen[key])
                for variant, chosen in zip(variants, firsts, strict=True)
            },
        }
        for key in firsts[0]
    ]
    return pd.DataFrame(rows, columns=["setting", *(variant.name for variant in variants)])


def cell_table(variants: Sequence[Variant]) -> pd.DataFrame:
    """Return the train faces of each cell, before the bias and at every stage after it.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.

    Returns:
        variant, stage ("source", "after the bias", ... of `facebias.data.proof`), label, group
        (of the attributes that the bias goes by; "all" where it goes by none) and n (faces; of the
        stage "weighted" sums of weights).
    """
    rows = [
        {"variant": variant.name, "stage": stage, "label": label, "group": group, "n": n}
        for variant in variants
        for stage, labels in _composition(variant.runs[0]).get("cells", {}).items()
        for label, groups in labels.items()
        for group, n in groups.items()
    ]
    return pd.DataFrame(rows, columns=["variant", "stage", "label", "group", "n"])


def _composition(run: TrainedRun) -> dict[str, Any]:
    return _read(run.folder / COMPOSITION_FILE)


def left_out_table(variants: Sequence[Variant]) -> pd.DataFrame:
    """Return why faces are not used, and how many: variant, split, reason, n."""
    parts = [
        variant.runs[0]
        .results.left_out.assign(variant=variant.name)
        .rename(columns={"left_out": "reason"})
        for variant in variants
    ]
    return pd.concat(parts, ignore_index=True)[["variant", "split", "reason", "n"]]


def leak_table(variants: Sequence[Variant]) -> pd.DataFrame:
    """Return the pairs of faces that leak or contradict each other, by kind, a row a run and kind.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.

    Returns:
        run, variant, kind, pairs, across (splits). A run without such pairs has no row.
    """
    rows = [row for variant in variants for run in variant.runs for row in _leaks(run, variant)]
    return pd.DataFrame(rows, columns=["run", "variant", "kind", "pairs", "across"])


def _leaks(run: TrainedRun, variant: Variant) -> Iterator[dict[str, Any]]:
    pairs = read_leaks(run.folder)
    if pairs is None:
        return
    for kind, found in pairs.groupby("kind", sort=False):
        # A column of empty cells is read as numbers.
        splits = (found[f"{side}_split"].astype(object) for side in ("first", "second"))
        one, other = (each.fillna("") for each in splits)
        across = one != other
        counts = {"pairs": len(found), "across": int(across.sum())}
        yield {"run": run.name, "variant": variant.name, "kind": str(kind), **counts}


def loud_lines(variants: Sequence[Variant]) -> dict[str, list[str]]:
    """Return what runs say of used faces that leak, and the variants that say it.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.
    """
    found: dict[str, list[str]] = {}
    for variant in variants:
        lines = [line for run in variant.runs for line in _composition(run).get("says", [])]
        for line in dict.fromkeys(lines):
            if line.startswith(LOUD):
                found.setdefault(line, []).append(variant.name)
    return found


def curve_table(variants: Sequence[Variant]) -> pd.DataFrame:
    """Return the learning curves of each variant: mean, least and most over its seeds.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.

    Returns:
        variant, split ("train", "validation"), metric (of `CURVES`), epoch (from 1), seeds, mean,
        low and high (the least and the most of any seed; no interval).
    """
    parts = [_curves(variant) for variant in variants]
    return pd.concat(parts, ignore_index=True)


def _curves(variant: Variant) -> pd.DataFrame:
    """Return the curves of one variant."""
    found = []
    for run in variant.runs:
        metrics = run.results.metrics
        for split in _SPLITS:
            for name in CURVES:
                if f"{split}/{name}" in metrics:
                    by_epoch = metrics.groupby("epoch")[f"{split}/{name}"].last().dropna()
                    rows = by_epoch.rename("value").reset_index()
                    found.append(rows.assign(split=split, metric=name))
    keys = ["split", "metric", "epoch"]
    columns = ["variant", *keys, "seeds", "mean", "low", "high"]
    if not found:
        return pd.DataFrame(columns=columns)
    values = pd.concat(found, ignore_index=True)
    table = values.groupby(keys, sort=False, as_index=False).agg(
        seeds=("value", "size"), mean=("value", "mean"), low=("value", "min"), high=("value", "max")
    )
    return table.assign(variant=variant.name, epoch=table["epoch"] + 1)[columns]


def data_facts(runs: Sequence[TrainedRun]) -> list[str]:
    """Return what the runs say of their data, a sentence each.

    Args:
        runs: as `facebias.runs.trained.load_runs` returns them.
    """
    first = runs[0]
    reader, data = first.config.data.reader, first.config.data
    source = str(reader._target_).rpartition(".")[2].removeprefix("read_").replace("_", " ")
    root = data.root or reader.get("root")
    where = f", in {root}" if root else ""
    sizes = f"{data.width} x {data.height} pixels, {data.channels} channels"
    said = [
        f"Data: {source}{where}; {len(first.faces):,} faces of {len(first.classes)} classes "
        f"({', '.join(first.classes)}), read as {sizes}.",
        f"Who said what the groups are: {first.results.provenance}.",
        f"Copies of faces across splits: data.copies={data.copies}; data.seed={data.seed}.",
    ]
    others = {str(run.config.data.root or run.config.data.reader.get("root")) for run in runs}
    if len(others) > 1:
        said.append(f"The runs name several folders: {', '.join(sorted(others))}.")
    return said
