"""The pictures of an audit's page, from its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.fairness.audit import AGAINST, MODEL, Audit
from facebias.fairness.predictions import UNKNOWN
from facebias.fairness.valence import CORRECTED, RAW, SCORES
from facebias.report import audit_figures
from facebias.report.audit_figures import MOST_CELLS
from facebias.report.audit_tables import (
    MOST_CLASSES,
    group_name,
    of_attribute,
    shown_valence,
    single_groups,
)
from facebias.report.audit_words import interval_name, of_model
from facebias.report.page_parts import Picture, picture_name

Floats = npt.NDArray[np.float64]


def confusions(audit: Audit) -> Iterator[Picture]:
    """Yield the confusion matrix of each model."""
    classes = list(audit.settings["classes"])
    if len(classes) > MOST_CELLS:
        return
    table = audit.tables["confusion"]
    for model in audit.models:
        rows = of_model(table[table["attribute"] == "all"], model)
        counts = rows["n"].to_numpy(np.int64).reshape(len(classes), len(classes))
        figure = audit_figures.confusion(counts, classes, f"{model}: what was taken for what")
        yield Picture(
            picture_name("confusion", model), f"Confusion matrix of {model} on all faces", figure
        )


def forests(audit: Audit, attribute: str, *, recalls: bool = True) -> Iterator[Picture]:
    """Yield the accuracies of the groups, and the recalls of few classes."""
    rows = of_attribute(audit, attribute)
    found = rows[rows["metric"] == "accuracy"]
    sizes, title = _sizes(rows), f"Accuracy by {attribute}"
    figure = audit_figures.forest(found, sizes, audit.models, title, "accuracy")
    shown = f"with {interval_name(audit)}s"
    alt = f"Accuracy of every group by {attribute}, {shown}; the table has the numbers"
    yield Picture(picture_name("accuracy", attribute), alt, figure)
    if recalls and len(audit.settings["classes"]) <= MOST_CLASSES:
        found = rows[rows["metric"] == "recall"]
        title = f"Recall by {attribute}"
        figure = audit_figures.forest(found, sizes, audit.models, title, "recall of")
        alt = f"Recall of each class in every group by {attribute}, {shown}"
        yield Picture(picture_name("recall", attribute), alt, figure)


def _sizes(rows: pd.DataFrame) -> pd.Series:
    """Return the faces of each group, by its name; the most of any model."""
    return rows[rows["metric"] == "accuracy"].groupby("group", sort=False)["n"].max()


def gap_matrices(audit: Audit, attribute: str) -> Iterator[Picture]:
    """Yield each model's differences in accuracy between all pairs of groups, on one scale."""
    groups = list(audit.settings["attributes"][attribute])
    if not 2 < len(groups) <= MOST_CELLS:
        return
    sizes = _sizes(of_attribute(audit, attribute))
    gaps = audit.tables["gaps"]
    pairs = gaps[(gaps["attribute"] == attribute) & (gaps["metric"] == "accuracy")]
    pairs = pairs[pairs["kind"] == "pair"]
    reach = max(float(pairs["difference"].abs().max()), 0.01) if len(pairs) else 0.01
    names = [f"{group} (n = {int(sizes[group]):,})" for group in groups]
    for model in audit.models:
        differences, told = _square(of_model(pairs, model), groups)
        title = f"{model}: accuracy by {attribute}, row minus column, points"
        figure = audit_figures.gap_matrix(differences, told, names, title, reach)
        alt = f"{model}: differences in accuracy between all pairs by {attribute}"
        yield Picture(picture_name("gaps", attribute, model), alt, figure)


def _square(pairs: pd.DataFrame, groups: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the differences of all pairs, and which are told from 0, each (G, G)."""
    differences = np.full((len(groups), len(groups)), np.nan)
    told = np.zeros(differences.shape, dtype=bool)
    for pair in pairs.to_dict(orient="records"):
        one, other = groups.index(pair["first"]), groups.index(pair["second"])
        differences[one, other] = pair["first_value"] - pair["second_value"]
        differences[other, one] = -differences[one, other]
        told[one, other] = told[other, one] = pair["low"] > 0 or pair["high"] < 0
    return differences, told


def heat_maps(audit: Audit, names: Sequence[str]) -> Iterator[Picture]:
    """Yield each model's accuracy in the combinations of two attributes."""
    declared = [list(audit.settings["attributes"][name]) for name in names]
    if len(names) != 2 or max(map(len, declared)) > MOST_CELLS:
        return
    rows = of_attribute(audit, " x ".join(names))
    rows = rows[rows["metric"] == "accuracy"]
    known = rows.loc[(rows["status"] == "ok") & rows["value"].notna(), "value"]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    combined = [f"{one}, {other}" for one in declared[0] for other in declared[1]]
    shape = (len(declared[0]), len(declared[1]))
    for model in audit.models:
        found = of_model(rows, model).set_index("group").reindex(combined)
        title = f"{model}: accuracy in % by {names[0]} and {names[1]}"
        figure = audit_figures.heat_map(
            found["value"].to_numpy(np.float64).reshape(shape),
            found["n"].to_numpy(np.int64).reshape(shape),
            (found["status"] != "ok").to_numpy(bool).reshape(shape),
            (declared[0], declared[1]),
            title,
            (low, max(high, low + 0.01)),
        )
        alt = f"{title}; combinations with too few faces to compare are in brackets"
        yield Picture(picture_name("heat-map", *names, model), alt, figure)


def paired_forests(audit: Audit) -> Iterator[Picture]:
    """Yield the differences in accuracy of each two models on the same faces."""
    rows = single_groups(audit)
    rows = rows[(rows["metric"] == "accuracy") & (rows["n"] > 0)]
    for (model, other), part in rows.groupby([MODEL, AGAINST], sort=False):
        told = (part["low"] > 0) | (part["high"] < 0)
        names = [group_name(row) for row in part.to_dict(orient="records")]
        named = part.assign(name=names, told=told)
        title = f"{model} minus {other}: accuracy on the same faces"
        axis, filled = "difference in accuracy", "interval without 0"
        figure = audit_figures.difference_forest(named, title, axis, filled)
        alt = f"{title}, of all and of every group, with {interval_name(audit)}s"
        yield Picture(picture_name("paired", str(model), str(other)), alt, figure)


def valences(audit: Audit) -> Iterator[Picture]:
    """Yield how each model reads the faces of one valence in every group; answers, then scores."""
    true, table = shown_valence(audit), audit.tables["valence"]
    rows = table[(table["true"] == true) & table["attribute"].isin(audit.settings["attributes"])]
    rows = rows[rows["group"] != UNKNOWN]
    for (attribute, model), part in rows.groupby(["attribute", MODEL], sort=False):
        sizes = part[part["reading"] == RAW].groupby("group", sort=False)["n"].max()
        for readings, axis in (((RAW, CORRECTED), "read as"), ((SCORES,), "score:")):
            found = part[part["reading"].isin(readings) & part["value"].notna()]
            shown = found.assign(**{MODEL: found["reading"], "class": found["read"]})
            series = [each for each in readings if each in set(shown[MODEL])]
            if not series:
                continue
            title = f"{model}: how {true} faces are read by {attribute}"
            figure = audit_figures.forest(shown, sizes, series, title, axis)
            alt = f"{title} ({', '.join(series)}), with {interval_name(audit)}s; see the table"
            yield Picture(
                picture_name("valence", str(attribute), str(model), series[0]), alt, figure
            )


def reliability_curves(audit: Audit) -> Iterator[Picture]:
    """Yield how often answers of a certainty are right, a curve a model."""
    curves = audit.tables["reliability"]
    whole = curves[(curves["attribute"] == "all") & curves["class"].isna()]
    whole = whole[whole["binning"] == "equal_mass"]
    if len(whole):
        named = whole.assign(name=whole[MODEL])
        figure = audit_figures.reliability(named, "How often answers of a certainty are right")
        alt = "Reliability curves: the share of right answers by their certainty"
        yield Picture(picture_name("reliability"), alt, figure)
