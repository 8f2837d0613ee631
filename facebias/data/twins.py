"""Are two variants twins? What their train faces share, and what must be the same in both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from facebias.data.bag import NOT_DRAWN, drawn_faces
from facebias.data.bias import NOT_COMPOSED
from facebias.data.cells import joint_groups
from facebias.data.label_noise import TRUE_LABEL
from facebias.data.remedy import UNDERSAMPLED

SOURCE = "source"


@dataclass(frozen=True)
class Variant:
    """What a run was trained with.

    Attributes:
        name: of the run.
        rows: its `split.parquet`.
        attributes: that its bias and its remedy go by.
        normalisation: its `normalisation.json`; empty where it was not written.
        steps: of its training.
        settings: every other key that a comparison holds fixed, dotted.
    """

    name: str
    rows: pd.DataFrame
    attributes: tuple[str, ...]
    normalisation: Mapping[str, Any]
    steps: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def train(self) -> pd.DataFrame:
        """The train faces, with the labels that were trained on."""
        return self.rows[(self.rows["split"] == "train") & (self.rows["left_out"] == "")]

    @property
    def source(self) -> pd.DataFrame:
        """The train split before bias and remedy, with the labels of the data set."""
        left = self.rows["left_out"].isin(["", NOT_COMPOSED, UNDERSAMPLED, NOT_DRAWN])
        rows = self.rows[(self.rows["split"] == "train") & left]
        return rows.assign(label=rows[TRUE_LABEL]) if TRUE_LABEL in rows else rows

    def of_split(self, split: str) -> pd.DataFrame:
        """The used faces of validation or test."""
        return self.rows[(self.rows["split"] == split) & (self.rows["left_out"] == "")]


@dataclass(frozen=True)
class Answer:
    """Whether one thing is the same in both variants.

    Attributes:
        question: what is asked.
        same: None where a run has not recorded it.
        detail: both values, or the first difference.
    """

    question: str
    same: bool | None
    detail: str

    @property
    def word(self) -> str:
        """Yes, no or not recorded."""
        return "not recorded" if self.same is None else ("yes" if self.same else "no")


@dataclass(frozen=True)
class TwinReport:
    """Two variants beside each other.

    Attributes:
        first: name of the one.
        second: name of the other.
        cells: train faces, label x joint group: of the source, and after bias and remedy of each.
        shared: train faces that both have.
        share: of them in the larger train set, 0..1.
        relabelled: of them that have another label in the other.
        answers: what must be the same in twins.
    """

    first: str
    second: str
    cells: Mapping[str, pd.DataFrame]
    shared: int
    share: float
    relabelled: int
    answers: Sequence[Answer]

    @property
    def are_twins(self) -> bool | None:
        """Whether they differ in the chosen cells only; None if something was not recorded."""
        found = [answer.same for answer in self.answers]
        return False if False in found else (None if None in found else True)

    @property
    def sentence(self) -> str:
        """Say whether they are twins, and if not why."""
        pair = f"{self.first} and {self.second}"
        if self.are_twins:
            return f"{pair} are twins: they differ only in the chosen train faces."
        for same, verdict in ((False, "are no twins"), (None, "may be twins, nobody can tell")):
            reasons = [answer for answer in self.answers if answer.same is same]
            if reasons:
                said = "; ".join(f"{one.question} {one.word}: {one.detail}" for one in reasons)
                return f"{pair} {verdict}: {said}."
        raise AssertionError("without a reason they are twins")


def twin_report(first: Variant, second: Variant) -> TwinReport:
    """Compare two variants by what docs/architecture.md asks of twins.

    Args:
        first: one variant.
        second: the other.
    """
    ids = set(first.train["id"]) & set(second.train["id"])
    labels = [each.train.set_index("id")["label"] for each in (first, second)]
    one, two = (each[each.index.isin(ids)].sort_index() for each in labels)
    larger = max(len(first.train), len(second.train))
    return TwinReport(
        first.name,
        second.name,
        _cells(first, second),
        len(ids),
        len(ids) / larger if larger else float("nan"),
        int((one.to_numpy() != two.to_numpy()).sum()),
        list(_answers(first, second)),
    )


def _cells(first: Variant, second: Variant) -> dict[str, pd.DataFrame]:
    """Count the cells by every attribute that either bias goes by and both tables have."""
    known = [name for name in (*first.attributes, *second.attributes) if name in second.rows]
    attributes = [name for name in dict.fromkeys(known) if name in first.rows]
    counted = {
        name: rows.groupby(["label", joint_groups(rows, attributes)]).size().unstack(fill_value=0)
        for name, rows in (
            (SOURCE, first.source),
            (first.name, drawn_faces(first.train)),
            (second.name, drawn_faces(second.train)),
        )
    }
    labels = sorted(set().union(*(cells.index for cells in counted.values())))
    groups = sorted(set().union(*(cells.columns for cells in counted.values())))
    return {
        name: cells.reindex(index=labels, columns=groups, fill_value=0)
        for name, cells in counted.items()
    }


def _answers(first: Variant, second: Variant) -> Iterator[Answer]:
    yield _same_faces("identical source", first.source, second.source)
    totals = len(drawn_faces(first.train)), len(drawn_faces(second.train))
    yield Answer("same total", totals[0] == totals[1], f"{totals[0]:,} and {totals[1]:,} faces")
    for split in ("validation", "test"):
        yield _same_faces(f"identical {split}", first.of_split(split), second.of_split(split))
    yield _same_normalisation(first.normalisation, second.normalisation)
    detail = f"{first.steps:,} and {second.steps:,}"
    yield Answer("same number of steps", first.steps == second.steps, detail)
    for question, own in (("same data.seed", "data.seed"), ("same checkpoint rule", "checkpoint")):
        yield _same_settings(question, *(_below(each.settings, own) for each in (first, second)))
    rest = [
        {key: value for key, value in each.settings.items() if key not in _asked(each.settings)}
        for each in (first, second)
    ]
    yield _same_settings("same settings otherwise", *rest)


def _asked(settings: Mapping[str, Any]) -> set[str]:
    return {*_below(settings, "data.seed"), *_below(settings, "checkpoint")}


def _below(settings: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the settings of a place and below it."""
    return {
        key: value for key, value in settings.items() if key == place or key.startswith(f"{place}.")
    }


def _same_settings(question: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> Answer:
    for key in sorted({*one, *two}):
        if one.get(key) != two.get(key):
            return Answer(question, False, f"{key} is {one.get(key)} and {two.get(key)}")
    said = ", ".join(f"{key} is {value}" for key, value in one.items())
    return Answer(question, True, said if len(one) < 3 else f"{len(one)} keys")


def _same_normalisation(one: Mapping[str, Any], two: Mapping[str, Any]) -> Answer:
    question = "identical normalisation"
    if not one or not two:
        return Answer(question, None, "a run has no normalisation.json")
    detail = " and ".join(", ".join(f"{mean:.4f}" for mean in each["mean"]) for each in (one, two))
    return Answer(question, one == two, f"means {detail}")


def _same_faces(question: str, one: pd.DataFrame, two: pd.DataFrame) -> Answer:
    """Compare ids and labels, whatever the order of the rows; name the first id that differs."""
    said = [rows.set_index("id")["label"].astype(object) for rows in (one, two)]
    ids = sorted({*said[0].index, *said[1].index})
    nobody = "(not there)"
    aligned = [
        labels.where(labels.notna(), None).reindex(ids, fill_value=nobody) for labels in said
    ]
    differs = [a != b for a, b in zip(*(each.tolist() for each in aligned), strict=True)]
    if not any(differs):
        return Answer(question, True, f"{len(ids):,} faces")
    place = differs.index(True)
    values = " and ".join(str(each.iloc[place]) for each in aligned)
    detail = f"{sum(differs):,} of {len(ids):,} faces differ, the first is {ids[place]}: {values}"
    return Answer(question, False, detail)
