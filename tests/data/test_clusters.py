from random import Random

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.clusters import clusters

COUNT = 12
LINKS = st.lists(
    st.tuples(
        st.integers(0, COUNT - 1),
        st.integers(0, COUNT - 1),
        st.integers(0, 7),
        st.sampled_from([0.5, 0.7, 1.0]),
        st.sampled_from([0.0, 0.02]),
    ).filter(lambda link: link[0] != link[1]),
    max_size=20,
)
COLUMNS = ["first", "second", "turn", "score", "shift"]


def told(
    links: list[tuple[int, int, int, float, float]], place: list[int], used: list[int]
) -> list[tuple[int, int, float, float]]:
    """Return first, turn, score and shift of each face, where faces stand at other places."""
    moved = [(place[first], place[second], *rest) for first, second, *rest in links]
    order = np.array([place[face] for face in used], np.int64)
    found = clusters(pd.DataFrame(moved, columns=COLUMNS), order, COUNT)
    face_at = np.argsort(place)
    columns = (face_at[found.first], found.turn, found.score, found.shift)
    return list(zip(*(column[place].tolist() for column in columns), strict=True))


@given(LINKS, st.permutations(range(COUNT)), st.integers(1, COUNT), st.randoms())
def test_the_order_of_rows_and_of_links_plays_no_part(
    links: list[tuple[int, int, int, float, float]], used: list[int], count: int, random: Random
) -> None:
    place, shuffled = list(range(COUNT)), links.copy()
    expected = told(links, place, used[:count])
    random.shuffle(place)
    random.shuffle(shuffled)
    assert told(shuffled, place, used[:count]) == expected


@given(LINKS, st.permutations(range(COUNT)))
def test_linked_faces_have_the_same_first_which_comes_before_them(
    links: list[tuple[int, int, int, float, float]], used: list[int]
) -> None:
    faces = told(links, list(range(COUNT)), used)
    assert all(faces[first][0] == faces[second][0] for first, second, *_ in links)
    for face, (first, _, score, _) in enumerate(faces):
        assert used.index(first) <= used.index(face)
        assert score >= min([1.0, *(link[3] for link in links)])
