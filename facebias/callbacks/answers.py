"""Shows what is answered to some faces, and says what is answered to all where none has a label."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np

from facebias.callbacks.predictions import face_module, predictions_of
from facebias.report.answers import PICTURE, choose_answers, draw_answers
from facebias.report.unlabelled import answers_of_groups, write_answers


class AnswersCallback(pl.Callback):
    """Writes `answers.png` of the last evaluated split: faces of each class beside their answers.

    Where no face has a label, `answers.csv` says what is answered, in all and in each group.

    Args:
        folder: of the run.
        per_label: faces of each class; as many in all where no face has a label.
        seed: of the choice of faces.
    """

    def __init__(self, folder: str, per_label: int = 2, seed: int = 0) -> None:
        self._folder, self._per_label, self._seed = Path(folder), per_label, seed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a trainer without predictions, before the first batch."""
        predictions_of(trainer)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the files; the first rank does it."""
        if not trainer.is_global_zero:
            return
        module = face_module(trainer)
        table, split = module.faces.table, module.evaluated[-1]
        predictions = predictions_of(trainer)
        rows = predictions[predictions["split"] == split].reset_index(drop=True)
        chosen = choose_answers(rows, table.classes, table.attributes, self._per_label, self._seed)
        if chosen.empty:
            return
        places = chosen["position"].to_numpy(np.int64)
        stored = module.faces.rows(split)["row"].to_numpy(np.int64)[places]
        title = f"What is answered: {split} faces, chosen by seed {self._seed}"
        faces = module.faces.store.read(stored)
        draw_answers(self._folder / PICTURE, chosen, faces, table.classes, title=title)
        if rows["label"].isna().all():
            answers = answers_of_groups(rows, table.classes, table.attributes)
            write_answers(answers, self._folder)
