"""How often intervals over seeds and faces hold the truth, where both effects are planted."""

from collections import Counter
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from facebias.fairness.crossed import cross, estimate, share_bounds
from facebias.fairness.predictions import Codes, GroupCodes, ScoredRows

FloatArray = npt.NDArray[np.float64]

NORMAL = NormalDist()
SETS = 1000


@dataclass(frozen=True)
class Planted:
    """A test set and what seeds do on it; effects are standard deviations of probits.

    Attributes:
        faces: of the test set, half of each group.
        per_person: faces a person.
        seed: effect of a seed on all faces.
        seed_group: effect of a seed on each group.
        rights: share that is right in each group, over all seeds and faces.
    """

    faces: int = 600
    per_person: int = 1
    seed: float = 0.1
    seed_group: float = 0.05
    rights: tuple[float, float] = (0.85, 0.8)

    @property
    def persons(self) -> Codes:
        return np.arange(self.faces) // self.per_person

    def hardness(self, random: np.random.Generator) -> FloatArray:
        """Draw the effect of each face, of which persons have a part in common."""
        own, shared = random.standard_normal((2, self.faces))
        split = (1.5, 0.0) if self.per_person == 1 else (0.9, 1.2)
        return np.asarray(split[0] * own + split[1] * shared[self.persons])

    def right(self, seeds: int, hardness: FloatArray, random: np.random.Generator) -> Codes:
        """Draw whether each seed is right on each face, shape (R, N)."""
        total = np.sqrt(1 + 1.5**2 + self.seed**2 + self.seed_group**2)
        base = np.array([NORMAL.inv_cdf(share) for share in self.rights]) * total
        effects = base + self.seed * random.standard_normal((seeds, 1))
        effects = effects + self.seed_group * random.standard_normal((seeds, 2))
        chance = random.standard_normal((seeds, self.faces))
        return np.asarray(effects[:, self.persons % 2] + hardness > chance, dtype=np.int64)


def covered(planted: Planted, seeds: int) -> dict[str, float]:
    """Return the share of intervals, in percent, that hold the truth."""
    random = np.random.default_rng(seeds)
    persons = planted.persons
    mean, gap = sum(planted.rights) / 2, planted.rights[0] - planted.rights[1]
    whole = GroupCodes("all", ("all",), np.zeros_like(persons))
    sexes = GroupCodes("sex", ("f", "m"), persons % 2)
    labels = random.integers(2, size=planted.faces)
    known = persons if planted.per_person > 1 else None
    rows = ScoredRows(pd.DataFrame(), labels, labels, known, None, 0)
    hits: Counter[str] = Counter()
    for _ in range(SETS):
        hardness = planted.hardness(random)
        variants = [
            np.where(planted.right(number, hardness, random), labels, 1 - labels)
            for number in (seeds, seeds + 1)
        ]
        for name, metric, codes, place, compared, truth in (
            ("accuracy", "accuracy", whole, (0,), 1, mean),
            ("macro recall", "macro_recall", whole, (0,), 1, mean),
            ("gap", "accuracy", sexes, (0, 1), 1, gap),
            ("difference", "accuracy", whole, (0,), 2, 0.0),
            ("difference of gaps", "accuracy", sexes, (0, 1), 2, 0.0),
        ):
            crossed = cross(metric, rows, variants[:compared], codes, 2, min_class=5)
            found = estimate(crossed, place, 0.95)
            value = found.values[0] - sum(found.values[1:])
            low, high = value - found.half_width, value + found.half_width
            if compared == len(place) == 1:
                low, high = share_bounds(value, found.half_width, int(crossed.rarest[0]))
            hits[name] += low <= truth <= high
    return {name: 100 * count / SETS for name, count in hits.items()}


PLANTED = {
    "faces alone": Planted(seed=0, seed_group=0),
    "both": Planted(),
    "seeds rule": Planted(seed=0.5, seed_group=0.3),
    "persons": Planted(per_person=4),
    "nearly all right": Planted(rights=(0.97, 0.95)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int, name: str) -> None:
    found = covered(PLANTED[name], seeds)
    print(seeds, name, found)
    # Sets tell a share within 1.5 points; the upper bounds stand in facebias.fairness.crossed, and
    # are higher for differences, which have a term more.
    highest = {2: 100.0, 3: 99.7, 5: 99.0, 10: 98.0}[seeds]
    assert min(found.values()) >= 93
    assert max(found.values()) <= highest


@pytest.mark.slow
def test_an_interval_over_the_seeds_alone_would_not_do() -> None:
    """The same simulation finds the fault it is there for."""
    planted, random = PLANTED["faces alone"], np.random.default_rng(0)
    held = 0
    for _ in range(SETS):
        rights = planted.right(5, planted.hardness(random), random).mean(axis=1)
        half = 2.776 * np.std(rights, ddof=1) / np.sqrt(5)
        held += bool(abs(np.mean(rights) - 0.825) <= half)
    assert held / SETS < 0.8
