"""Do maps find a planted shortcut? Small networks that had one beside networks that had none.

Faces are generated, happy or angry. A shortcut is a coloured patch in a corner, or glasses: in the
train faces of some networks it is tied to "happy", in those of the others it comes as often with
either. All are shown the same test faces, each of which has it, and explained for "happy".

python -m tests.simulations.shortcut
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facebias.cam.attention import attention
from facebias.cam.between import compare_attention
from facebias.cam.explain import class_maps
from facebias.cam.faithfulness import (
    Kind,
    against_random,
    agreement_with_change,
    deletion_curve,
    insertion_curve,
    random_maps,
)
from facebias.cam.regions import RegionMasks
from facebias.cam.sanity import cascade, stability
from facebias.faces.population import draw_faces, factors_of
from facebias.faces.regions import ZONES, zones
from facebias.faces.render import render_face
from facebias.models.cnn import CNN

Shortcut = Literal["patch", "glasses"]

SHORTCUTS: tuple[Shortcut, ...] = ("patch", "glasses")
TRAIN_FACES, TEST_PERSONS = 400, 100
MODELS, EPOCHS, BATCH = 10, 6, 32
SIDE, PATCH = 48, 8  # pixels
COLOUR = (230, 40, 200)
EXPRESSIONS = ("anger", "happy")
HAPPY = 1


@dataclass(frozen=True, eq=False)
class Faces:
    """Generated faces, each without and with glasses.

    Attributes:
        plain: (N, H, W, 3), bytes.
        worn: the same faces with glasses.
        regions: (N, H, W), places in `ZONES`, of those with glasses.
        labels: (N,), places in `EXPRESSIONS`.
        persons: (N,).
    """

    plain: NDArray[np.uint8]
    worn: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    labels: NDArray[np.int64]
    persons: NDArray[np.int64]


@cache
def faces_to_learn() -> Faces:
    """Return faces of as many persons, each with one expression."""
    return _faces([(number, number % 2) for number in range(TRAIN_FACES)], seed=1)


@cache
def faces_to_explain() -> Faces:
    """Return faces of persons, each angry and happy: first all angry, then all happy."""
    persons = range(TEST_PERSONS)
    return _faces([(person, label) for label in (0, 1) for person in persons], seed=2)


def _faces(wanted: list[tuple[int, int]], seed: int) -> Faces:
    people = draw_faces(max(person for person, _ in wanted) + 1, seed=seed, faces_per_identity=1)
    plain, worn = [], []
    for person, label in wanted:
        own = factors_of(people.iloc[person])
        shown = {EXPRESSIONS[label]: 1.0}
        factors = replace(own, expression=shown, intensity=1.0, glasses="none")
        plain.append(render_face(factors, SIDE))
        worn.append(render_face(replace(factors, glasses="square"), SIDE))
    return Faces(
        np.stack([face.image for face in plain]),
        np.stack([face.image for face in worn]),
        zones(np.stack([face.regions for face in worn])),
        np.array([label for _, label in wanted]),
        np.array([person for person, _ in wanted]),
    )


def with_shortcut(faces: Faces, kind: Shortcut, chosen: NDArray[np.bool_]) -> Tensor:
    """Return images (N, 3, H, W), -2..2, the chosen ones (N,) with the shortcut."""
    if kind == "glasses":
        images = np.where(chosen[:, None, None, None], faces.worn, faces.plain)
    else:
        images = faces.plain.copy()
        images[_corners(len(chosen)) & chosen[:, None, None]] = COLOUR
    floats = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return (floats / 255 - 0.5) / 0.25


def shortcut_regions(faces: Faces, kind: Shortcut) -> RegionMasks:
    """Return where the shortcut is in each face; glasses are frames, without what they frame."""
    if kind == "glasses":
        on_it = faces.regions == ZONES.index("glasses")
    else:
        on_it = _corners(len(faces.labels))
    return RegionMasks((kind,), on_it[:, None], "masks", on_it)


def _corners(count: int) -> NDArray[np.bool_]:
    """Return a patch in one of the four corners of each image, (N, H, W)."""
    below, right = np.random.default_rng(3).integers(0, 2, (2, count, 1)) * (SIDE - PATCH)
    pixel = np.arange(SIDE)
    rows, columns = ((pixel >= start) & (pixel < start + PATCH) for start in (below, right))
    return np.asarray(rows[:, :, None] & columns[:, None, :])


def trained(kind: Shortcut, tie: float, seed: int) -> nn.Module:
    """Train a network.

    Args:
        kind: of the shortcut.
        tie: share of the happy faces that have it, and of the angry ones that do not: 1 is a
            perfect shortcut, 0.5 none.
        seed: of the network, the order, and of who has the shortcut.
    """
    torch.manual_seed(seed)
    faces = faces_to_learn()
    labels = torch.from_numpy(faces.labels)
    follows = np.random.default_rng([seed, round(100 * tie)]).random(len(labels)) < tie
    images = with_shortcut(faces, kind, (faces.labels == HAPPY) == follows)
    model = CNN([16, 32], [3, 5], classes=2, channels=3, height=SIDE, width=SIDE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for start in range(0, len(images), BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            torch.autograd.backward(loss)
            optimizer.step()
    return model.eval()


@dataclass(frozen=True, eq=False)
class Explained:
    """A network's answers and maps for the test faces.

    Attributes:
        maps: (N, h, w), for "happy", of faces that all have the shortcut.
        accuracy: on the faces without it.
        fooled: share of the angry faces with it that are taken for happy ones.
    """

    maps: NDArray[np.float32]
    accuracy: float
    fooled: float


def explained(model: nn.Module, kind: Shortcut) -> Explained:
    """Explain "happy" in the test faces with a shortcut."""
    faces = faces_to_explain()
    everyone = np.ones(len(faces.labels), bool)
    with torch.no_grad():
        answers = model(with_shortcut(faces, kind, ~everyone)).argmax(dim=1).numpy()
    maps = class_maps(model, with_shortcut(faces, kind, everyone), happy(len(everyone)))
    fooled = (maps.logits.argmax(axis=1) == HAPPY)[faces.labels != HAPPY]
    return Explained(maps.values, float((answers == faces.labels).mean()), float(fooled.mean()))


def happy(count: int) -> Tensor:
    """Return the target of so many images."""
    return torch.full((count,), HAPPY)


def attention_of(found: list[Explained], kind: Shortcut, variant: str) -> pd.DataFrame:
    """Return the attention of the networks of one variant, a row a network and face."""
    masks = shortcut_regions(faces_to_explain(), kind)
    tables = [
        attention(each.maps, masks).assign(run=f"{variant} {seed}", variant=variant, seed=seed)
        for seed, each in enumerate(found)
    ]
    return pd.concat(tables).rename_axis("id").reset_index()


def shares(table: pd.DataFrame, kind: Shortcut) -> NDArray[np.float64]:
    """Return the mean share of the maps' mass on the shortcut, a value a network."""
    means = table.groupby("run", sort=False)[f"share_{kind}"].mean()
    return np.asarray(means, np.float64)


def auc(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return how often a value of the first is above one of the second; ties count half.

    >>> auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    above, equal = first[:, None] > second, first[:, None] == second
    return float((above + equal / 2).mean())


def print_shortcuts(ties: tuple[float, ...] = (1.0, 0.9, 0.75)) -> None:
    """Print a line of a Markdown table for each shortcut and how strictly it is tied."""
    print(
        "| shortcut | tied in | share of mass on it (least to most) | of networks without one | "
        "its area | AUC | p | angry faces taken for happy | of networks without one |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for kind in SHORTCUTS:
        area = float(shortcut_regions(faces_to_explain(), kind).areas().mean())
        clean = [explained(trained(kind, 0.5, seed), kind) for seed in range(MODELS)]
        without = attention_of(clean, kind, "clean")
        for tie in ties:
            found = [explained(trained(kind, tie, seed), kind) for seed in range(MODELS)]
            table = attention_of(found, kind, "shortcut")
            ours, theirs = shares(table, kind), shares(without, kind)
            test = compare_attention(pd.concat([table, without])).iloc[0]
            fooled, others = (_fooled(each) for each in (found, clean))
            cells = [
                *(kind, _percent(tie), _range(ours), _range(theirs), _percent(area, 1)),
                *(
                    f"{auc(ours, theirs):.2f}",
                    f"{test['p']:.1g}",
                    _percent(fooled),
                    _percent(others),
                ),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _fooled(found: list[Explained]) -> float:
    return float(np.mean([each.fooled for each in found]))


def _range(values: NDArray[np.float64]) -> str:
    mean, least, most = 100 * values.mean(), 100 * values.min(), 100 * values.max()
    return f"{mean:.1f} % ({least:.1f} to {most:.1f})"


@dataclass(frozen=True, eq=False)
class Meaning:
    """What says whether the maps of networks without a shortcut mean anything.

    Attributes:
        gains: deletion and insertion of the first network against random maps.
        cascade: its maps while its weights are randomised.
        stability: the networks against each other.
        agreement: its maps against the pixels that differ between angry and happy, a row a face.
    """

    gains: pd.DataFrame
    cascade: pd.DataFrame
    stability: pd.DataFrame
    agreement: pd.DataFrame


def meaning(models: list[nn.Module]) -> Meaning:
    """Put the maps of networks to the test, on faces without a shortcut."""
    faces = faces_to_explain()
    nobody = np.zeros(len(faces.labels), bool)
    images, targets = with_shortcut(faces, "patch", nobody), happy(len(nobody))
    maps = {f"seed {n}": class_maps(each, images, targets).values for n, each in enumerate(models)}
    first, model = maps["seed 0"], models[0]
    true, chance = (_curves(model, images, each) for each in (first, random_maps(first)))
    return Meaning(
        against_random(true, chance, faces.persons),
        cascade(model, images, targets, persons=faces.persons),
        stability(maps, faces.persons),
        agreement_with_change(first, images, images.roll(TEST_PERSONS, dims=0)),
    )


def _curves(
    model: nn.Module, images: Tensor, maps: NDArray[np.floating]
) -> dict[Kind, NDArray[np.floating]]:
    targets = happy(len(maps))
    return {
        "deletion": deletion_curve(model, images, maps, targets),
        "insertion": insertion_curve(model, images, maps, targets),
    }


def print_meaning(found: Meaning) -> None:
    """Print what was found as two Markdown tables and two sentences."""
    print("\n| area under the curve | by the map | by random maps | gain |\n|---|---|---|---|")
    for row in found.gains.itertuples():
        print(f"| {row.kind} | {row.area:.3f} | {row.random_area:.3f} | {_interval(row)} |")
    print("\n| random from the head back to | rank correlation with the trained map |\n|---|---|")
    for row in found.cascade.itertuples():
        print(f"| {row.layer or 'nothing'} | {_interval(row)} |")
    pairs = found.stability["correlation"]
    print(
        f"\nTwo seeds: a mean rank correlation of {pairs.mean():.2f} ({pairs.min():.2f} to "
        f"{pairs.max():.2f} over {len(pairs)} pairs)."
    )
    means, on_more = found.agreement.mean(), (found.agreement["density_changed"] > 1).mean()
    print(
        f"Pixels in which angry and happy differ: {_percent(means['area_changed'], 1)} of the "
        f"image, {_percent(means['share_changed'], 1)} of the mass; denser there than elsewhere "
        f"in {_percent(on_more)} of the faces; rank correlation {means['correlation']:.2f}."
    )


def _interval(row: Any) -> str:  # noqa: ANN401 - a named tuple of pandas
    value = row.gain if "gain" in row._fields else row.correlation
    return f"{value:.3f} ({row.low:.3f} to {row.high:.3f})"


def main() -> None:
    """Print all tables."""
    torch.set_num_threads(1)
    print_shortcuts()
    print_meaning(meaning([trained("patch", 0.5, seed) for seed in range(5)]))


if __name__ == "__main__":
    main()
