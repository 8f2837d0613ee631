"""The LightningModule: uint8 faces in, losses, metrics and probabilities out."""

from collections.abc import Callable, Iterable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn
from torch.distributed import all_reduce, broadcast, get_world_size, is_initialized
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from facebias.data.datamodule import FaceBatch
from facebias.errors import ConfigError
from facebias.models.normalise import Normalise


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy as a weighted mean: a face weighs its own weight times that of its class.

    With equal weights of faces it is `torch.nn.CrossEntropyLoss`.

    Args:
        weight: of each class (classes,); None: all are equal.
        label_smoothing: share of the target that is spread over all classes, 0..1.
    """

    def __init__(self, weight: torch.Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.weight: torch.Tensor | None
        self._label_smoothing = label_smoothing

    def forward(
        self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean over a batch.

        Args:
            logits: (N, classes).
            labels: (N,).
            weights: (N,), 0 or more, not all 0.
        """
        losses = nn.functional.cross_entropy(
            logits, labels, self.weight, reduction="none", label_smoothing=self._label_smoothing
        )  # each times the weight of its class
        return (losses * weights).sum() / self.total(labels, weights)

    def total(self, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return what the mean over a batch is divided by: the weights of its faces, added up.

        Args:
            labels: (N,).
            weights: (N,), 0 or more, not all 0.
        """
        return (weights if self.weight is None else weights * self.weight[labels]).sum()


class FaceClassifier(pl.LightningModule):
    """Cross-entropy training of any network that maps (N, C, H, W) to logits (N, classes).

    A mitigation overrides one step: `configure_losses` or `configure_metrics`.

    Args:
        label_smoothing: share of the target that is spread over all classes, 0..1.
        class_weights: "none", or "balanced": each class weighs the same in the loss.
        channels_last: keep images and weights channels last in memory, which is faster.
        network: takes normalised float images (N, C, H, W).
        normalise: from uint8 to what the network takes.
        class_counts: train faces of each class (classes,).
        optimizer: makes an optimizer of parameters; None for a model that only predicts.
        scheduler: makes a schedule of an optimizer and `total_steps`.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: str = "none",
        channels_last: bool = True,
        *,
        network: nn.Module,
        normalise: Normalise,
        class_counts: torch.Tensor,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
    ) -> None:
        super().__init__()
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self._format)
        self.normalise = normalise
        self._optimizer, self._scheduler = optimizer, scheduler
        self._weights = _class_weights(class_weights, class_counts)
        self._label_smoothing = label_smoothing
        self.configure_losses()
        self.configure_metrics(len(class_counts))

    def configure_losses(self) -> None:
        """Set `self.loss`: logits (N, classes), labels (N,) and weights (N,) to a weighted mean.

        Its `total` says what the mean is divided by, so that batches and ranks add up exactly.
        """
        self.loss = WeightedCrossEntropy(self._weights, label_smoothing=self._label_smoothing)

    def configure_metrics(self, classes: int) -> None:
        """Set the metrics of train and validation; those of groups are a callback's."""
        metrics = _metrics(classes)
        self.train_metrics = metrics.clone(prefix="train/")
        self.validation_metrics = metrics.clone(prefix="validation/")
        self.train_loss, self.validation_loss = MeanMetric(), MeanMetric()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) of uint8 images (N, C, H, W)."""
        normalised = self.normalise(images).contiguous(memory_format=self._format)
        logits: torch.Tensor = self.network(normalised)
        return logits

    def training_step(self, batch: FaceBatch, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch, of which a step's mean over the ranks is the global mean."""
        loss, _ = self._score(batch, self.train_loss, self.train_metrics)
        return share_of_loss(loss, self.loss.total(batch.labels, batch.weights))

    def validation_step(self, batch: FaceBatch, batch_idx: int) -> torch.Tensor:
        """Return the predicted classes (N,)."""
        _, logits = self._score(batch, self.validation_loss, self.validation_metrics)
        return logits.argmax(1)

    def predict_step(
        self, batch: FaceBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> torch.Tensor:
        """Return probabilities (N, classes), float32."""
        logits: torch.Tensor = self(batch.images)
        return logits.float().softmax(1)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's train metrics: of augmented faces, while the weights still changed."""
        self._share_statistics()
        self._log("train", self.train_loss, self.train_metrics)

    def on_validation_start(self) -> None:
        """Validate with the same running statistics on every rank."""
        self._share_statistics()

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        self._log("validation", self.validation_loss, self.validation_metrics)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's union of nine forms
        """Return the optimizer, and the schedule that advances every step."""
        if self._optimizer is None:
            raise ConfigError("this model was built to predict", "an optimizer to train it with")
        optimizer = self._optimizer(p for p in self.parameters() if p.requires_grad)
        if self._scheduler is None:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = self._scheduler(optimizer, total_steps=steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _share_statistics(self) -> None:
        """Give every rank the running statistics of the first, which are those that are saved.

        Not in every forward pass: in validation, ranks may have different numbers of batches.
        """
        if is_initialized():
            for buffer in self.network.buffers():
                broadcast(buffer, src=0)

    def _score(
        self, batch: FaceBatch, mean_loss: MeanMetric, metrics: MetricCollection
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and logits of a batch, and add it to the metrics."""
        logits: torch.Tensor = self(batch.images)
        loss: torch.Tensor = self.loss(logits, batch.labels, batch.weights)
        mean_loss.update(loss.detach(), self.loss.total(batch.labels, batch.weights))
        metrics.update(logits.detach().float(), batch.labels)
        return loss, logits

    def _log(self, split: str, mean_loss: MeanMetric, metrics: MetricCollection) -> None:
        computed = {f"{split}/loss": mean_loss.compute(), **metrics.compute()}
        if split == "train":
            self.log_dict(computed, logger=False)
            self._log_now(computed)
        else:
            self.log_dict(computed)
        accuracy = computed[f"{split}/accuracy"]
        self.log(f"{split} accuracy", accuracy, prog_bar=True, logger=False)
        mean_loss.reset()
        metrics.reset()

    def _log_now(self, computed: dict[str, torch.Tensor]) -> None:
        """Give loggers the row of an epoch before its checkpoint is saved.

        Lightning does it after, and a kill in between would lose the row.
        """
        row = {name: value.item() for name, value in computed.items()}
        for logger in self.loggers:
            logger.log_metrics(
                row | {"epoch": self.current_epoch}, step=self.trainer.global_step - 1
            )
            logger.save()


def share_of_loss(loss: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Scale a rank's weighted mean so that the mean over all ranks is that of the global batch.

    Ranks average their gradients, whatever the sizes of their shares; with the mean l of weight w
    on each of W ranks, l * w * W / sum of w averages to the weighted mean over all faces.

    Args:
        loss: weighted mean over this rank's share of a batch.
        total: what it was divided by.
    """
    if not is_initialized():
        return loss
    everyone = total.detach().clone()
    all_reduce(everyone)
    return loss * (total * get_world_size() / everyone)


def _metrics(classes: int) -> MetricCollection:
    """Return accuracy, macro and micro precision, recall and F1, and one-vs-rest AUROC."""
    options: dict[str, Any] = {"num_classes": classes, "validate_args": False}
    averaged = {
        "precision": MulticlassPrecision,
        "recall": MulticlassRecall,
        "f1": MulticlassF1Score,
    }
    metrics: dict[str, Any] = {
        f"{average}_{name}": metric(average=average, **options)
        for name, metric in averaged.items()
        for average in ("macro", "micro")
    }
    metrics["accuracy"] = MulticlassAccuracy(average="micro", **options)
    metrics["auroc"] = MulticlassAUROC(average="macro", **options)
    return MetricCollection(metrics)


def _class_weights(kind: str, counts: torch.Tensor) -> torch.Tensor | None:
    """Return a weight for each class, on average 1 over the faces; None for equal faces."""
    if kind == "none":
        return None
    return (counts.sum() / (len(counts) * counts)).float()
