"""The page of an audit: its sections, each with pictures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facebias.fairness.audit import Audit
from facebias.report import audit_pictures as pictures
from facebias.report import audit_tables as tables
from facebias.report.audit_words import many_groups_words
from facebias.report.page_parts import Section


def sections(audit: Audit) -> Iterator[Section]:
    """Yield the parts of the page below the summary."""
    yield _all_faces(audit)
    for attribute in audit.settings["attributes"]:
        yield _attribute(audit, attribute)
    for names in audit.settings["intersections"]:
        yield _intersection(audit, names)
    if "paired" in audit.tables:
        yield _between_models(audit)
    if "scores" in audit.tables:
        yield _scores(audit)
    if "estimated" in audit.tables:
        yield _estimated(audit)
    if "valence" in audit.tables:
        yield _valence(audit)
    if "amplification" in audit.tables:
        yield _amplification(audit)


def _all_faces(audit: Audit) -> Section:
    return Section(
        "All faces",
        "Balanced accuracy is the mean of the classes' recalls. Majority class is the accuracy of "
        "always giving the most frequent label.",
        tuple(pictures.confusions(audit)),
        (tables.overall_table(audit), *tables.class_tables(audit)),
    )


def _attribute(audit: Audit, attribute: str) -> Section:
    return Section(
        f"By {attribute}",
        many_groups_words(audit, attribute),
        (*pictures.forests(audit, attribute), *pictures.gap_matrices(audit, attribute)),
        (tables.group_table(audit, attribute), *tables.reference_table(audit, attribute)),
        (tables.gap_table(audit, attribute), tables.criteria_table(audit, attribute)),
    )


def _intersection(audit: Audit, names: Sequence[str]) -> Section:
    attribute = " x ".join(names)
    return Section(
        f"By {' and '.join(names)}",
        many_groups_words(audit, attribute),
        (*pictures.heat_maps(audit, names), *pictures.forests(audit, attribute, recalls=False)),
        (),
        (
            tables.group_table(audit, attribute),
            *tables.reference_table(audit, attribute),
            tables.gap_table(audit, attribute),
            tables.criteria_table(audit, attribute),
        ),
    )


def _between_models(audit: Audit) -> Section:
    return Section(
        "Models on the same faces",
        "Differences on the faces that both models answered. What is hard for both cancels out, so "
        "they are surer than the intervals of each model suggest. They are about other faces of "
        "this kind, not about other trainings of the models. The p-values are each for itself: "
        "among many groups some are small by chance.",
        tuple(pictures.paired_forests(audit)),
        tuple(tables.paired_tables(audit, headline=True)),
        tuple(tables.paired_tables(audit, headline=False)),
    )


def _scores(audit: Audit) -> Section:
    return Section(
        "Scores",
        "ECE, the expected calibration error, is the mean distance between certainty and the share "
        "of right answers. A perfectly calibrated model shows some of it too: “if calibrated” says "
        "how much, on these scores.",
        tuple(pictures.reliability_curves(audit)),
        (tables.score_table(audit),),
    )


def _estimated(audit: Audit) -> Section:
    return Section(
        "Estimated groups",
        "These groups were estimated, and an estimator errs. The values of the true groups follow "
        "from those of the estimated ones and from how often the estimator takes one group for "
        "another, as the configuration states it. This takes for granted that those shares hold "
        "for these faces, and that the estimator errs alike whatever the label is and whatever the "
        "model answers. A value beyond what a share can be says that they do not. All other parts "
        "of this page are about the estimated groups.",
        (),
        tuple(
            tables.estimated_table(audit, attribute)
            for attribute in dict.fromkeys(audit.tables["estimated"]["attribute"])
        ),
    )


def _valence(audit: Audit) -> Section:
    return Section(
        "Valence reading",
        f"How often {tables.shown_valence(audit)} faces are read as negative, neutral or positive. "
        "A model answers in the shares that it was trained on: “without the training's shares” is "
        "what it would answer had all classes been as many. “By score” is how often a face scores "
        "more like the other valence than a face of that does (0.5 is chance); of a valence read "
        "as itself, how often it scores higher than other faces do. It does not depend on the "
        "shares. What the three do not agree on may come from the shares alone.",
        tuple(pictures.valences(audit)),
        (
            *tables.valence_tables(audit, headline=True),
            *tables.valence_difference_tables(audit, headline=True),
        ),
        (
            *tables.valence_tables(audit, headline=False),
            *tables.valence_difference_tables(audit, headline=False),
        ),
    )


def _amplification(audit: Audit) -> Section:
    return Section(
        "Bias amplification",
        "Whether answers tie labels to groups more than the training did: above 0 they do, below 0 "
        "less. It is defined only where these faces have the training's shares of labels and "
        "groups; elsewhere a difference may come from the faces alone. Intervals cover other faces "
        "of the same kind, not other trainings.",
        (),
        (tables.amplification_table(audit),),
    )
