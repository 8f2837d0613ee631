"""Variants as twins: do they differ in the chosen train faces alone?"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from facebias.data.bag import drawn_faces
from facebias.data.prepare import COMPOSITION_FILE, NORMALISATION_FILE
from facebias.data.twins import TwinReport, twin_report
from facebias.data.twins import Variant as Trained
from facebias.report.paired import Variant
from facebias.runs.same_config import SAME_RESULTS
from facebias.runs.settings import flat_settings
from facebias.runs.trained import TrainedRun

# What variants may differ in, and where files lie: whether it is the same data, the faces say.
_FREE = (
    *("bias", "remedy", "name", "sweep", "paths", "logger", "data.root", "data.reader.root"),
    *SAME_RESULTS,
)
_FREE_ENDINGS = (".cache", ".file")


def twin_reports(variants: Sequence[Variant]) -> list[TwinReport]:
    """Hold each variant beside the first: are they twins?

    Of both, runs of the same seed are looked at, where there are such.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.

    Returns:
        A report for every variant but the first.
    """
    first, *others = variants
    return [twin_report(*_sides(first, other)) for other in others]


def _sides(first: Variant, second: Variant) -> Iterator[Trained]:
    """Yield what two variants were trained with."""
    seeds = [{int(run.config.seed): run for run in each.runs} for each in (first, second)]
    shared = next((seed for seed in seeds[0] if seed in seeds[1]), None)
    for variant, by_seed in zip((first, second), seeds, strict=True):
        run = variant.runs[0] if shared is None else by_seed[shared]
        yield _trained(run, variant.name)


def unlike_seeds(variants: Sequence[Variant]) -> list[str]:
    """Return the runs that were not trained on the same faces as the first one of their variant.

    Args:
        variants: as `facebias.report.paired.find_variants` returns them.

    Returns:
        Their names.
    """
    return [
        run.name
        for variant in variants
        for run in variant.runs[1:]
        if not _labels(run).equals(_labels(variant.runs[0]))
    ]


def _labels(run: TrainedRun) -> pd.Series:
    """Return the labels that a run was trained on, by face."""
    return _train(run).set_index("id")["label"].sort_index()


def _train(run: TrainedRun) -> pd.DataFrame:
    return run.faces[(run.faces["split"] == "train") & (run.faces["left_out"] == "")]


def _trained(run: TrainedRun, name: str) -> Trained:
    composition = _read(run.folder / COMPOSITION_FILE)
    return Trained(
        name,
        run.faces,
        tuple(composition.get("attributes", ())),
        _read(run.folder / NORMALISATION_FILE),
        _steps(len(drawn_faces(_train(run))), run.config),
        flat_settings(run.config, _FREE, _FREE_ENDINGS),
    )


def _read(file: Path) -> dict[str, Any]:
    """Read a JSON file; runs of earlier versions have none."""
    content: dict[str, Any] = {}
    if file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
    return content


def _steps(faces: int, config: DictConfig) -> int:
    """Return the steps of a whole training; a last batch of one face is dropped."""
    batches, rest = divmod(faces, int(config.data.batch_size))
    epochs = int(config.trainer.max_epochs)
    return epochs * (batches + 1 if rest > 1 else batches)


def twin_table(reports: Sequence[TwinReport]) -> pd.DataFrame:
    """Return the answers of all reports: first, second, question, answer, detail, twins.

    Args:
        reports: as `twin_reports` returns them.
    """
    columns = ["first", "second", "question", "answer", "detail", "twins"]
    return pd.DataFrame([row for each in reports for row in _rows(each)], columns=columns)


def _rows(report: TwinReport) -> Iterator[dict[str, str]]:
    verdict = {True: "yes", False: "no", None: "not recorded"}[report.are_twins]
    pair = {"first": report.first, "second": report.second, "twins": verdict}
    for answer in report.answers:
        yield {**pair, "question": answer.question, "answer": answer.word, "detail": answer.detail}
    yield {**pair, "question": "shared train faces", "answer": "", "detail": _shared(report)}


def _shared(report: TwinReport) -> str:
    said = f"{report.shared:,} ({100 * report.share:.1f} % of the larger train set)"
    return said + (f", {report.relabelled:,} with another label" if report.relabelled else "")
