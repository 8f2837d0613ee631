"""Do maps say what the network goes by? Deletion, insertion, and what truly differs in twins.

A map of any network looks convincing. Here it is put to the test: the network is asked again while
the image is taken away, or comes back, in the order that the map gives. Against it stand random
maps of the same image.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from facebias.cam.averages import Persons, average
from facebias.cam.explain import resize_maps
from facebias.cam.perturbation import floating, mean_colour
from facebias.cam.similarity import rank_correlation
from facebias.cam.state import explaining
from facebias.cam.targets import Targets, check_targets, part, settled
from facebias.errors import ConfigError, DataError

Baseline: TypeAlias = Literal["blur", "mean"]
"""What stands for a pixel that is taken away: the image blurred, or its mean colour."""

Kind: TypeAlias = Literal["deletion", "insertion"]

STEPS = 20
"""Parts of equal size in which an image is taken away or comes back."""

BLUR = 1 / 8
"""Standard deviation of the blur, in shorter sides of the image."""

CHANGED = 0.1
"""A pixel counts as changed from this share of the largest change of its face."""

_CHUNK = 64  # faces whose resized maps are in memory together


def deletion_curve(
    model: nn.Module,
    images: Tensor,
    maps: NDArray[np.floating],
    targets: Targets,
    *,
    steps: int = STEPS,
    baseline: Baseline = "blur",
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Ask the model while the image is taken away, where the map is highest first.

    The sooner the probability falls, the better the map names what the network goes by. The
    order is that of the map at the size of the image, bilinear between the middles of the cells.
    Pixels with the same value, such as all zeros of a map, go in equal parts at the same time.

    Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC
    2018. There, deleted pixels are black; black would leave dark skin as it is.

    Args:
        model: maps images to logits and normalises inside; it is left as found.
        images: (N, C, H, W), as the model takes them.
        maps: (N, h, w) with h <= H and w <= W, NaN throughout where undefined.
        targets: as `class_maps` takes them; "predicted" is what is answered to the whole image.
        steps: in how many parts of equal size.
        baseline: "blur" (Gaussian, `BLUR` of the shorter side) or "mean" (the image's mean of
            each channel). The mean leaves nothing; but a half of a face on a plain ground is a
            picture that no network was trained on. The blur is closer to those, and leaves
            coarse shapes and colours.
        batch_size: images in one forward. Beside its inputs the function holds a few times as
            many images and maps, however many there are.

    Returns:
        (N, steps + 1), 0..1: the probability of the target with 0, 1 / steps, ... all of the image
        taken away; of a contrast that of the first among the two. NaN where the map is undefined.

    Raises:
        ConfigError: no steps, an unknown baseline, or a batch size below 1.
        DataError: images, maps and targets that do not fit each other.
        ModelError: as of `class_maps`, or a model that answers otherwise to floats than to bytes.
    """
    return _curves(model, images, maps, targets, steps, baseline, batch_size, inserted=False)


def insertion_curve(
    model: nn.Module,
    images: Tensor,
    maps: NDArray[np.floating],
    targets: Targets,
    *,
    steps: int = STEPS,
    baseline: Baseline = "blur",
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Ask the model while the image comes back, where the map is highest first.

    The sooner the probability rises, the better. It begins with what `deletion_curve` ends with.

    Args:
        model: see `deletion_curve`.
        images: see `deletion_curve`.
        maps: see `deletion_curve`.
        targets: see `deletion_curve`.
        steps: see `deletion_curve`.
        baseline: see `deletion_curve`.
        batch_size: see `deletion_curve`.

    Returns:
        (N, steps + 1), 0..1: the probability with 0, 1 / steps, ... all of the image back.

    Raises:
        ConfigError: see `deletion_curve`.
        DataError: see `deletion_curve`.
        ModelError: see `deletion_curve`.
    """
    return _curves(model, images, maps, targets, steps, baseline, batch_size, inserted=True)


def area(curves: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the area under curves over the share of the image, by trapezia.

    Args:
        curves: (N, steps + 1), 0..1, at equal distances.

    Returns:
        (N,), 0..1; low is good for deletion and high for insertion. NaN where undefined.

    >>> area(np.array([[1.0, 0.5, 0.0], [1.0, 1.0, 1.0]]))
    array([0.5, 1. ])
    """
    numbers = np.asarray(curves, np.float64)
    return np.asarray((numbers[:, 1:] + numbers[:, :-1]).mean(axis=1) / 2)


def random_maps(maps: NDArray[np.floating], *, seed: int = 0) -> NDArray[np.floating]:
    """Return maps that look like these and point elsewhere, by chance.

    Each map is moved by a random number of cells in both directions, what leaves on one side coming
    in on the other, and mirrored or not: its values and its smoothness stay, only the place is
    random. So what maps gain over these is gained by where they point.

    Args:
        maps: (N, h, w).
        seed: of the draws, one for each map.

    Returns:
        (N, h, w); NaN stays NaN.
    """
    rng = np.random.default_rng(seed)
    count, height, width = maps.shape
    rows = (np.arange(height) + rng.integers(height, size=(count, 1))) % height
    columns = (np.arange(width) + rng.integers(width, size=(count, 1))) % width
    rows = np.where(rng.random((count, 1)) < 0.5, rows, rows[:, ::-1])
    columns = np.where(rng.random((count, 1)) < 0.5, columns, columns[:, ::-1])
    moved: NDArray[np.floating] = maps[
        np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return moved


def against_random(
    curves: Mapping[Kind, NDArray[np.floating]],
    random: Mapping[Kind, NDArray[np.floating]],
    persons: Persons = None,
) -> pd.DataFrame:
    """Say how much sooner a network loses, or finds, its answer by its map than by chance.

    Args:
        curves: "deletion" and "insertion", or one of them: (N, steps + 1), of the maps.
        random: the same of `random_maps` of the same faces.
        persons: who each face is, (N,); None where each is a person of its own.

    Returns:
        One row a kind: kind, area, random_area (means over faces), gain (how much lower the area
        is in deletion and higher in insertion, the mean over faces), low and high (its interval at
        95 %, see `average`; above 0 the maps beat chance), n (faces), units (persons). Faces
        without a map are left out.

    Raises:
        DataError: curves of other faces, or of another kind.
    """
    if set(curves) != set(random) or any(
        curves[kind].shape != random[kind].shape for kind in curves
    ):
        raise DataError(
            f"Curves {_shapes(curves)} and of random maps {_shapes(random)}.",
            "the same kinds of the same faces",
        )
    found = []
    for kind in curves:
        ours, theirs = area(curves[kind]), area(random[kind])
        known = np.isfinite(ours) & np.isfinite(theirs)
        gain = (theirs - ours) if kind == "deletion" else (ours - theirs)
        mean = average(np.where(known, gain, np.nan), persons)
        found.append(
            {"kind": kind, "area": average(ours[known]).value}
            | {"random_area": average(theirs[known]).value, "gain": mean.value}
            | {"low": mean.low, "high": mean.high, "n": mean.n, "units": mean.units}
        )
    return pd.DataFrame(found)


def agreement_with_change(
    maps: NDArray[np.floating], images: Tensor, twins: Tensor
) -> pd.DataFrame:
    """Hold maps against the pixels that differ between faces and their twins.

    Twins of generated faces that differ in the expression alone show in which pixels an expression
    can be seen at all. Of a network that reads expressions, the map should lie there. It need not
    cover all of it: a part may be enough for an answer.

    Args:
        maps: of the images, (N, h, w), not negative, NaN throughout where undefined.
        images: (N, C, H, W) with h <= H and w <= W.
        twins: of the same faces, (N, C, H, W).

    Returns:
        A row a face:

        - `correlation`: Spearman's, over the cells, of the map and the mean change in each cell,
          -1..1;
        - `share_changed`: the share of the map's mass on changed pixels, 0..1; a pixel counts as
          changed from `CHANGED` of the face's largest change, in the mean over channels;
        - `area_changed`: the share of the pixels that are changed, which is what an even map has;
        - `density_changed`: the share of the mass by that of the pixels; above 1 the map prefers
          changed pixels.

        NaN where the map is undefined or zero everywhere, or nothing differs.

    Raises:
        DataError: shapes that do not fit each other.
    """
    _refuse_unfit(maps, images)
    if images.shape != twins.shape:
        raise DataError(
            f"Images of shape {tuple(images.shape)} and twins of {tuple(twins.shape)}.",
            "a twin for each image",
        )
    parts = [slice(start, start + _CHUNK) for start in range(0, len(maps), _CHUNK)]
    rows = [_agreement(maps[some], images[some], twins[some]) for some in parts]
    return pd.concat(rows, ignore_index=True)


def _agreement(maps: NDArray[np.floating], images: Tensor, twins: Tensor) -> pd.DataFrame:
    change = (images.cpu().float() - twins.cpu().float()).abs().mean(dim=1)
    cells = functional.adaptive_avg_pool2d(change, maps.shape[1:]).numpy()
    largest = change.amax(dim=(1, 2), keepdim=True)
    changed = ((change >= CHANGED * largest) & (largest > 0)).numpy()
    fine = resize_maps(np.asarray(maps, np.float32), (change.shape[1], change.shape[2]))
    size = changed.mean(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        share = (fine * changed).sum(axis=(1, 2)) / fine.sum(axis=(1, 2))
        share[size == 0] = np.nan
        return pd.DataFrame(
            {"correlation": rank_correlation(maps, cells), "share_changed": share}
            | {"area_changed": np.where(size > 0, size, np.nan), "density_changed": share / size}
        )


def _curves(
    model: nn.Module,
    images: Tensor,
    maps: NDArray[np.floating],
    targets: Targets,
    steps: int,
    baseline: Baseline,
    batch_size: int,
    *,
    inserted: bool,
) -> NDArray[np.float32]:
    """Return the probability of the target in each state of each image, (N, steps + 1)."""
    _refuse_settings(steps, baseline, batch_size)
    _refuse_unfit(maps, images)
    check_targets(targets, len(images))
    device = next((parameter.device for parameter in model.parameters()), images.device)
    found = np.empty((len(images), steps + 1), np.float32)
    with explaining(model), torch.no_grad():
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            whole = images[rows].to(device, copy=True)
            logits = model(whole)
            classes = settled(part(targets, rows), logits)
            floats = floating(model, whole, logits)
            states = _states(floats, maps[rows], steps, baseline, inserted=inserted)
            for step, state in enumerate(states):
                found[rows, step] = _probability(model(state), *classes).cpu().numpy()
    found[~np.isfinite(maps).all(axis=(1, 2))] = np.nan
    return found


def _states(
    images: Tensor,
    maps: NDArray[np.floating],
    steps: int,
    baseline: Baseline,
    *,
    inserted: bool,
) -> Iterator[Tensor]:
    """Yield the images with ever more taken away, or ever more back."""
    base = mean_colour(images) if baseline == "mean" else _blurred(images)
    first, last = _turns(maps, (images.shape[2], images.shape[3]), images.device)
    for step in range(steps + 1):
        reached = step / steps * first[0].numel()
        moved = ((reached - first) / (last - first)).clamp(0, 1)[:, None].to(images.dtype)
        yield images + (base - images) * (1 - moved if inserted else moved)


def _turns(
    maps: NDArray[np.floating], size: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return how many pixels go before each pixel, and with it as many as are equal, (N, H, W)."""
    values = np.asarray(maps, np.float32)
    highest = values.max(axis=(1, 2), keepdims=True)
    scaled = np.nan_to_num(values / np.where(highest > 0, highest, 1))
    fine = torch.from_numpy(resize_maps(scaled.astype(np.float32), size)).to(device)
    # What only the rounding of the resizing tells apart is equal.
    flat = fine.flatten(1).round(decimals=6).contiguous()
    ordered, pixels = flat.sort(dim=1).values, flat.shape[1]
    first = pixels - torch.searchsorted(ordered, flat, right=True)
    last = pixels - torch.searchsorted(ordered, flat)
    return first.view(fine.shape).float(), last.view(fine.shape).float()


def _blurred(images: Tensor) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur

    deviation = BLUR * min(images.shape[2:])
    side = 2 * max(1, int(3 * deviation)) + 1
    blurred: Tensor = gaussian_blur(images, [side, side], [deviation, deviation])
    return blurred


def _probability(logits: Tensor, positive: Tensor, negative: Tensor | None) -> Tensor:
    """Return the probability of a class, of a contrast that among the two, (N,)."""
    rows = torch.arange(len(logits), device=logits.device)
    if negative is None:
        return logits.float().softmax(dim=1)[rows, positive]
    return (logits[rows, positive] - logits[rows, negative]).float().sigmoid()


def _refuse_settings(steps: int, baseline: str, batch_size: int) -> None:
    if steps < 1 or batch_size < 1:
        raise ConfigError(f"{steps} steps in batches of {batch_size}.", "1 or more")
    if baseline not in get_args(Baseline):
        raise ConfigError(f"The baseline {baseline!r}.", " or ".join(get_args(Baseline)))


def _refuse_unfit(maps: NDArray[np.floating], images: Tensor) -> None:
    fits = maps.ndim == 3 and images.ndim == 4 and len(maps) == len(images) > 0
    if not fits or maps.shape[1] > images.shape[2] or maps.shape[2] > images.shape[3]:
        raise DataError(
            f"Maps of shape {maps.shape} for images of shape {tuple(images.shape)}.",
            "one map (h, w) an image (C, H, W), no finer than it, N >= 1",
        )


def _shapes(curves: Mapping[Kind, NDArray[np.floating]]) -> str:
    return ", ".join(f"{kind} {curve.shape}" for kind, curve in curves.items()) or "none"
