"""Copies of pictures: the same pixels, and pictures made from one another.

Three steps, each dearer than the one before and left to fewer pairs:

1. Each picture becomes a vector that is the same for its mirrored and turned forms: the absolute
   low-frequency cosine coefficients of its thumbnail, and of them the directions in which pictures
   differ most against how much a picture differs from its own copies (linear discriminants, Fisher
   1936, learnt from the set itself and from shifted, brightened and sharpened copies that are made
   for it). What all faces share is thereby taken out. An index (HNSW, Malkov and Yashunin, IEEE
   TPAMI 42, 2020) gives the nearest pictures of each.
2. Thumbnails of such pairs are laid over each other in each of four forms: gain, shift and zoom by
   least squares (Lucas and Kanade 1981). No place may then differ by more than `ONE_STEP_LIMIT` of
   the picture's variance after one step, and `THUMBNAIL_LIMIT` after two more.
3. The pictures themselves are laid over each other in the same way, `RESIDUE_LIMIT`.

Channels are predicted as cut off at black and white, since brighter copies are.

The limits were set between copies that were made of generated faces and of three sets of photos,
and the nearest pairs that are no copies: the worst hundredth of copies has .12 to .18, .02, and .6
to 1.2 (colour pictures of 64 pixels after JPEG: 1.9); `docs/leaks.md` has the figures.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from facebias.data.fingerprints import (
    SIDE,
    TURNS,
    Fingerprints,
    Float32,
    Read,
    cut_off,
    gray_of,
    turned,
)

Index = npt.NDArray[np.int64]
_Result = TypeVar("_Result")
_Pixel = TypeVar("_Pixel", np.float32, np.bool_)

SMALLEST = 32
"""Pixels along the shorter side below which only equal pixels make a copy."""

CONSTANT = 2.0
"""Standard deviation of pixels, of 0..127.5, below which a picture shows nothing."""

ONE_STEP_LIMIT = 0.2
THUMBNAIL_LIMIT = 0.06
RESIDUE_LIMIT = 1.4

_LARGEST = 128  # pixels along a side on which pictures are compared
_NEIGHBOURS = 10  # of each picture that are looked at
_FARTHEST = 26  # in the deviation between a picture and its copies
_WAVES = 8  # cosine coefficients along each side
_DISCRIMINANTS = 32
_LEARNT_FROM = 1000  # pictures that the discriminants are learnt from
_PAIRS = 512  # thumbnails laid over each other at a time
_PICTURES = 16  # pictures laid over each other at a time

_SHIFT, _ZOOM = 0.05, 0.06  # the most that is laid over, of the side
_BLUR = 1.4  # deviation in pixels of the Gaussian that parts coarse from fine
_WINDOW = 9  # pixels along a side of the window that must not differ
_FLAT = 10  # variance of a thumbnail without content
_NOISE = 2.0  # variance of grays that differ in coarse form after JPEG of quality 60
_CUT_NOISE = 8.0  # the same where all is cut off in a channel: its noise has one side only
_LOST_SHARE = 0.1  # of the fine detail that one has lost, which may differ in coarse form


@dataclass(frozen=True)
class Overlay:
    """How pictures lie on others: g * picture(x * (1 + zoom) + shift) + offset.

    Attributes:
        right: (B,) pixels.
        down: (B,) pixels.
        zoom: (B,) share of the distance from the middle.
    """

    right: Float32
    down: Float32
    zoom: Float32


class Compared(NamedTuple):
    """Pictures as they are compared.

    Attributes:
        channels: (C, B, H, W), 0..255.
        gray: (B, H, W), 0..255.
        cut: (B, H, W), where a channel may have been cut off at black or white.
    """

    channels: Float32
    gray: Float32
    cut: npt.NDArray[np.bool_]


def find_links(prints: Fingerprints, read: Read, rows: Index) -> pd.DataFrame:
    """Return the links between copies; pictures that are joined by links are copies of one.

    The links do not depend on the order of the rows.

    Args:
        prints: of every row.
        read: returns the faces of row numbers, uint8 (B, H, W, C).
        rows: (M,) those that may be linked.

    Returns:
        `first`, `second`: rows; `turn`: the form (0..7) of the first that the second is;
        `score`: 1 for equal pixels, towards 0.5 the less alike; `shift`: as a share of the side.
    """
    order = rows[np.lexsort((prints.exact[rows], prints.unoriented[rows]))]
    _, starts, group = np.unique(prints.unoriented[order], return_index=True, return_inverse=True)
    leaders = order[starts]  # the same pixels in any order of rows
    equal = _equal_links(prints, leaders[group], order)
    shows = prints.deviation[leaders] >= CONSTANT
    near = _near_links(prints, read, leaders[shows])
    return pd.concat([equal, near], ignore_index=True)


def _links(first: Index, second: Index, turn: Any, score: Any, shift: Any) -> pd.DataFrame:  # noqa: ANN401
    columns = {"first": first, "second": second, "turn": turn, "score": score, "shift": shift}
    return pd.DataFrame(columns).astype({"turn": int, "score": float, "shift": float})


def _equal_links(prints: Fingerprints, leaders: Index, rows: Index) -> pd.DataFrame:
    """Link rows to their leaders, whose pixels are the same in some form."""
    others = leaders != rows
    first, second = leaders[others], rows[others]
    there, back = prints.turn[first], inverse_turns()[prints.turn[second]]
    return _links(first, second, joined_turns()[there, back], 1.0, 0.0)


@cache
def joined_turns() -> npt.NDArray[np.int64]:
    """Return the table (8, 8): which form it is to take one form, and of that another."""
    forms = [turned(np.arange(4).reshape(2, 2), turn).tolist() for turn in range(TURNS)]
    return np.array(
        [
            [forms.index(turned(np.array(form), turn).tolist()) for turn in range(TURNS)]
            for form in forms
        ]
    )


@cache
def inverse_turns() -> npt.NDArray[np.int64]:
    """Return for each form the one that undoes it."""
    back: Index = (joined_turns() == 0).argmax(axis=1)
    return back


def _near_links(prints: Fingerprints, read: Read, rows: Index) -> pd.DataFrame:
    """Link rows that show the same picture with other pixels."""
    if len(rows) < 2 or min(read(rows[:1]).shape[1:3]) < SMALLEST:
        return _links(rows[:0], rows[:0], 0, 1.0, 0.0)
    vectors = _vectors(prints, rows)
    candidates = rows[_candidates(vectors)]
    if not len(candidates):
        return _links(rows[:0], rows[:0], 0, 1.0, 0.0)
    parts = _in_parts(candidates, _PAIRS)
    matching = _on_all_cores(lambda pairs: _matching_thumbnails(prints, pairs), parts)
    pairs, turns = (np.concatenate(column) for column in zip(*matching, strict=True))
    return _confirmed(read, pairs, turns)


def _in_parts(values: npt.NDArray[Any], size: int) -> Iterator[npt.NDArray[Any]]:
    for start in range(0, max(len(values), 1), size):
        yield values[start : start + size]


def _on_all_cores(work: Callable[[Any], _Result], parts: Iterable[Any]) -> list[_Result]:
    """Return the results in the order of the parts; NumPy lets other threads run meanwhile.

    Each has one thread for its matrices, so that threads neither wait for each other nor change
    the last digits.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(thread_name_prefix="copies") as pool:
        return list(pool.map(work, parts))


# Step 1: candidates


def _vectors(prints: Fingerprints, rows: Index) -> Float32:
    """Return the discriminants (M, 32) of pictures; their turned forms have the same."""
    sample = prints.thumbnails[rows[:_LEARNT_FROM]].astype(np.float32)  # hashes order at random
    centre, projection = _discriminants(sample)
    parts = [
        (_folded_waves(prints.thumbnails[part].astype(np.float32)) - centre) @ projection
        for part in _in_parts(rows, _PAIRS)
    ]
    return np.concatenate(parts)


def _discriminants(pictures: Float32) -> tuple[Float32, Float32]:
    """Learn the centre (63,) and the projection (63, 32) from thumbnails."""
    own = _folded_waves(pictures)
    within = np.concatenate([_folded_waves(copy) - own for copy in _made_copies(pictures)])
    centre = own.mean(axis=0)
    noise = (within.T @ within).astype(np.float64) / len(within)
    noise += (1e-3 * np.trace(noise) / len(noise) + 1e-9) * np.eye(len(noise))
    spread = (own - centre).T.astype(np.float64) @ (own - centre) / len(own)
    whitening = np.linalg.inv(np.linalg.cholesky(noise))
    _, axes = np.linalg.eigh(whitening @ spread @ whitening.T)
    return centre, (whitening.T @ axes[:, : -_DISCRIMINANTS - 1 : -1]).astype(np.float32)


def _made_copies(pictures: Float32) -> Iterator[Float32]:
    """Yield pictures shifted by 4 % each way, brighter, and richer in contrast."""
    reach = np.full(len(pictures), 0.04 * pictures.shape[1], np.float32)
    for right, down in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        yield _warped(pictures, Overlay(right * reach, down * reach, 0 * reach))
    middle = pictures.mean((1, 2), keepdims=True)
    yield np.clip(1.2 * pictures, 0, 255)
    yield np.clip(middle + 1.2 * (pictures - middle), 0, 255)


def _folded_waves(pictures: Float32) -> Float32:
    """Return the cosine coefficients (M, 63), without the signs that turning changes."""
    numbers = np.arange(_WAVES)
    places = np.arange(pictures.shape[1]) + 0.5
    waves = np.cos(np.pi * numbers[:, None] * places / pictures.shape[1]).astype(np.float32)
    waves[1:] *= np.float32(np.sqrt(2))
    coefficients = (waves @ pictures @ waves.T).reshape(len(pictures), -1)[:, 1:]
    odd = ((numbers[:, None] | numbers) % 2).astype(bool).ravel()[1:]
    folded = np.where(odd, np.abs(coefficients), coefficients)
    length = np.maximum(np.linalg.norm(folded, axis=1, keepdims=True), np.float32(1e-3))
    vectors: Float32 = folded / length
    return vectors


def _candidates(vectors: Float32) -> Index:
    """Return pairs (P, 2) of places of near vectors, the lower one first."""
    from usearch.index import Index as NearestNeighbours

    places = np.arange(len(vectors))
    index = NearestNeighbours(
        ndim=vectors.shape[1], metric="l2sq", dtype="f32", expansion_add=64, expansion_search=64
    )
    index.add(places, vectors, threads=1)  # with more, its graph would depend on who comes first
    many = min(_NEIGHBOURS + 1, len(vectors))
    found = index.search(vectors, many)
    keys = found.keys.astype(np.int64).reshape(len(vectors), -1)
    own = np.repeat(places, keys.shape[1])
    wanted = (found.distances.ravel() <= _FARTHEST**2) & (own != keys.ravel())
    pairs = np.sort(np.stack([own, keys.ravel()], axis=1)[wanted], axis=1)
    numbers = np.unique(pairs[:, 0] * len(vectors) + pairs[:, 1])
    return np.stack(np.divmod(numbers, len(vectors)), axis=1)


# Step 2: thumbnails


def _matching_thumbnails(prints: Fingerprints, pairs: Index) -> tuple[Index, Index]:
    """Return the pairs whose thumbnails match, and the form of the second that does.

    A pair may come more than once: faces are nearly symmetric.
    """
    first, second = (prints.thumbnails[pairs[:, side]].astype(np.float32) for side in (0, 1))
    seen = [_uncut(prints.clipped[pairs[:, side]]) for side in (0, 1)]
    place, turns = np.nonzero(_misfits(first, second, *seen) <= ONE_STEP_LIMIT)
    second = _in_form(second[place], turns)
    weights = seen[0][place] * _in_form(seen[1][place], turns)
    matches = _thumbnail_residue(first[place], second, weights) <= THUMBNAIL_LIMIT
    return pairs[place[matches]], turns[matches]


def _uncut(clipped: npt.NDArray[np.uint8]) -> Float32:
    share = np.float32(1) - clipped.astype(np.float32) / np.float32(255)
    return share.astype(np.float32)


def _in_form(pictures: npt.NDArray[_Pixel], turns: Index) -> npt.NDArray[_Pixel]:
    """Return each picture (..., B, H, W) in a form of its own, 0..3."""
    mirrored, inverted = ((turns & bit > 0)[:, None, None] for bit in (1, 2))
    seen = np.where(mirrored, pictures[..., ::-1], pictures)
    return np.where(inverted, seen[..., ::-1, :], seen)


def _misfits(first: Float32, second: Float32, *seen: Float32) -> Float32:
    """Return what one step of gain, shift and zoom leaves over for four forms of the second.

    Returns:
        (B, 4): the most that any 3 x 3 places that are `seen` in both differ, as a share of the
        second's variance.
    """
    inner = np.s_[..., 1:-1, 1:-1]
    wanted = _centred(_four_forms(second)[inner].reshape(len(first), 4, -1))
    weights = (seen[0][:, None] * _four_forms(seen[1]))[inner]
    parts = _centred(_gain_and_moves(first)[inner].reshape(len(first), 4, -1))
    solved = np.linalg.solve(_normal(parts), parts @ wanted.transpose(0, 2, 1))
    left = (wanted - solved.transpose(0, 2, 1) @ parts).reshape(weights.shape)
    means = _averaging(SIDE - 2, 3)
    worst = (means @ (weights * left**2) @ means.T).max(axis=(2, 3))
    share: Float32 = worst / (wanted.var(axis=2) + _FLAT)
    return share


def _four_forms(pictures: Float32) -> Float32:
    """Return pictures as they are, mirrored, upside down, and both (B, 4, H, W)."""
    turns = [pictures, pictures[:, :, ::-1], pictures[:, ::-1], pictures[:, ::-1, ::-1]]
    return np.stack(turns, axis=1)


def _centred(values: Float32) -> Float32:
    centred: Float32 = values - values.mean(axis=-1, keepdims=True)
    return centred


def _normal(parts: Float32) -> Float32:
    """Return the matrix of the normal equations, which can be solved for flat pictures too."""
    ridge = np.float32(1e-3) * parts.shape[2] * np.eye(parts.shape[1], dtype=np.float32)
    normal: Float32 = parts @ parts.transpose(0, 2, 1) + ridge
    return normal


def _thumbnail_residue(first: Float32, second: Float32, weights: Float32) -> Float32:
    """Return the most that any 3 x 3 places differ, as a share of the second's variance (B,)."""
    overlay, gain, offset = _registered(first, second, weights, margin=1, steps=2)
    seen = gain[:, None, None] * _warped(first, overlay) + offset[:, None, None]
    inner = np.s_[:, 1:-1, 1:-1]
    left = (weights * (second - seen) ** 2)[inner]
    means = _averaging(SIDE - 2, 3)
    worst: Float32 = (means @ left @ means.T).max(axis=(1, 2))
    share: Float32 = worst / (second[inner].var(axis=(1, 2)) + _FLAT)
    return share


# Step 3: pictures


def _confirmed(read: Read, pairs: Index, turns: Index) -> pd.DataFrame:
    """Return links for the pairs that are copies, each in its best form."""
    parts = _in_parts(np.arange(len(pairs)), _PICTURES)
    measured = _on_all_cores(lambda part: _residues(read, pairs[part], turns[part]), parts)
    residue, shift = (np.concatenate(column) for column in zip(*measured, strict=True))
    links = _links(
        pairs[:, 0], pairs[:, 1], turns, RESIDUE_LIMIT / (RESIDUE_LIMIT + residue), shift
    )
    links = links[links["score"] >= 0.5]
    links = links.sort_values(["score", "turn"], ascending=[False, True], kind="stable")
    return links.drop_duplicates(["first", "second"])


def _residues(read: Read, pairs: Index, turns: Index) -> tuple[Float32, Float32]:
    """Return how much the coarse forms of pictures differ where they do most, and their shift.

    Compression and scaling take fine detail away and leave the coarse form; another expression
    changes the coarse form, and has as much detail. So the residue is the mean square of coarse
    differences in a window, over `_NOISE` and a share of the detail that one of the two has lost.

    Returns:
        (B,) of at least 0, 1 being what compression leaves; (B,) share of the side.
    """
    first, second = (_compared(read(pairs[:, side])) for side in (0, 1))
    channels, gray, lost = second
    seen_in_form = _in_form(channels, turns), _in_form(gray, turns), _in_form(lost, turns)
    plain, cut = _less_cut_first(first, Compared(*seen_in_form))
    height, width = plain.gray.shape[1:]
    blurs = _gaussian(height), _gaussian(width)
    uncut = _blurred((~cut.cut).astype(np.float32), blurs) > 0.98
    margin = int(np.ceil(_SHIFT * max(height, width)) + np.ceil(2 * _BLUR))
    overlay, gain, offset = _registered(
        _blurred(plain.gray, blurs),
        _blurred(cut.gray, blurs),
        uncut.astype(np.float32),
        margin=margin,
        steps=3,
    )
    moved = np.stack([_warped(channel, overlay) for channel in plain.channels], axis=-1)
    shades = gain[:, None, None, None] * moved + offset[:, None, None, None]
    seen = gray_of(np.clip(shades, 0, 255))
    shift: Float32 = np.hypot(overlay.right / width, overlay.down / height)
    return _worst_window(seen, cut, blurs, margin), shift


def _worst_window(
    seen: Float32, cut: Compared, blurs: tuple[Float32, Float32], margin: int
) -> Float32:
    """Return the largest coarse difference in a window, beside what noise and loss explain (B,)."""
    inner = np.s_[:, margin:-margin, margin:-margin]
    down, across = (_averaging(side - 2 * margin, _WINDOW) for side in seen.shape[1:])
    coarse = _blurred(cut.gray - seen, blurs)
    fine = [picture - _blurred(picture, blurs) for picture in (cut.gray, seen)]
    squares = [down @ part[inner] ** 2 @ across.T for part in (coarse, *fine)]
    noise = _NOISE + _CUT_NOISE * (down @ cut.cut[inner].astype(np.float32) @ across.T)
    lost = _LOST_SHARE * np.abs(squares[1] - squares[2])
    worst: Float32 = (squares[0] / (noise + lost)).max(axis=(1, 2))
    return worst


def _compared(faces: npt.NDArray[np.uint8]) -> Compared:
    """Return faces in the size in which they are compared."""
    down, across = (_reducing(side, min(side, _LARGEST)) for side in faces.shape[1:3])
    channels: Float32 = down @ np.moveaxis(faces, 3, 0).astype(np.float32) @ across.T
    cut = down @ cut_off(faces).astype(np.float32) @ across.T > 0
    return Compared(channels, gray_of(np.moveaxis(channels, 0, 3)), cut)


def _less_cut_first(first: Compared, second: Compared) -> tuple[Compared, Compared]:
    """Return of each pair first the picture that has lost less at black and white."""
    swapped = first.cut.mean(axis=(1, 2)) > second.cut.mean(axis=(1, 2))
    which = swapped[:, None, None]
    pairs = [np.where(which, (b, a), (a, b)) for a, b in zip(first, second, strict=True)]
    return Compared(*(a for a, _ in pairs)), Compared(*(b for _, b in pairs))


# How pictures are laid over each other


def _registered(
    pictures: Float32, wanted: Float32, weights: Float32, *, margin: int, steps: int
) -> tuple[Overlay, Float32, Float32]:
    """Lay pictures over others by so many steps of weighted least squares (Lucas and Kanade).

    Args:
        pictures: (B, H, W).
        wanted: (B, H, W), what they shall look like.
        weights: (B, H, W), 0..1; 0 where `wanted` does not count.
        margin: pixels along each edge that do not count.
        steps: number of steps.

    Returns:
        The overlay, the gain (B,) and the offset (B,).
    """
    count, height, width = pictures.shape
    inner = np.s_[:, margin:-margin, margin:-margin]
    many = (height - 2 * margin) * (width - 2 * margin)
    target, weight = (part[inner].reshape(count, 1, many) for part in (wanted, weights))
    weight = weight / (weight.sum(axis=2, keepdims=True) + 1e-6)
    middle = (weight * target).sum(axis=2)
    nothing = np.zeros(count, np.float32)
    overlay = Overlay(nothing, nothing, nothing)
    for step in range(steps + 1):
        parts = _gain_and_moves(_warped(pictures, overlay))[:, :, *inner[1:]]
        parts = parts.reshape(count, 4, many)
        means = (weight * parts).sum(axis=2)
        root = np.sqrt(weight * weight.shape[2])
        centred = (parts - means[..., None]) * root
        wanted_part = ((target - middle[..., None]) * root).transpose(0, 2, 1)
        solved = np.linalg.solve(_normal(centred), centred @ wanted_part)[..., 0]
        gain = np.clip(solved[:, 0], 0.5, 2)
        if step < steps:
            overlay = _moved(overlay, solved[:, 1:] / gain[:, None], height, width)
    return overlay, gain, middle[:, 0] - gain * means[:, 0]


def _gain_and_moves(pictures: Float32) -> Float32:
    """Return pictures and how they change when moved right, down and outwards (B, 4, H, W)."""
    down, right = np.gradient(pictures, axis=(1, 2))
    height, width = pictures.shape[1:]
    rows = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[:, None]
    columns = np.arange(width, dtype=np.float32) - (width - 1) / 2
    outwards = (right * columns + down * rows) / max(height, width)
    return np.stack([pictures, right, down, outwards], axis=1)


def _moved(overlay: Overlay, step: Float32, height: int, width: int) -> Overlay:
    """Return an overlay moved on by a step (B, 3), within what may be."""
    return Overlay(
        np.clip(overlay.right + step[:, 0], -_SHIFT * width, _SHIFT * width),
        np.clip(overlay.down + step[:, 1], -_SHIFT * height, _SHIFT * height),
        np.clip(overlay.zoom + step[:, 2] / max(height, width), -_ZOOM, _ZOOM),
    )


def _warped(pictures: Float32, overlay: Overlay) -> Float32:
    """Sample pictures where an overlay says, by cubic convolution (Keys 1981); edges go on."""
    down = _cubic(pictures.shape[1], overlay.down, overlay.zoom)
    across = _cubic(pictures.shape[2], overlay.right, overlay.zoom)
    warped = down @ pictures @ across.transpose(0, 2, 1)
    return warped.astype(np.float32, copy=False)


def _cubic(size: int, shift: Float32, zoom: Float32) -> Float32:
    """Return for each overlay the matrix (B, size, size) that samples one direction."""
    line = np.arange(size, dtype=np.float32)
    middle = np.float32((size - 1) / 2)
    places = (line - middle) * (1 + zoom[:, None]) + middle + shift[:, None]
    gaps = np.abs(np.clip(places, 0, size - 1)[..., None] - line).astype(np.float32)
    near = (1.5 * gaps - 2.5) * gaps * gaps + 1
    far = ((-0.5 * gaps + 2.5) * gaps - 4) * gaps + 2
    weights = np.where(gaps < 1, near, np.where(gaps < 2, far, 0))
    matrices: Float32 = (weights / weights.sum(axis=2, keepdims=True)).astype(np.float32)
    return matrices


def _gaussian(size: int) -> Float32:
    """Return the matrix (size, size) that blurs one direction."""
    line = np.arange(size)
    weights = np.exp(-0.5 * ((line - line[:, None]) / _BLUR) ** 2)
    matrix: Float32 = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


def _blurred(pictures: Float32, blurs: tuple[Float32, Float32]) -> Float32:
    blurred = blurs[0] @ pictures @ blurs[1].T
    return blurred.astype(np.float32, copy=False)


def _averaging(size: int, window: int) -> Float32:
    """Return the matrix that averages every window within one direction."""
    starts = np.arange(size - window + 1)[:, None]
    line = np.arange(size)
    within = (line >= starts) & (line < starts + window)
    matrix: Float32 = within.astype(np.float32) / np.float32(window)
    return matrix


def _reducing(size: int, smaller: int) -> Float32:
    """Return the matrix (smaller, size) that averages areas of one direction."""
    edges = np.linspace(0, size, smaller + 1)
    line = np.arange(size)
    overlap = np.minimum(line + 1, edges[1:, None]) - np.maximum(line, edges[:-1, None])
    matrix: Float32 = (np.clip(overlap, 0, None) * smaller / size).astype(np.float32)
    return matrix
