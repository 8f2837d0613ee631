"""The pairs of faces that leak or contradict each other: listed, counted, shown."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.clusters import Clusters
from facebias.data.fingerprints import Read
from facebias.data.table import FaceTable
from facebias.errors import DataError
from facebias.files import whole_file
from facebias.pictures import Cell, Row, write_rows

logger = logging.getLogger(__name__)

LEAKS_FILE, LEAKS_SHEET = "leaks.csv", "leaks.png"

KINDS = (
    "label_conflict",
    "identity",
    "near",
    "shifted",
    "mirrored",
    "upside_down",
    "turned",
    "exact",
    "constant",
)
"""What a pair may be, in the order in which pairs are shown."""

COPIES = ("near", "shifted", "mirrored", "upside_down", "turned", "exact")
"""The kinds of two pictures made from one."""

_SHIFTED = 0.01  # of the side, from which a copy is called shifted
_SIDES = ("first", "second")
_SHOWN = 40  # pairs on the sheet
_SHORT = {"label_conflict": "two labels", "upside_down": "inverted"}  # where there is little room


def pair_columns(attributes: Iterable[str]) -> list[str]:
    """Return the columns of the table of pairs."""
    described = ["split", "label", *attributes]
    named = [f"{side}_{name}" for name in described for side in _SIDES]
    return [*_SIDES, "kind", "score", *named, "left_out"]


def no_pairs(attributes: Iterable[str]) -> pd.DataFrame:
    """Return a table of pairs without any."""
    return pd.DataFrame(columns=pair_columns(attributes))


def list_pairs(
    table: FaceTable, rows: pd.DataFrame, found: Clusters, persons: pd.Series
) -> pd.DataFrame:
    """List the pairs; each face stands beside the first of its cluster, never each with each.

    Args:
        table: for its attributes.
        rows: of the table, by position, as the gate left them.
        found: clusters of these positions.
        persons: for each face whose person is in another split, a face of that person there.

    Returns:
        The columns of `pair_columns`; see `facebias.data.leakage.gate`.
    """
    copies = np.flatnonzero(found.first != rows.index)
    labels = rows["label"].iloc[copies], rows["label"].iloc[found.first[copies]]
    known = labels[0].notna().to_numpy() & labels[1].notna().to_numpy()
    two = copies[known & (labels[0].to_numpy(object) != labels[1].to_numpy(object))]
    places = persons.to_numpy(np.int64)
    blank = np.flatnonzero(rows["left_out"] == "constant image")
    listed = pd.concat(
        [
            _side_by_side(table, rows, found.first[two], two, "label_conflict", found.score[two]),
            _side_by_side(table, rows, places, persons.index.to_numpy(), "identity", np.nan),
            _side_by_side(
                table,
                rows,
                found.first[copies],
                copies,
                _kinds(found, copies),
                found.score[copies],
            ),
            _side_by_side(table, rows, blank, blank, "constant", np.nan),
        ],
        ignore_index=True,
    )
    listed["kind"] = pd.Categorical(listed["kind"], KINDS)
    listed = listed.sort_values(["kind", "score", *_SIDES], kind="stable", ignore_index=True)
    return listed.astype({"kind": object})


def _kinds(found: Clusters, copies: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    """Name what copies are to the first of their clusters."""
    turn, score, shift = found.turn[copies], found.score[copies], found.shift[copies]
    choices = [turn == 1, turn == 2, turn > 2, score == 1, shift >= _SHIFTED]
    names = ["mirrored", "upside_down", "turned", "exact", "shifted"]
    return np.select(choices, names, "near").astype(object)


def _side_by_side(
    table: FaceTable,
    rows: pd.DataFrame,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    kind: str | npt.NDArray[np.object_],
    score: float | npt.NDArray[np.float64],
) -> pd.DataFrame:
    """Describe pairs of positions in the columns of `pair_columns`."""
    sides = {"first": rows.loc[first], "second": rows.loc[second]}
    columns: dict[str, Any] = {
        f"{side}_{name}": faces[name].to_numpy(object)
        for side, faces in sides.items()
        for name in ("split", "label", *table.attributes)
    }
    columns |= {side: faces["id"].to_numpy(object) for side, faces in sides.items()}
    out = [(faces["left_out"] != "").to_numpy() for faces in sides.values()]
    which = np.select([out[0] & out[1], *out], ["both", "first", "second"], "")
    pairs = pd.DataFrame(columns | {"left_out": which.astype(object)})
    return pairs.assign(kind=kind, score=score)[pair_columns(table.attributes)]


def refuse_leaks(pairs: pd.DataFrame) -> None:
    """Stop where a face would be left out, or a picture has two labels.

    Raises:
        DataError: that says how many pairs there are of each kind, and names the first.
    """
    wrong = _wrong(pairs)
    if wrong.empty:
        return
    first = wrong.iloc[0]
    raise DataError(
        f"the faces leak or contradict each other: {count_kinds(wrong)}; the first is "
        f"{first['first']} ({_place(first, 'first')}) and {first['second']} "
        f"({_place(first, 'second')}): {first['kind']}",
        "no copies across splits, no flipped copies, one label a picture (data.copies=error)",
        "take one of each pair out of the data set, or let data.copies=drop leave it out",
    )


def warn_of_leaks(pairs: pd.DataFrame, copies: str) -> None:
    """Say how many pairs leak or contradict each other, or may yet leak, where all are used.

    Args:
        pairs: of the leak gate.
        copies: "report", with which splits of ours keep equal pixels together, not near copies; or
            "leak", with which they keep nothing together.
    """
    leaking = pairs[pairs.index.isin(_wrong(pairs).index) | pairs["kind"].isin(("near", "shifted"))]
    if not leaking.empty:
        logger.warning(
            "the faces leak or contradict each other (data.copies=%s uses all, and may part "
            "%s): %s",
            copies,
            "near copies" if copies == "report" else "all copies",
            count_kinds(leaking),
        )


def _wrong(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs[(pairs["left_out"] != "") | (pairs["kind"] == "label_conflict")]


def _place(pair: pd.Series, side: str) -> str:
    split, label = pair[f"{side}_split"], pair[f"{side}_label"]
    return f"{split if isinstance(split, str) else 'no split'}, {label}"


def count_kinds(pairs: pd.DataFrame) -> str:
    """Say how many pairs there are of each kind, and how many of them lie across splits."""
    across = _across(pairs)
    counts = pairs["kind"].value_counts().reindex(KINDS).dropna().astype(int)
    return ", ".join(
        f"{count:,} {kind} ({int(across[pairs['kind'] == kind].sum()):,} across splits)"
        for kind, count in counts.items()
    )


def _across(pairs: pd.DataFrame) -> pd.Series:
    splits = _given(pairs)
    return splits["first_split"] != splits["second_split"]


def _given(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the splits of both faces; one without a split is given for train."""
    return pairs[["first_split", "second_split"]].astype(object).fillna("train")


def inflated_groups(pairs: pd.DataFrame, rows: pd.DataFrame, split: str) -> pd.DataFrame:
    """Say which groups of a split would have been measured too well.

    Args:
        pairs: of the leak gate.
        rows: of the table that was gated.
        split: which is measured.

    Returns:
        `attribute`, `group`, `n` faces used of it in the split, `copied`: how many of these had a
        copy, or their person, among the faces given for train (of the official train split, or of
        none), and `share`: copied / n. The first row is of everybody.
    """
    measured = rows[(rows["split"] == split) & (rows["left_out"] == "")]
    copied = measured["identity"].isin(_people_in_both(pairs, rows, split))
    everybody = pd.Series("all", index=measured.index)
    counts = [_copied(copied, "all", everybody)]
    counts += [_copied(copied, name, measured[name]) for name in _attributes(pairs)]
    return pd.concat(counts, ignore_index=True)


def _attributes(pairs: pd.DataFrame) -> list[str]:
    described = [name.removeprefix("first_") for name in pairs if name.startswith("first_")]
    return [name for name in described if name not in ("split", "label")]


def _copied(copied: pd.Series, attribute: str, groups: pd.Series) -> pd.DataFrame:
    counted = copied.groupby(groups.rename("group")).agg(n="size", copied="sum", share="mean")
    counted.insert(0, "attribute", attribute)
    return counted.reset_index()[["attribute", "group", "n", "copied", "share"]]


def inflation_lines(pairs: pd.DataFrame, rows: pd.DataFrame, split: str) -> list[str]:
    """Say how many faces of a split leak from train, and how much of each group; nothing if none.

    Args:
        pairs: of the leak gate.
        rows: of the table that was gated.
        split: which is measured.
    """
    groups = inflated_groups(pairs, rows, split)
    if not groups["copied"].sum():
        return []
    shares = [
        f"{name} " + ", ".join(f"{row.group} {100 * row.share:.1f} %" for row in part.itertuples())
        for name, part in groups.groupby("attribute", sort=False)
        if name != "all"
    ]
    everybody = groups.iloc[0]
    return [
        f"leaks: {everybody['copied']:,} of {everybody['n']:,} {split} faces have a copy, or their "
        f"person, among the faces given for train; if used, these inflate "
        f"{'; '.join(shares) or 'all'}"
    ]


def leaked_lines(pairs: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Say how many faces that are scored have a copy that is trained on; nothing if none.

    Args:
        pairs: of the leak gate.
        rows: of the table, split and composed.
    """
    copies = pairs[pairs["kind"].isin(COPIES)]
    first = dict(zip(copies["second"], copies["first"], strict=True))
    used = rows[rows["left_out"] == ""]
    picture = used["id"].map(first).astype(object).fillna(used["id"])
    trained = set(picture[used["split"] == "train"])
    lines = []
    for split in ("validation", "test"):
        leaked = picture[used["split"] == split].isin(trained)
        if leaked.any():
            lines.append(
                f"LEAK: {leaked.sum():,} of {len(leaked):,} {split} faces have a copy among the "
                "train faces: what is measured on them says nothing of new faces"
            )
    return lines


def _people_in_both(pairs: pd.DataFrame, rows: pd.DataFrame, split: str) -> set[str]:
    """Return the identities of the faces of a split in clusters that reach into train."""
    found = pairs[pairs["kind"].isin((*COPIES, "identity"))]
    splits = _given(found)
    train = found.loc[splits["second_split"] == "train", "first"]  # of a pair, the later split
    reached = found["first"].isin(set(train)).to_numpy()[:, None] & (splits == split).to_numpy()
    faces = found[list(_SIDES)].to_numpy(object)[reached]
    return set(rows.loc[rows["id"].isin(faces), "identity"])


def write_leaks(folder: Path, pairs: pd.DataFrame, rows: pd.DataFrame, read: Read) -> None:
    """Write `leaks.csv`, and `leaks.png` with pairs side by side where there are any.

    Args:
        folder: of the run.
        pairs: of the leak gate.
        rows: of the table, with the columns `id` and `row`.
        read: returns the faces of row numbers, uint8 (B, H, W, C).
    """
    with whole_file(folder / LEAKS_FILE) as temporary:
        pairs.to_csv(temporary, index=False, float_format="%.3f")
    if pairs.empty:
        return
    shown = _chosen(pairs)
    place = rows.set_index("id")["row"]
    lines = [
        _line(pair, read(place[[pair["first"], pair["second"]]].to_numpy(np.int64)))
        for _, pair in shown.iterrows()
    ]
    write_rows(
        folder / LEAKS_SHEET,
        lines,
        title=f"{len(pairs):,} pairs, {len(shown)} of them shown",
        note="score: 1 for equal pixels, 0.5 at the limit",
    )


def _chosen(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return up to 40 pairs, of each kind as many as there is room for, the least alike first."""
    turns = pairs.groupby("kind").cumcount()
    return pairs.loc[turns.sort_values(kind="stable").index[:_SHOWN].sort_values()]


def _line(pair: pd.Series, faces: npt.NDArray[np.uint8]) -> Row:
    captions = [_place(pair, side) for side in _SIDES]
    if pd.notna(pair["score"]):
        captions[1] += f", {pair['score']:.2f}"
    cells = [Cell(face, caption) for face, caption in zip(faces, captions, strict=True)]
    return Row(_SHORT.get(pair["kind"], pair["kind"]), cells)


def read_leaks(folder: Path) -> pd.DataFrame | None:
    """Return the pairs that a run found; None if it did not look."""
    file = folder / LEAKS_FILE
    names = dict.fromkeys((*_SIDES, "left_out"), str)  # a face may be named 007, or NA
    return pd.read_csv(file, converters=names) if file.is_file() else None
