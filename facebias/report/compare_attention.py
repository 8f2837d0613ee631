"""Where variants look, as a part of the comparison's page: pictures, tables and what they say."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from facebias.cam.between import ALPHA, DIFFERENT, MIN_SEEDS
from facebias.data.choice import spread_faces
from facebias.errors import DataError, FacebiasError, ModelError, RunError
from facebias.fairness.valence import declared_valences
from facebias.report.attention import ALL, SHARE, even_shares, region_words
from facebias.report.attention_compared import BETWEEN, STABILITY, compared
from facebias.report.attention_variants import attention_by_variant
from facebias.report.cam_figures import draw_regions
from facebias.report.cam_maps import (
    SOURCES,
    ExplainedRun,
    Question,
    Regions,
    explain_runs,
    question_words,
    read_attention,
)
from facebias.report.cam_pictures import (
    MOST_RUNS,
    draw_differences,
    draw_faces,
    draw_means,
    joined_means,
    mean_maps,
    variant_runs,
)
from facebias.report.page_parts import PageTable, SavedPicture, Section
from facebias.report.paired import Variant
from facebias.report.paired_words import attribute_words
from facebias.runs.explained import ExplainedFaces, explained_faces
from facebias.runs.trained import TrainedRun

logger = logging.getLogger(__name__)

TITLE = "Where the networks look"
BY_VARIANT = "attention"
"""Name of the table of attention by variant; those of comparisons begin with it."""

_FOLDER = "attention"  # of maps and rows of faces
_MIN_GROUP = 30
_BATCH = 64
_MOST_ROWS = 60  # of a table on the page


@dataclass(frozen=True, eq=False)
class _Found:
    """What was measured.

    Attributes:
        runs: explained.
        regions: that maps were held against.
        words: what the maps are.
        attention: a row a run and face.
        even: what an even map has in each region.
        by_variant: means over seeds.
        compared: tables of comparisons, by name.
        why: why variants are not compared.
    """

    runs: list[ExplainedRun]
    regions: Regions
    words: str
    attention: pd.DataFrame
    even: pd.Series
    by_variant: pd.DataFrame
    compared: dict[str, pd.DataFrame]
    why: str

    @property
    def shown(self) -> list[str]:
        """The variants that there is room for."""
        return list(dict.fromkeys(run.variant for run in self.runs))[:MOST_RUNS]


def attention_section(
    runs: Sequence[TrainedRun], variants: Sequence[Variant], folder: Path, config: DictConfig
) -> tuple[Section, dict[str, pd.DataFrame]]:
    """Show where each variant looks on the same faces, by group, and whether variants differ.

    The faces are some of those that all runs have predicted, drawn by lot and spread over classes
    and groups. If their images or a checkpoint are gone, or no layer is fit for maps, the section
    says so: the rest of the page does not need them.

    Args:
        runs: as `facebias.runs.trained.load_runs` returns them.
        variants: the same runs, as `facebias.report.paired.find_variants` returns them.
        folder: of the comparison; pictures go to `pictures`, maps and rows to `attention`.
        config: a checked `facebias.schemas.Compare`.

    Returns:
        The section, and its tables by name: "attention" (`attention_by_variant`), and of several
        variants "attention_between" and "attention_between_maps", of one "attention_stability"
        (`facebias.report.attention_compared.compared`); no tables where there are no maps.

    Raises:
        ConfigError: for a target that is no class.
        ModelError: for a layer that a network does not have, or a method that it is not fit for.
        RunError: if a file cannot be written.
    """
    question = Question(config.method, config.layer, config.target, _BATCH)
    try:
        faces = _faces(runs, config)
    except (DataError, RunError) as error:
        return _without(error), {}
    try:
        found = _measured(runs, variants, faces, question, folder / _FOLDER)
    except DataError as error:
        return _without(error), {}
    except ModelError as error:
        if (config.layer, config.method) != ("auto", "layer_cam"):
            raise
        return _without(error), {}
    tables = {BY_VARIANT: found.by_variant.assign(regions=found.regions.source)}
    tables |= {f"{BY_VARIANT}_{name}": table for name, table in found.compared.items()}
    section = Section(
        TITLE,
        " ".join(_text(found)),
        tuple(_pictures(found, folder / "pictures", config)),
        (_whole_table(found), *_between_table(found)),
        (_group_table(found), *_stability_table(found)),
    )
    return section, tables


def _without(error: FacebiasError) -> Section:
    """Return a section that says why there are no maps, and say it on the console too."""
    logger.warning("no maps of where the networks look: %s", error)
    said = ". ".join(str(error).splitlines())
    return Section(TITLE, f"There are no maps here: {said}.", (), ())


def _faces(runs: Sequence[TrainedRun], config: DictConfig) -> list[ExplainedFaces]:
    """Return the faces of the lot for each run."""
    first = runs[0]
    per_label = max(config.faces_per_label, -(-config.attention_faces // len(first.classes)))
    chosen = spread_faces(first.rows, first.classes, first.attributes, per_label, config.seed)
    return explained_faces(runs, list(chosen["id"]))


def _measured(
    runs: Sequence[TrainedRun],
    variants: Sequence[Variant],
    faces: Sequence[ExplainedFaces],
    question: Question,
    folder: Path,
) -> _Found:
    names = {run.name: each.name for each in variants for run in each.runs}
    found, regions = explain_runs(runs, faces, question, folder, names)
    attention = read_attention(folder)
    by_variant = attention_by_variant(attention, faces[0].table.attributes, min_group=_MIN_GROUP)
    tables, why = compared(found, attention, question)
    words = question_words(question, found)
    even = even_shares(attention)
    return _Found(found, regions, words, attention, even, by_variant, tables, why)


def _pictures(found: _Found, folder: Path, config: DictConfig) -> Iterator[SavedPicture]:
    """Draw faces, means, differences and regions; the means and bars are of all seeds."""
    first = _first_runs(found)
    said = OmegaConf.select(found.runs[0].run.config, "callbacks.fairness.valences")
    drawn = draw_faces(
        first,
        found.attention,
        folder / "attention_faces",
        words=found.words,
        per_label=config.faces_per_label,
        seed=config.seed,
        valences=declared_valences(found.runs[0].faces.table.classes, said),
    )
    yield SavedPicture("The same faces with the map of each model, and its answer", drawn[0])
    means = mean_maps(found.runs)
    told: dict[str, Any] = {"words": found.words, "min_group": _MIN_GROUP}
    models = variant_runs([run for run in found.runs if run.variant in found.shown])
    of_variants = joined_means(means, models)
    drawn = draw_means(of_variants, folder / "attention_means", **told)
    yield SavedPicture("The mean map of each group and variant, over its mean face", drawn[0])
    if config.target != "predicted":
        for file in draw_differences(of_variants, folder / "attention_differences", **told)[:1]:
            yield SavedPicture("Where the mean maps of variants differ, for each group", file)
    words = f"{found.words}; 95 % intervals over {_units(found)}"
    table = found.by_variant.assign(model=found.by_variant["variant"])
    drawn = draw_regions(table, found.even, found.shown, folder / "attention_regions", words=words)
    for file in drawn[:1]:
        yield SavedPicture("The share of the maps in each region, by group and variant", file)


def _first_runs(found: _Found) -> dict[str, ExplainedRun]:
    """Return the first run of each variant, named by it."""
    first: dict[str, ExplainedRun] = {}
    for name in found.shown:
        own = [run for run in found.runs if run.variant == name]
        first[name if len(own) == 1 else f"{name}, seed {own[0].seed}"] = own[0]
    return first


def _units(found: _Found) -> str:
    several = (found.by_variant["seeds"] > 1).all()
    return "seeds and persons" if several else "persons"


def _text(found: _Found) -> Iterator[str]:
    """Yield what the section says of its tables."""
    faces = found.runs[0].faces
    yield (
        f"Maps show which parts of a face speak for a class: {found.words}, on {len(faces):,} "
        f"{faces.split} faces, the same for every model, drawn by lot and spread over classes and "
        f"groups. Regions of the face are from {SOURCES[found.regions.source]}. The share of a "
        "region is the share of the map that lies there; an even map would have the region's area."
    )
    yield from _undefined(found)
    if found.why:
        yield f"Variants are not compared: {found.why}."
    else:
        yield from _verdict(found.compared[BETWEEN])
    yield (
        "A map says which places the answer hangs on, not what the network sees there, nor that "
        "looking elsewhere is better or worse."
    )


def _undefined(found: _Found) -> Iterator[str]:
    without = sum(run.undefined for run in found.runs)
    if without:
        whole = sum(len(run.faces) for run in found.runs)
        yield (
            f"{without:,} of {whole:,} maps are undefined, as nothing speaks for the class; they "
            "count nowhere."
        )


def _verdict(between: pd.DataFrame) -> Iterator[str]:
    """Yield what a verdict means, and what was found."""
    pairs = between.groupby(["first", "second"], sort=False)
    tested = pairs.filter(lambda rows: rows["p"].notna().any())
    if tested.empty:
        yield (
            f"No two variants have {MIN_SEEDS} seeds each, so their differences are descriptive: "
            "another seed of the same variant looks elsewhere too, and with so few it cannot be "
            "told how much of a difference is that."
        )
        return
    yield (
        "“Different” means that variants differ by more than seeds of one variant do, allowing for "
        f"all regions and pairs; it is tested with {MIN_SEEDS} seeds or more of each."
    )
    told = tested[tested["verdict"] == DIFFERENT]
    count = tested.groupby(["first", "second"]).ngroups
    reach = count * min(
        (2 if first == second else 1) / math.comb(first + second, first)
        for first, second in zip(tested["first_seeds"], tested["second_seeds"], strict=True)
    )
    if reach > ALPHA:
        yield (
            f"With so few seeds the smallest p of {count:,} pairs is {min(reach, 1):.2f}, so "
            "nothing could be told apart here: compare fewer variants, or train more seeds."
        )
    if told.empty:
        yield f"In {count:,} tested {_pairs(count)} no region differs by more than seeds do."
    else:
        differ = told.groupby(["first", "second"]).ngroups
        yield f"{differ:,} of {count:,} tested {_pairs(count)} differ by more than seeds do."


def _pairs(count: int) -> str:
    return "pair" if count == 1 else "pairs"


def _shares(found: _Found) -> pd.DataFrame:
    """Return the rows of shares of regions, and of what is not on the face."""
    table = found.by_variant
    region = table["measure"].str.removeprefix(SHARE)
    return table.assign(region=region)[region.isin(found.even.index)]


def _whole_table(found: _Found) -> PageTable:
    rows = _shares(found)
    rows = rows[rows["attribute"] == ALL].set_index(["variant", "region"])
    return PageTable(
        f"Share of the maps in each region, all faces, in %, with 95 % intervals over "
        f"{_units(found)}",
        ("region", "an even map", *found.shown),
        tuple(
            (
                region_words(str(region)),
                _percent(even),
                *(_with_interval(rows.loc[(variant, region)]) for variant in found.shown),
            )
            for region, even in found.even.items()
        ),
    )


def _group_table(found: _Found) -> PageTable:
    """Return shares by group: a row a group and variant."""
    shares = _shares(found)
    keys = ["attribute", "group", "variant"]
    wide = shares.set_index([*keys, "region"])["value"].unstack("region")
    # As the variants stand beside each other, group by group.
    groups = shares.groupby(["attribute", "group"], sort=False).ngroup()
    first = shares.iloc[groups.argsort(kind="stable")].drop_duplicates(keys).set_index(keys)
    rows = [
        (
            "all faces" if attribute == ALL else f"{attribute_words(attribute)}: {group}",
            variant,
            f"{row['n']:,}" + ("" if row["status"] == "ok" else f", {row['status']}"),
            *(
                _percent(wide.loc[(attribute, group, variant), region])
                for region in found.even.index
            ),
        )
        for (attribute, group, variant), row in first.iterrows()
    ]
    return PageTable(
        "Share of the maps in each region by group, in %; intervals are in the CSV file",
        ("group", "variant", "faces", *(region_words(str(name)) for name in found.even.index)),
        tuple(rows[:_MOST_ROWS]),
        names=2,
        left_out=max(0, len(rows) - _MOST_ROWS),
    )


def _between_table(found: _Found) -> Iterator[PageTable]:
    """Yield the comparison of each two variants, the surest differences first."""
    if BETWEEN not in found.compared:
        return
    table = found.compared[BETWEEN]
    size = table["difference"].abs().fillna(-1)
    table = table.assign(size=size).sort_values(["p_adjusted", "size"], ascending=[True, False])
    rows = [
        (
            f"{row['first']} – {row['second']}",
            region_words(row["region"]),
            _interval(row["difference"], row["low"], row["high"]),
            f"{_percent(row['first_spread'])}, {_percent(row['second_spread'])}",
            "–" if np.isnan(row["p_adjusted"]) else f"{row['p_adjusted']:.3f}",
            row["verdict"] or "no map",
        )
        for row in table.to_dict(orient="records")
    ]
    yield PageTable(
        "Differences between variants, in points, beside what their seeds spread by",
        ("variants", "region", "difference", "spread of seeds", "p, adjusted", "verdict"),
        tuple(rows[:_MOST_ROWS]),
        names=2,
        left_out=max(0, len(rows) - _MOST_ROWS),
    )


def _stability_table(found: _Found) -> Iterator[PageTable]:
    if STABILITY not in found.compared:
        return
    rows = found.compared[STABILITY].to_dict(orient="records")
    yield PageTable(
        "How alike the maps of two runs of the variant are: rank correlation, 1 is the same",
        ("run", "other run", "correlation"),
        tuple(
            (row["first"], row["second"], f"{row['correlation']:.2f}") for row in rows[:_MOST_ROWS]
        ),
        names=2,
        left_out=max(0, len(rows) - _MOST_ROWS),
    )


def _with_interval(row: pd.Series) -> str:
    return _interval(row["value"], row["low"], row["high"], signed=False)


def _interval(value: float, low: float, high: float, *, signed: bool = True) -> str:
    def written(number: float) -> str:
        return f"{100 * number:+.1f}" if signed else f"{100 * number:.1f}"

    if np.isnan(value):
        return "–"
    return (
        written(value) if np.isnan(low) else f"{written(value)} [{written(low)}, {written(high)}]"
    )


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}"
