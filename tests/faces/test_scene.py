import numpy as np
import pytest

from facebias.faces.factors import GLASSES, HAIR_STYLES
from facebias.faces.head import load_head
from facebias.faces.scene import (
    CURTAIN,
    FRAME,
    LEFT_EYE,
    SHELL,
    SKIN,
    TONGUE,
    drawn_triangles,
    dressed,
    scene,
)


@pytest.mark.parametrize("glasses", GLASSES)
def test_all_arrays_of_a_scene_fit(glasses: str) -> None:
    everything, head = scene(glasses), load_head()
    n_vertices, n_triangles = len(everything.rest), len(everything.triangles)
    assert everything.cover.shape == everything.occlusion.shape == (n_vertices,)
    assert everything.uv.shape == (n_triangles, 3, 2)
    assert everything.material.shape == everything.one_sided.shape == (n_triangles,)
    assert everything.triangles.min() == 0
    assert everything.triangles.max() == n_vertices - 1
    assert 0 <= everything.occlusion.min() <= everything.occlusion.max() <= 1
    np.testing.assert_array_equal(everything.rest[: len(head.vertices)], head.vertices)
    for hair in HAIR_STYLES:
        again = dressed(head.vertices, head.vertices, glasses, hair, 0)
        assert again.shape == everything.rest.shape


def test_materials_are_of_their_vertices() -> None:
    everything, head = scene("round"), load_head()
    for part, material in (("body", SKIN), ("left eye", LEFT_EYE), ("tongue", TONGUE)):
        expected = head.triangles[head.triangle_part == head.parts.index(part)]
        found = everything.triangles[everything.material == material]
        np.testing.assert_array_equal(found, expected)
    vertices = everything.triangles[everything.material == FRAME]
    assert everything.rest[vertices, 2].max() > 1.55
    assert (FRAME in scene("none").material) is False


def test_lashes_are_left_out() -> None:
    everything, head = scene("none"), load_head()
    lashes = [number for number, part in enumerate(head.parts) if "lashes" in part]
    hidden = np.unique(head.triangles[np.isin(head.triangle_part, lashes)])
    assert len(hidden)
    assert not np.isin(everything.triangles, hidden).any()


def test_a_curtain_is_drawn_from_both_sides_and_counted_once() -> None:
    everything = scene("none")
    fall = everything.material == CURTAIN
    once, twice = (everything.triangles[fall & (everything.one_sided == k)] for k in (True, False))
    np.testing.assert_array_equal(once[:, ::-1], twice)
    assert everything.one_sided[~fall].all()


@pytest.mark.parametrize(
    ("hair", "drawn"),
    [("bald", set()), ("buzz", set()), ("short", {SHELL}), ("long", {SHELL, CURTAIN})],
)
def test_only_the_hair_that_is_worn_is_drawn(hair: str, drawn: set[int]) -> None:
    everything = scene("none")
    used, counted = drawn_triangles("none", hair)
    assert set(everything.material[used].tolist()) & {SHELL, CURTAIN} == drawn
    assert set(counted.tolist()) == {t for t in used.tolist() if everything.one_sided[t]}
    assert (everything.material[used] == SKIN).sum() == (everything.material == SKIN).sum()
