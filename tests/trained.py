"""Composes and runs small trainings in the test's own process."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from facebias.config import check, conf_folder, register_resolvers
from facebias.schemas import Audit, Cam, Check, Compare, Ensemble, Predict, Summary, Train

SMALL_MODEL = ("model=cnn1", "model.filters=[8]")
SMALL = (
    "trainer.max_epochs=3",
    "callbacks.fairness.replicates=100",
    "callbacks.fairness.min_group=5",
    "callbacks.cam.per_group=1",
    "~callbacks.progress",
    "+trainer.enable_progress_bar=false",
)


def compose_train(folder: Path, faces: Path, *overrides: str) -> DictConfig:
    """Return the checked configuration of a small training on drawn faces."""
    own_data, own_model = (
        any(override.startswith(f"{group}=") for override in overrides)
        for group in ("data", "model")
    )
    return _compose(
        "train",
        Train,
        *(() if own_data else ("data=emotions",)),
        f"data.root={faces}",
        f"paths.run={folder}/run",
        f"paths.cache={folder}/cache",
        *SMALL,
        *(() if own_model else SMALL_MODEL),
        *overrides,
    )


def compose_predict(folder: Path, run: Path, faces: Path, *overrides: str) -> DictConfig:
    """Return the checked configuration of a prediction."""
    return _compose(
        "predict",
        Predict,
        f"run={run}",
        f"faces={faces}",
        f"paths.run={folder}/predicted",
        f"paths.cache={folder}/cache",
        "callbacks.fairness.replicates=100",
        "callbacks.cam.per_group=1",
        "~callbacks.progress",
        "+trainer.enable_progress_bar=false",
        *overrides,
    )


def compose_compare(folder: Path, runs: Sequence[Path], *overrides: str) -> DictConfig:
    """Return the checked configuration of a comparison."""
    listed = ",".join(str(run) for run in runs)
    return _compose(
        "compare", Compare, f"runs=[{listed}]", f"paths.run={folder}/compared", *overrides
    )


def compose_cam(folder: Path, runs: Sequence[Path], *overrides: str) -> DictConfig:
    """Return the checked configuration of an explanation of runs."""
    listed = ",".join(str(run) for run in runs)
    out = (f"paths.run={folder}/explained", f"paths.cache={folder}/cache")
    return _compose("cam", Cam, f"runs=[{listed}]", *out, *overrides)


def compose_ensemble(folder: Path, *overrides: str) -> DictConfig:
    """Return the checked configuration of an ensemble."""
    out = (f"paths.run={folder}/ensemble", f"paths.outputs={folder}")
    return _compose("ensemble", Ensemble, *out, "fairness.replicates=100", *overrides)


def compose_summary(folder: Path, *overrides: str) -> DictConfig:
    """Return the checked configuration of a summary."""
    out = (f"paths.run={folder}/summary", f"paths.outputs={folder}")
    return _compose("summary", Summary, *out, *overrides)


def compose_check(folder: Path, *overrides: str) -> DictConfig:
    """Return the checked configuration of a data card."""
    cache = f"paths.cache={folder}/cache"
    return _compose("check", Check, f"paths.run={folder}/card", cache, *overrides)


def compose_audit(folder: Path, *overrides: str) -> DictConfig:
    """Return the checked configuration of an audit."""
    out = (f"paths.run={folder}/audit", f"paths.outputs={folder}")
    return _compose("audit", Audit, *out, "fairness.replicates=100", *overrides)


def _compose(name: str, schema: type, *overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return check(compose(name, list(overrides)), schema)
