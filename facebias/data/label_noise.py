"""Wrong labels on purpose, in one group of the train faces: how much does noise hurt whom?"""

import numpy as np
import pandas as pd

from facebias.data.bias import Bias
from facebias.data.composition import Counts, even_sequence, largest_remainder
from facebias.data.split import seeded_order
from facebias.data.table import FaceTable
from facebias.errors import DataError

TRUE_LABEL = "true_label"  # column of the labels before the noise


class LabelNoise(Bias):
    """Another label for a share of one group's train faces; every face is taken.

    Just `rate` of the faces are changed, to the nearest whole number, and of each label as large a
    share, give or take less than 1 face. Rates are nested: a smaller one's changed faces are some
    of a larger one's, and are changed to the same labels. (Largest remainders by label would not be
    nested: a label can lose a face as the total grows.) The labels before are kept in `true_label`.

    Args:
        variant: the name of the result.
        attribute: such as "gender".
        group: such as "female".
        rate: 0..1, of the group's train faces that have another label than `towards`.
        towards: the label that they get; None: each other label equally often.

    Raises:
        DataError: for a rate that is none.
    """

    def __init__(
        self,
        variant: str,
        attribute: str,
        group: str,
        rate: float = 0.2,
        towards: str | None = None,
    ) -> None:
        self.variant, self.attributes = variant, (attribute,)
        self.group, self.rate, self.towards = group, rate, towards
        if not 0 <= rate <= 1:
            raise DataError(f"bias.rate={rate}", "a share, 0 to 1", "correct bias.rate")

    def counts(self, available: pd.DataFrame) -> pd.DataFrame:
        """Return the counts of every cell, unchanged."""
        return available

    def relabel(self, table: FaceTable, seed: int) -> FaceTable:
        """Return the table with noisy labels in the train faces of the group.

        Args:
            table: faces with their splits.
            seed: the data seed, which chooses the faces.

        Raises:
            DataError: if the group or the label does not exist, or no face can be changed.
        """
        self._refuse_unknown(table)
        train = table.used("train")
        faces = train[(train[self.attributes[0]] == self.group) & (train["label"] != self.towards)]
        if faces.empty:
            raise DataError(
                f"no train face of {self.attributes[0]} {self.group} has another label than "
                f"{self.towards}",
                "faces whose label can be changed",
                "choose another group or label",
            )
        rows = table.rows.assign(**{TRUE_LABEL: table.rows["label"]})
        for label, number in self._numbers(faces["label"]).items():
            of_label = faces[faces["label"] == label]
            order = np.argsort(seeded_order(of_label["id"], seed), kind="stable")
            changed = of_label.index[order[:number]]
            rows.loc[changed, "label"] = self._others(str(label), table.classes, number)
        return table.with_rows(rows)

    def _numbers(self, labels: pd.Series) -> dict[str, int]:
        """Return how many faces of each label are changed."""
        sizes = labels.value_counts().sort_index()
        total = int(largest_remainder(len(labels), [self.rate, 1 - self.rate])[0])
        sequence: Counts = even_sequence(sizes.to_list())
        numbers = np.bincount(sequence[:total], minlength=len(sizes))
        return dict(zip(sizes.index, numbers.tolist(), strict=True))

    def _others(self, label: str, classes: tuple[str, ...], number: int) -> list[str]:
        """Return the labels that the faces of one label get, in turn."""
        if self.towards is not None:
            return [self.towards] * number
        place = classes.index(label)
        others = [*classes[place + 1 :], *classes[:place]]
        return [others[face % len(others)] for face in range(number)]

    def _refuse_unknown(self, table: FaceTable) -> None:
        groups = table.attributes[self.attributes[0]]
        if self.group not in groups:
            raise DataError(
                f"bias.group is {self.group!r}",
                f"one of the groups {', '.join(groups)}",
                "correct bias.group",
            )
        if self.towards is not None and self.towards not in table.classes:
            raise DataError(
                f"bias.towards is {self.towards!r}",
                f"one of the labels {', '.join(table.classes)}, or null for every other one",
                "correct bias.towards",
            )


def noise_line(rows: pd.DataFrame) -> str | None:
    """Say how many train labels are wrong on purpose; None where there was no noise.

    Args:
        rows: of a face table.
    """
    if TRUE_LABEL not in rows:
        return None
    train = rows[(rows["split"] == "train") & (rows["left_out"] == "")]
    wrong = int((train["label"] != train[TRUE_LABEL]).sum())
    return (
        f"LABEL NOISE: {wrong:,} of {len(train):,} train faces have a wrong label on purpose "
        f"(bias=label_noise; {TRUE_LABEL} in split.parquet keeps the right ones)"
    )
