"""Clusters of copies: which face each copy goes back to, and how it lies on it."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.duplicates import inverse_turns, joined_turns


@dataclass(frozen=True)
class Clusters:
    """Which faces are copies of which, in the order of a table's rows.

    Attributes:
        first: position of the face that its cluster is known by; its own where it is alone.
        turn: the form (0..7) of the first that it is.
        score: of the weakest link on the way to the first, 0.5..1; 1 for equal pixels.
        shift: of the links on that way together, as a share of the side.
    """

    first: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]


def clusters(links: pd.DataFrame, order: npt.NDArray[np.int64], count: int) -> Clusters:
    """Join linked faces; each cluster is known by the one that comes first in an order.

    Args:
        links: between positions, as `find_links` returns them.
        order: the positions that are used.
        count: number of positions.
    """
    found = Clusters(np.arange(count), np.zeros(count, int), np.ones(count), np.zeros(count))
    ways, seen = _ways(links, order), set[int]()
    for start in order.tolist():
        if start in seen or start not in ways:
            continue
        seen.add(start)
        waiting = [start]
        for place in waiting:  # grows meanwhile, so the shortest ways come first
            for score, other, turn, shift in ways[place]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
                    found.first[other] = start
                    found.turn[other] = joined_turns()[found.turn[place], turn]
                    found.score[other] = min(found.score[place], score)
                    found.shift[other] = found.shift[place] + shift
    return found


def _ways(
    links: pd.DataFrame, order: npt.NDArray[np.int64]
) -> dict[int, list[tuple[float, int, int, float]]]:
    """Return for each linked position the others: score, position, turn, shift; the best first.

    Of links as good, the one to the face that comes first: the order of links plays no part.
    """
    ways, back = defaultdict(list), inverse_turns()
    for first, second, turn, score, shift in links.itertuples(index=False):
        ways[first].append((score, second, turn, shift))
        ways[second].append((score, first, int(back[turn]), shift))
    rank = {place: number for number, place in enumerate(order.tolist())}
    for others in ways.values():
        others.sort(key=lambda way: (-way[0], rank.get(way[1], len(rank)), *way[2:]))
    return ways
