"""What a data card says in numbers: counts of classes and groups, and the bias of their shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.table import SPLITS, UNKNOWN, FaceTable
from facebias.fairness import dataset_bias

Counts = npt.NDArray[np.int64]

_CROSS = " × "


@dataclass(frozen=True)
class Meaning:
    """A measure in words.

    Attributes:
        key: of the measure in card.json.
        name: as it is printed.
        span: from unbiased to most biased.
        means: what it says.
        silent: what it cannot tell.
    """

    key: str
    name: str
    span: str
    means: str
    silent: str


REPRESENTATION = (
    Meaning(
        "effective_number",
        "effective number (ENS)",
        "K down to 1",
        "As many equally large groups would be as varied as these.",
        "Not which groups are rare.",
    ),
    Meaning(
        "shannon_evenness",
        "Shannon evenness (SEI)",
        "1 down to 0",
        "The entropy of the shares as a part of its maximum: 1 is all groups equally large.",
        "With observed groups only, a group that is missing altogether goes unseen.",
    ),
    Meaning(
        "normalised_deviation",
        "normalised deviation (NSD)",
        "0 up to 1",
        "How far the shares spread around equal ones: 1 is one group alone.",
        "It follows the large groups; a very rare one hardly moves it.",
    ),
    Meaning(
        "imbalance_ratio",
        "imbalance ratio (IR)",
        "1 up to ∞",
        "Faces of the largest group for one face of the smallest.",
        "It looks at two groups only, and is ∞ as soon as a declared group is absent.",
    ),
    Meaning(
        "berger_parker",
        "Berger–Parker (BP)",
        "1/K up to 1",
        "The share of the largest group.",
        "Nothing of the groups beside the largest.",
    ),
    Meaning(
        "representational_similarity",
        "DSAP DS_R",
        "1 down to 1/K",
        "The share of faces that could stay if all declared groups were to be equal.",
        "Equal shares are its yardstick, which may not be those of the people it is for.",
    ),
    Meaning(
        "evenness_similarity",
        "DSAP DS_E",
        "1 down to 0",
        "The same against equal shares of the groups that have faces.",
        "It is 1 for one group alone: read it beside DS_R.",
    ),
)
ASSOCIATION = (
    Meaning(
        "cramers_v",
        "Cramér's V",
        "0 up to 1",
        "How strongly group and label go together (chi squared; Yates' correction for 2 × 2).",
        "Not which cells; and in small sets chance alone lifts it above 0.",
    ),
    Meaning(
        "theils_u_label",
        "Theil's U (label | group)",
        "0 up to 1",
        "The part of the uncertainty of the label that knowing the group removes.",
        "What a network makes of it: a shortcut is learned where it helps, however small.",
    ),
    Meaning(
        "theils_u_group",
        "Theil's U (group | label)",
        "0 up to 1",
        "The part of the uncertainty of the group that knowing the label removes.",
        "The other direction: the two differ where one side has more kinds.",
    ),
    Meaning(
        "normalised_information",
        "NMI",
        "0 up to 1",
        "What group and label share, as a part of all that both say.",
        "It is small where there are many kinds, even for ties that matter.",
    ),
    Meaning(
        "stereotypical_similarity",
        "DSAP DS_S",
        "1 down to 0",
        "How like the groups of one label are to those of all other labels, on average.",
        "A single odd label among many is averaged away.",
    ),
)


def measure_axis(rows: pd.DataFrame, table: FaceTable, attributes: Sequence[str]) -> dict[str, Any]:
    """Count and measure the groups of an attribute, or the joint groups of several.

    Args:
        rows: used faces.
        table: declares the groups and the classes.
        attributes: one or more.

    Returns:
        `attributes`, `groups` (declared), `n` (faces whose group is known), `unknown`, `absent`
        (declared groups without faces), `counts` (of each group), `table` (group x label), the
        measures of `REPRESENTATION` (`declared` and `observed`) and of `ASSOCIATION`, and `npmi`
        (group x label); undefined is NaN, and a ratio with an absent group is infinite.
    """
    declared = list(product(*(table.attributes[name] for name in attributes)))
    names = [_CROSS.join(group) for group in declared]
    known = rows[(rows[list(attributes)] != UNKNOWN).all(axis=1)]
    cells = _count(known, declared, attributes, table.classes)
    counts = cells.sum(1)
    return {
        "attributes": list(attributes),
        "groups": names,
        "n": int(counts.sum()),
        "unknown": len(rows) - len(known),
        "absent": [name for name, count in zip(names, counts, strict=True) if not count],
        "counts": dict(zip(names, counts.tolist(), strict=True)),
        "table": _nested(names, table.classes, cells),
        "representation": _representation(counts),
        "association": _association(cells),
        "npmi": _nested(names, table.classes, dataset_bias.cell_information(cells)),
    }


def _count(
    rows: pd.DataFrame,
    declared: Sequence[tuple[str, ...]],
    attributes: Sequence[str],
    classes: Sequence[str],
) -> Counts:
    """Count faces by joint group and label, (groups, classes); those without a label nowhere."""
    place = {group: number for number, group in enumerate(declared)}
    found = rows.groupby([*attributes, "label"], observed=True).size()
    cells = np.zeros((len(declared), len(classes)), np.int64)
    for key, count in found.items():
        cells[place[tuple(key[:-1])], list(classes).index(key[-1])] = count
    return cells


def _nested(
    groups: Sequence[str], labels: Sequence[str], values: npt.NDArray[Any]
) -> dict[str, dict[str, Any]]:
    return {
        group: dict(zip(labels, row, strict=True))
        for group, row in zip(groups, values.tolist(), strict=True)
    }


def _representation(counts: Counts) -> dict[str, dict[str, float]]:
    """Return each measure by declared groups, and by those that have faces."""
    by_list = ("shannon_evenness", "normalised_deviation", "imbalance_ratio")
    measures = {}
    for meaning in REPRESENTATION:
        metric = getattr(dataset_bias, meaning.key)
        declared = float(metric(counts))
        seen = float(metric(counts, observed=True)) if meaning.key in by_list else declared
        measures[meaning.key] = {"declared": declared, "observed": seen}
    return measures


def _association(cells: Counts) -> dict[str, float]:
    return {
        "cramers_v": float(dataset_bias.cramers_v(cells)),
        "theils_u_label": float(dataset_bias.theils_u(cells)),
        "theils_u_group": float(dataset_bias.theils_u(cells.T)),
        "normalised_information": float(dataset_bias.normalised_information(cells)),
        "stereotypical_similarity": float(dataset_bias.stereotypical_similarity(cells)),
    }


def measure_attributes(table: FaceTable) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure each attribute and each pair of attributes of the used faces.

    Returns:
        What `measure_axis` returns of each attribute, with `who_said`, and of each pair.
    """
    rows = table.used()
    single = [
        measure_axis(rows, table, [name]) | {"who_said": table.who_said(name)}
        for name in table.attributes
    ]
    pairs = combinations(table.attributes, 2)
    return single, [measure_axis(rows, table, pair) for pair in pairs]


def count_classes(table: FaceTable) -> dict[str, dict[str, int]]:
    """Count the used faces of each class in each split that has any."""
    rows = table.used()
    counts = rows.groupby(["split", "label"]).size()
    splits = [split for split in SPLITS if split in set(rows["split"])]
    return {
        split: {name: int(counts.get((split, name), 0)) for name in table.classes}
        for split in splits
    }


def headline(axis: dict[str, Any]) -> str:
    """Say in a sentence how the groups of an axis are represented, and tied to the label."""
    if not axis["n"]:
        return "No face has a known group."
    largest = max(axis["counts"], key=lambda group: axis["counts"][group])
    share = axis["counts"][largest] / axis["n"]
    varied = axis["representation"]["effective_number"]["declared"]
    said = [
        f"{len(axis['groups'])} groups, as varied as {varied:.2f} equally large ones; the largest "
        f"is {largest} with {100 * share:.1f} % of {axis['n']:,} faces."
    ]
    if axis["absent"]:
        said.append(f"Without any face: {_listed(axis['absent'])}.")
    told = axis["association"]["theils_u_label"]
    if np.isfinite(told):
        strength = axis["association"]["cramers_v"]
        said.append(
            f"Knowing the group removes {100 * told:.1f} % of the uncertainty of the label "
            f"(Cramér's V {strength:.3f})."
        )
    return " ".join(said)


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
