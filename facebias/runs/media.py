"""What a finished run shows in its loggers: headline numbers, tables, pictures, single faces."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import OmegaConf
from PIL import Image

from facebias.report.results import RunResults, read_results
from facebias.report.summary import decimal
from facebias.runs.loggers import SafeLogger, public_config, run_labels
from facebias.runs.wandb_run import RunWandbLogger

_PICTURES = ("learning_curves", "confusion", "answers", "fairness", "cam/sheet")
_OVERALL = ("accuracy", "macro_f1", "auroc", "majority")
_MOST_FACES = 32
_CURVES = ("loss", "accuracy", "macro_f1", "auroc")


@dataclass(frozen=True)
class RunMedia:
    """What there is to show of a run.

    Attributes:
        headline: `result/<split>/<metric>`: accuracy and others of all faces, and the largest gap
            in accuracy by attribute; what is undefined is not there.
        tables: for each split the metrics of every group.
        gaps: for each split its gaps in accuracy, in words.
        pictures: PNG files by name.
        faces: PNG files of single faces beside their overlays, and label, predicted and groups.
        labels: what tells the run from others of its study.
        config: what is shown of the configuration, as YAML.
    """

    headline: dict[str, float]
    tables: dict[str, pd.DataFrame]
    gaps: dict[str, list[str]]
    pictures: dict[str, Path]
    faces: list[tuple[Path, str]]
    labels: dict[str, str | int | float]
    config: str


def show_run(loggers: Sequence[Logger], folder: Path) -> None:
    """Show a run in the loggers that can show it, and end it there; no failure stops the run.

    Args:
        loggers: of the trainer; W&B and TensorBoard get everything, others the headline numbers.
            The run's own files have all of it already.
        folder: of the run, with its report.
    """
    for logger in loggers:
        if isinstance(logger, SafeLogger):
            logger.attempt(lambda within: _show(within, read_media(folder)))


def read_media(folder: Path) -> RunMedia:
    """Collect what a run folder has to show."""
    results = read_results(folder)
    pictures = {name.replace("/", "_"): folder / f"{name}.png" for name in _PICTURES}
    return RunMedia(
        _headline(results.fairness),
        {split: pd.DataFrame(report["groups"]) for split, report in results.fairness.items()},
        {split: _gaps_in_words(report) for split, report in results.fairness.items()},
        {name: path for name, path in pictures.items() if path.is_file()},
        _faces(results),
        run_labels(results.config),
        OmegaConf.to_yaml(public_config(results.config)),
    )


def _headline(fairness: dict[str, Any]) -> dict[str, float]:
    found = {}
    for split, report in fairness.items():
        for name in _OVERALL:
            found[f"result/{split}/{name}"] = report["overall"][name]
        for gap in report["gaps"]:
            if gap["metric"] == "accuracy":
                attribute = gap["attribute"].replace(" ", "_")
                found[f"result/{split}/accuracy_gap_{attribute}"] = gap["difference"]
    return {name: value for name, value in found.items() if value is not None}


def _gaps_in_words(report: dict[str, Any]) -> list[str]:
    return [
        f"{gap['attribute']}, accuracy: {gap['headline']}"
        for gap in report["gaps"]
        if gap["metric"] == "accuracy"
    ]


def _faces(results: RunResults) -> list[tuple[Path, str]]:
    """Return single faces, evenly taken from all groups, each with its caption."""
    maps = results.folder / "cam" / "maps.npz"
    if not maps.is_file():
        return []
    with np.load(maps, allow_pickle=False) as stored:
        identifiers = stored["id"]
    pictures = sorted((results.folder / "cam" / "faces").glob("*.png"))
    split, fairness = results.headline_split, results.fairness
    rows = results.predictions[results.predictions["split"] == split].set_index("id")
    groups = list(fairness[split]["settings"]["attributes"]) if split in fairness else []
    places = np.linspace(0, len(pictures) - 1, min(_MOST_FACES, len(pictures))).astype(int)
    return [(pictures[n], _caption(rows.loc[identifiers[n]], groups)) for n in places]


def _caption(row: pd.Series, attributes: Sequence[str]) -> str:
    of_group = ", ".join(str(row[name]) for name in attributes)
    caption = f"label {row['label']}, predicted {row['predicted']}"
    return f"{caption}; {of_group}" if of_group else caption


def _show(logger: Logger, media: RunMedia) -> None:
    if isinstance(logger, RunWandbLogger):
        _show_in_wandb(logger.experiment, media)
        logger.end()
    elif isinstance(logger, TensorBoardLogger):
        _show_in_tensorboard(logger, media)
        logger.finalize("success")
    elif media.headline:
        logger.log_metrics(media.headline)
        logger.finalize("success")


def _show_in_wandb(run: Any, media: RunMedia) -> None:  # noqa: ANN401 - wandb is imported late
    import wandb

    shown: dict[str, Any] = {
        f"fairness/{split}": wandb.Table(dataframe=table) for split, table in media.tables.items()
    }
    shown |= {f"pictures/{name}": wandb.Image(str(path)) for name, path in media.pictures.items()}
    shown["faces"] = [wandb.Image(str(path), caption=caption) for path, caption in media.faces]
    run.log({name: each for name, each in shown.items() if each})
    run.summary.update(media.headline)


def _show_in_tensorboard(logger: TensorBoardLogger, media: RunMedia) -> None:
    writer: Any = logger.experiment
    curves = {name: ["Multiline", [f"train/{name}", f"validation/{name}"]] for name in _CURVES}
    writer.add_custom_scalars({"by epoch": curves})
    writer.add_text("config", f"```yaml\n{media.config}```")
    for split, table in media.tables.items():
        lines = "".join(f"\n\n{line}" for line in media.gaps[split])
        writer.add_text(f"fairness/{split}", markdown_table(table) + lines)
    for name, path in media.pictures.items():
        writer.add_image(f"pictures/{name}", _pixels(path), dataformats="HWC")
    for number, (path, caption) in enumerate(media.faces, start=1):
        # A picture has no caption in TensorBoard: it is part of its name.
        name = re.sub(r"[^\w.-]+", "_", caption)
        writer.add_image(f"faces/{number:02d}_{name}", _pixels(path), dataformats="HWC")
    logger.log_hyperparams(media.labels, media.headline or None)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def markdown_table(table: pd.DataFrame) -> str:
    r"""Return a table in Markdown; shares have three decimals, what is undefined is a dash.

    >>> print(markdown_table(pd.DataFrame({"group": ["old|new"], "n": [3], "accuracy": [0.5]})))
    | group | n | accuracy |
    |---|---|---|
    | old\|new | 3 | 0.500 |
    """
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    lines = [[str(name) for name in table.columns], *rows]
    lines.insert(1, ["---"] * len(table.columns))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("| --- ", "|---")


def _cell(value: object) -> str:
    if isinstance(value, float) or value is None:
        return decimal(None if pd.isna(value) else value)
    return str(value).replace("|", "\\|")
