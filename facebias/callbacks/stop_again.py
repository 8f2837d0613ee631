"""Keeps a training ended that early stopping had ended before a kill."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks.early_stopping import EarlyStopping, EarlyStoppingReason


class StopAgainCallback(pl.Callback):
    """Ends a training that early stopping had ended before the run was killed.

    A checkpoint holds the state of early stopping, but not the trainer's decision: without this,
    one epoch more would be trained.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the trainer the decision back; the states of the callbacks are restored by now."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined] # Lightning sets it late
            if isinstance(callback, EarlyStopping):
                decided = callback.stopping_reason is not EarlyStoppingReason.NOT_STOPPED
                trainer.should_stop = trainer.should_stop or decided
