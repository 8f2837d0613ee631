"""Pages of faces with their maps: single faces under each model, means of groups, differences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps

from facebias.cam.explain import resize_maps
from facebias.cam.overlay import colour_bar
from facebias.data.choice import spread_faces
from facebias.data.predictions import PROBABILITY
from facebias.fairness.valence import VALENCES
from facebias.pictures import PALE, font, wrapped
from facebias.report.cam_maps import ExplainedRun
from facebias.report.cam_page import SIDE, Page, box_of, columns_at, enlarged, painted
from facebias.report.figures import BLUE, GRAY, ORANGE
from facebias.runs.explained import ExplainedFaces

UInt8 = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

MOST_RUNS = 8
"""Models beside each other on a page; of more the first of each variant come first."""

_MARGIN, _GAP, _LABEL, _HEAD, _LINE, _CAPTION = 24, 12, 110, 84, 17, 44
_NARROWEST, _WIDEST_LABEL, _WIDEST_FACE = 780, 230, 240
_MOST_GROUPS, _MOST_PAIRS = 12, 6
_CHUNK = 64  # faces in memory together
_ORDER = ("neutral", "positive", "negative")
_TRACK = "#d9dde2"
_DIVERGING = "PuOr"  # told apart by the colour-blind; its middle is nearly white


def shown_runs(runs: Sequence[ExplainedRun]) -> list[ExplainedRun]:
    """Return the runs that there is room for: all, or of every variant the first ones."""
    if len(runs) <= MOST_RUNS:
        return list(runs)
    turn = pd.Series([run.variant for run in runs]).groupby([run.variant for run in runs])
    order = np.argsort(turn.cumcount().to_numpy(), kind="stable")[:MOST_RUNS]
    return [runs[number] for number in sorted(order)]


def draw_faces(
    runs: Mapping[str, ExplainedRun],
    attention: pd.DataFrame,
    path: Path,
    *,
    words: str,
    per_label: int,
    seed: int,
    valences: Mapping[str, str] | None,
) -> list[Path]:
    """Draw the study's figure: a row a face, a column a model.

    Each cell has the map over the face, the answer, whether it is right, its probability as a bar,
    and the probability of the class that is explained where it is another. Faces are neutral,
    positive, negative where the valence of every class is known; they are chosen by lot, spread
    over the groups, and the same for every model.

    Args:
        runs: the models to draw by their names, no more than 8.
        attention: the rows of these runs.
        path: of the files, without a suffix.
        words: what the maps are, for the line below the title.
        per_label: faces of each class, or of each valence where there are fewer.
        seed: of the choice.
        valences: of the classes; None where one has none.

    Returns:
        The files.
    """
    first = next(iter(runs.values()))
    chosen = _chosen(first, per_label, seed, valences)
    places = chosen["position"].to_numpy(np.int64)
    faces = first.faces.pixels(places)
    said = [_said_of(face, first, valences) for face in chosen.to_dict(orient="records")]
    label = _label([text for lines in said for text, _ in lines])
    side = _side(1 + len(runs), label)
    wide, high = box_of(faces, side)
    columns = columns_at(["", *runs], _MARGIN + label, wide + _GAP)
    page, top = _begun(
        "The same faces under each model",
        f"{words}; below, in gray: the class that is explained, where it is not the answer",
        ["the face", *runs],
        (wide, high + _CAPTION + _GAP),
        len(chosen),
        label,
    )
    _legend(page, colour_bar(36, 360), "0", "1", "share of the map's highest value")
    plain = enlarged(faces, side)
    step = high + _CAPTION + _GAP
    for number, lines in enumerate(said):
        _lines(page, top + number * step + high / 2, lines, label)
        page.picture(columns[0], top + number * step, plain[number], wide, high)
    for run, left in zip(runs.values(), columns[1:], strict=True):
        own = attention[attention["run"] == run.name].set_index("id").loc[chosen["id"]]
        overlays = painted(run.faces.pixels(places), run.read_maps(places), side)
        for number, answer in enumerate(own.to_dict(orient="records")):
            page.picture(left, top + number * step, overlays[number], wide, high)
            _answer(page, left, top + number * step + high, wide, answer)
    return page.save(path)


def _chosen(
    run: ExplainedRun, per_label: int, seed: int, valences: Mapping[str, str] | None
) -> pd.DataFrame:
    table = run.faces.table
    chosen = spread_faces(table.rows, table.classes, table.attributes, per_label, seed)
    if valences is None:
        return chosen
    order = chosen["label"].map(valences).map(_ORDER.index, na_action="ignore").fillna(len(_ORDER))
    return chosen.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)


def _said_of(
    face: Mapping[str, object], run: ExplainedRun, valences: Mapping[str, str] | None
) -> list[tuple[str, bool]]:
    """Return lines about a face, and whether each is bold."""
    label = face["label"]
    known = isinstance(label, str)
    lines = [(str(label) if known else "no label", True)]
    if known and valences is not None and label not in VALENCES:
        lines.append((valences[str(label)], False))
    return lines + [(str(face[name]), False) for name in run.faces.table.attributes]


def _lines(
    page: Page, middle: float, lines: Sequence[tuple[str, bool]], room: float = _WIDEST_LABEL
) -> None:
    """Write lines at the left edge, around a height; some in bold letters."""
    top = middle - len(lines) * _LINE / 2
    for number, (text, bold) in enumerate(lines):
        page.words(_MARGIN, top + number * _LINE, text, size=13, room=room - _GAP, bold=bold)


def _answer(page: Page, left: float, top: float, wide: float, answer: Mapping[str, object]) -> None:
    """Write the answer below a map, its probability as a bar; and what is explained, if another."""
    said, label = str(answer["predicted"]), answer["label"]
    probability = float(str(answer[f"{PROBABILITY}{said}"]))
    known = isinstance(label, str)
    sign, colour = ("✓", BLUE) if said == label else ("✗", ORANGE)
    sign, colour = (sign, colour) if known else ("?", GRAY)
    page.bar(left, top + 3, wide, 5, _TRACK)
    page.bar(left, top + 3, wide * probability, 5, colour)
    room = wide + _GAP - 4
    page.words(left, top + 11, f"{sign} {said} {probability:.2f}", size=12, room=room)
    target = str(answer["target"])
    if target != said:
        explained = f"{target} {float(str(answer[f'{PROBABILITY}{target}'])):.2f}"
        page.words(left, top + 26, explained, size=11, colour=PALE, room=room)


def _begun(
    title: str,
    note: str,
    columns: Sequence[str],
    cell: tuple[float, float],
    rows: int,
    label: float,
) -> tuple[Page, float]:
    """Return a page with its head, and where the rows begin.

    Args:
        title: of the page.
        note: below it.
        columns: their names.
        cell: width and height of a cell, without the gap between columns.
        rows: how many.
        label: room for what is said of a row.
    """
    names = [_wrapped(name, cell[0]) for name in columns]
    width = max(2 * _MARGIN + label + len(columns) * (cell[0] + _GAP), _NARROWEST)
    notes = wrapped(note, font(13), width - 2 * _MARGIN - 260)
    head = max(_HEAD, 46 + _LINE * len(notes) + _GAP) + _LINE * max(map(len, names)) + 6
    page = Page(width, head + rows * cell[1] + _MARGIN)
    page.words(_MARGIN, 16, title, size=20, bold=True, room=width - 2 * _MARGIN - 260)
    for number, line in enumerate(notes):
        page.words(_MARGIN, 46 + number * _LINE, line, size=13, colour=PALE)
    for lines, left in zip(
        names, columns_at(columns, _MARGIN + label, cell[0] + _GAP), strict=True
    ):
        for number, text in enumerate(lines):
            place = head - 6 - _LINE * (len(lines) - number)
            page.words(
                left + cell[0] / 2, place, text, size=13, bold=True, middle=True, room=cell[0]
            )
    return page, head


def _wrapped(name: str, room: float) -> list[str]:
    """Return the lines of a name: "balanced, seed 0" is parted where it has a comma."""
    return [line for part in name.split(", ") for line in wrapped(part, font(13, bold=True), room)]


def _label(names: Sequence[str]) -> float:
    """Return the room that is needed to name the rows."""
    longest = max(font(13, bold=True).getlength(name) for name in names)
    return float(min(max(longest + _GAP, _LABEL), _WIDEST_LABEL))


def _side(columns: int, label: float) -> int:
    """Return the pixels along the longer side of a face: few columns fill a narrow page."""
    room = (_NARROWEST - 2 * _MARGIN - label) / columns - _GAP
    return int(np.clip(room, SIDE, _WIDEST_FACE))


def _legend(page: Page, bar: UInt8, low: str, high: str, meaning: str) -> None:
    """Draw a bar of colours at the top right."""
    left, wide = page.width - _MARGIN - 210, 180
    page.picture(left, 18, bar, wide, 18)
    page.words(left - 20, 20, low, size=12, middle=True, room=44)
    page.words(left + wide + 20, 20, high, size=12, middle=True, room=44)
    page.words(left + wide / 2, 41, meaning, size=11, middle=True, room=250, colour=PALE)


@dataclass(frozen=True, eq=False)
class GroupMaps:
    """Means over the faces of groups.

    Attributes:
        models: names of the M runs, or of several runs each.
        names: of the G groups, "gender: female"; the first is all faces.
        counts: (M, G), faces with a map.
        maps: for each model (G, h, w): the mean of the maps as they are shown, 0..1; NaN where a
            group has none.
        densities: for each model (G, h, w): the same of maps that are divided by their mean, so
            that 1 is what an even map has.
        faces: (G, H, W, C), uint8, the mean face of each group.
    """

    models: tuple[str, ...]
    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    maps: list[FloatArray]
    densities: list[FloatArray]
    faces: UInt8


def mean_maps(runs: Sequence[ExplainedRun]) -> GroupMaps:
    """Return mean maps and mean faces of all faces and of each group of each attribute.

    Of more than 12 groups those with the most faces are taken. Faces and maps are read in parts.

    Args:
        runs: as `facebias.report.cam_maps.explain_runs` returns them.
    """
    names, members = _members(runs[0].faces)
    counts, maps, densities = [], [], []
    for run in runs:
        sums, dense, seen = _sums(run, members)
        divisor = np.where(seen > 0, seen, np.nan)[:, None, None]
        counts.append(seen.astype(np.int64))
        maps.append(sums / divisor)
        densities.append(dense / divisor)
    found = tuple(run.name for run in runs)
    faces = _mean_faces(runs[0].faces, members)
    return GroupMaps(found, names, np.stack(counts), maps, densities, faces)


def joined_means(means: GroupMaps, models: Mapping[str, Sequence[str]]) -> GroupMaps:
    """Return the means of several runs each, all runs alike; their faces are those of the fewest.

    Args:
        means: of runs.
        models: for each name the runs, whose maps have the same cells.
    """
    places = [[means.models.index(run) for run in runs] for runs in models.values()]

    def joined(values: Sequence[FloatArray]) -> list[FloatArray]:
        return [np.asarray(np.mean([values[place] for place in own], axis=0)) for own in places]

    counts = np.stack([means.counts[own].min(axis=0) for own in places])
    maps, densities = joined(means.maps), joined(means.densities)
    return replace(means, models=tuple(models), counts=counts, maps=maps, densities=densities)


def variant_runs(runs: Sequence[ExplainedRun]) -> dict[str, list[str]]:
    """Return the names of the runs of each variant, which is named with how many it has."""
    names = pd.Series([run.name for run in runs])
    members = names.groupby([run.variant for run in runs], sort=False).agg(list)
    return {
        name if len(own) == 1 else f"{name} (mean of {len(own)})": own
        for name, own in members.items()
    }


def _members(faces: ExplainedFaces) -> tuple[tuple[str, ...], FloatArray]:
    """Return the names of the groups and who belongs to them, (G, N) of 0 and 1."""
    rows, found = faces.table.rows, {"all faces": np.ones(len(faces))}
    for name, groups in faces.table.attributes.items():
        for group in groups:
            mask = (rows[name] == group).to_numpy(np.float64)
            if mask.any():
                found[f"{name}: {group}"] = mask
    largest = sorted(found, key=lambda name: -found[name].sum())[:_MOST_GROUPS]
    kept = [name for name in found if name in largest]
    return tuple(kept), np.stack([found[name] for name in kept])


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))


def _sums(run: ExplainedRun, members: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the sums of maps and of densities (G, h, w), and the faces with a map (G,)."""
    sums, dense = np.zeros((2, len(members), *run.cells))
    seen = np.zeros(len(members))
    for rows in _parts(members.shape[1]):
        maps = run.read_maps(rows).astype(np.float64)
        known = np.isfinite(maps).all(axis=(1, 2))
        maps, own = maps[known], members[:, rows][:, known]
        sums += np.tensordot(own, maps, 1)
        dense += np.tensordot(own, maps / maps.mean(axis=(1, 2), keepdims=True), 1)
        seen += own.sum(axis=1)
    return sums, dense, seen


def _mean_faces(faces: ExplainedFaces, members: FloatArray) -> UInt8:
    sums = np.zeros((len(members), *faces.store.faces.shape[1:]))
    for rows in _parts(len(faces)):
        sums += np.tensordot(members[:, rows], faces.pixels(rows).astype(np.float64), 1)
    means: UInt8 = np.rint(sums / members.sum(axis=1)[:, None, None, None]).astype(np.uint8)
    return means


def draw_means(means: GroupMaps, path: Path, *, words: str, min_group: int) -> list[Path]:
    """Draw the mean map of each group and model over the group's mean face.

    Args:
        means: of the models to draw.
        path: of the files, without a suffix.
        words: what the maps are.
        min_group: a group of fewer faces has no say in where the colours end.

    Returns:
        The files.
    """
    label = _label([part for name in means.names for part in name.split(": ")])
    side = _side(1 + len(means.models), label)
    wide, high = box_of(means.faces, side)
    step = high + _LINE + _GAP
    page, top = _begun(
        "Where each model looks on average",
        f"The mean of the maps over the mean face; {words}",
        ["mean face", *means.models],
        (wide, step),
        len(means.names),
        label,
    )
    highest = _highest(means.maps, means, min_group)
    _legend(page, colour_bar(36, 360), "0", f"{highest:.2f}", "mean of maps that reach 1 each")
    columns = columns_at(["", *means.models], _MARGIN + label, wide + _GAP)
    plain = enlarged(means.faces, side)
    for number, name in enumerate(means.names):
        _lines(page, top + number * step + high / 2, _named(name), label)
        page.picture(columns[0], top + number * step, plain[number], wide, high)
    for maps, counts, left in zip(means.maps, means.counts, columns[1:], strict=True):
        overlays = painted(means.faces, maps / highest, side)
        for number, count in enumerate(counts):
            page.picture(left, top + number * step, overlays[number], wide, high)
            said = _counted(int(count), min_group)
            page.words(left, top + number * step + high + 3, said, size=11, colour=PALE, room=wide)
    return page.save(path)


def _named(name: str) -> list[tuple[str, bool]]:
    attribute, _, group = name.partition(": ")
    return [(attribute, False), (group, True)] if group else [(name, True)]


def _counted(faces: int, min_group: int) -> str:
    if faces == 0:
        return "no map is defined"
    return f"{faces:,} faces" if faces >= min_group else f"{faces:,}: too few to tell"


def _highest(values: Sequence[FloatArray], means: GroupMaps, min_group: int) -> float:
    """Return the largest size of a value in groups that are large enough, or in all faces."""
    large = means.counts.min(axis=0) >= min_group
    large[0] = True
    sizes = np.concatenate([np.abs(each[large]).ravel() for each in values])
    found = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(found.max()) if found.size else 1.0


def draw_differences(means: GroupMaps, path: Path, *, words: str, min_group: int) -> list[Path]:
    """Draw where one model's maps have more than another's, for each group.

    Before, each map is divided by its own mean: a difference of 1 is as much as an even map has
    there, and the differences of a picture add up to 0.

    Args:
        means: of the models that are compared.
        path: of the files, without a suffix.
        words: what the maps are.
        min_group: a group of fewer faces has no say in where the colours end.

    Returns:
        The files; none for one model.
    """
    models = _alike(means)
    every = list(combinations(models, 2))
    if not every:
        return []
    pairs, some = every[:_MOST_PAIRS], ""
    if len(pairs) < len(every):
        some = f"; {len(pairs)} of {len(every)} pairs"
    apart = [models[one] - models[other] for one, other in pairs]
    bound = _highest(apart, means, min_group)
    label = _label([name for pair in pairs for name in pair])
    side = _side(len(means.names), label)
    wide, high = box_of(means.faces, side)
    step = high + 2 * _GAP
    page, top = _begun(
        "Where models look differently",
        "Differences of mean maps, each divided by its mean, over the mean face in gray: 1 is as "
        f"much as an even map has; smaller groups may go beyond the ends; {words}{some}",
        [name.replace(": ", ", ") for name in means.names],
        (wide, step),
        1 + len(pairs),
        label,
    )
    ends = (f"-{bound:.1f}", f"+{bound:.1f}")
    ramp = np.broadcast_to(np.linspace(-1, 1, 360), (36, 360))
    _legend(page, _diverging(ramp), *ends, "the second has more – the first has more")
    large = enlarged(means.faces, side)
    columns = columns_at(means.names, _MARGIN + label, wide + _GAP)
    _lines(page, top + high / 2, [("mean face", True)], label)
    fewest = means.counts.min(axis=0)
    for left, face, count in zip(columns, large, fewest, strict=True):
        page.picture(left, top, face, wide, high)
        said = _counted(int(count), min_group)
        page.words(left, top + high + 3, said, size=11, colour=PALE, room=wide)
    for number, ((one, other), differences) in enumerate(zip(pairs, apart, strict=True), start=1):
        at = top + number * step
        _lines(page, at + high / 2, [(one, True), ("less", False), (other, True)], label)
        for left, face, values in zip(columns, large, differences, strict=True):
            if np.isfinite(values).all():
                page.picture(left, at, _shaded(values / bound, face), wide, high)
            else:
                page.words(left, at + high / 2, _counted(0, min_group), size=11, room=wide)
    return page.save(path)


def _alike(means: GroupMaps) -> dict[str, FloatArray]:
    """Return the mean density of each model in the same cells, (G, h, w)."""
    finest = max(means.densities, key=lambda each: each[0].size).shape
    return {
        name: resize_maps(each.astype(np.float32), (finest[1], finest[2])).astype(np.float64)
        for name, each in zip(means.models, means.densities, strict=True)
    }


def _shaded(values: FloatArray, face: UInt8) -> UInt8:
    """Return differences (h, w), -1 to 1, over a face in gray, as bright whatever the skin."""
    fine = resize_maps(values[None].astype(np.float32), (face.shape[0], face.shape[1]))[0]
    shaded: UInt8 = np.rint(_diverging(fine) * _shade(face)[..., None]).astype(np.uint8)
    return shaded


def _diverging(values: npt.NDArray[np.floating]) -> UInt8:
    """Return colours (..., 3) of values from -1 to 1; of what is undefined that of 0."""
    place = 0.5 + 0.4 * np.clip(np.nan_to_num(values), -1, 1)  # its ends are too dark to tell apart
    colours: UInt8 = np.rint(255 * colormaps[_DIVERGING](place)[..., :3]).astype(np.uint8)
    return colours


def _shade(face: UInt8) -> FloatArray:
    """Return how bright each pixel of a face is, from .7 to 1 whatever the skin."""
    gray = face.astype(np.float64).mean(axis=2)
    low, high = np.percentile(gray, [2, 98])
    return np.asarray(0.7 + 0.3 * np.clip((gray - low) / max(high - low, 1), 0, 1))
