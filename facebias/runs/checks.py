"""What would fail after hours of training, refused before the first step."""

from omegaconf import DictConfig

from facebias.data.prepare import PreparedFaces
from facebias.errors import ConfigError
from facebias.models.classifier import FaceClassifier
from facebias.runs.ranks.processes import processes


def check_training(config: DictConfig, model: FaceClassifier, faces: PreparedFaces) -> None:
    """Hold a configuration against the model and the faces that it has made.

    Args:
        config: a checked `facebias.schemas.Train`.
        model: as it will be trained.
        faces: as they were split and composed.

    Raises:
        ConfigError: for a training without epochs or batches, more processes than faces, weights
            that nothing saves, or a monitor that validation does not log.
    """
    _check_length(config)
    _check_shares(config, faces)
    _check_checkpoints(config)
    _check_monitors(config, model, faces)


def _check_length(config: DictConfig) -> None:
    trainer = config.trainer
    epochs = trainer.get("max_epochs")
    if not isinstance(epochs, int) or epochs < 1:
        raise ConfigError(
            f"trainer.max_epochs is {epochs}",
            "1 epoch or more: schedules need to know their length",
            "correct trainer.max_epochs",
        )
    if trainer.get("fast_dev_run"):
        raise ConfigError(
            "trainer.fast_dev_run saves no weights to evaluate",
            "a training, however short",
            "use +debug=quick instead",
        )
    for name in ("limit_train_batches", "limit_val_batches", "limit_predict_batches"):
        limit = trainer.get(name)
        everything = limit is None or (isinstance(limit, float) and limit == 1.0)  # 1 is one batch
        if limit == 0 or ("predict" in name and not everything):
            raise ConfigError(
                f"trainer.{name} is {limit}",
                "every face to be predicted" if "predict" in name else "more than none",
                f"leave trainer.{name} out",
            )


def _check_shares(config: DictConfig, faces: PreparedFaces) -> None:
    """Refuse a rank without a face: it would wait for the others, or they for it."""
    count = processes(config)
    if count == 1:
        return
    needed = {"train": 2 * count} | dict.fromkeys(set(faces.splits) - {"train"}, count)
    for split, least in needed.items():
        found = len(faces.drawn() if split == "train" else faces.rows(split))
        if found < least:
            raise ConfigError(
                f"the {split} split has {found} faces for {count} processes",
                f"{least} or more, so that each of them has some",
                "use fewer trainer.devices, or more faces",
            )


def _check_checkpoints(config: DictConfig) -> None:
    use = config.checkpoint.use
    if config.callbacks.get(use) is None:
        raise ConfigError(
            f"checkpoint.use is {use!r}, and callbacks.{use} is switched off",
            f"callbacks.{use}, to save the weights that are evaluated",
            f"leave callbacks.{use} in place, or choose the other checkpoint",
        )


def _check_monitors(config: DictConfig, model: FaceClassifier, faces: PreparedFaces) -> None:
    metrics = [str(name) for name in model.validation_metrics.keys()]  # noqa: SIM118 - no dict
    known = ["validation/loss", *metrics, *_worst_groups(config, faces)]
    for name, node in config.callbacks.items():
        monitor = None if node is None else node.get("monitor")
        if monitor is not None and monitor not in known:
            raise ConfigError(
                f"callbacks.{name} watches {monitor!r}, which validation does not log",
                f"one of {', '.join(known)}",
                "correct checkpoint.monitor, which the callbacks follow, or the callback's own",
            )


def _worst_groups(config: DictConfig, faces: PreparedFaces) -> list[str]:
    """Return the metrics of worst groups: those of attributes with a group that is large enough."""
    fairness = config.callbacks.get("fairness")
    if fairness is None:
        return []
    rows = faces.rows("validation")
    return [
        f"validation/worst_{attribute}_accuracy"
        for attribute, groups in faces.table.attributes.items()
        if (rows[attribute].value_counts().reindex(list(groups)) >= fairness.min_group).any()
    ]
