import numpy as np
import pytest

from facebias.faces.factors import HAIR_STYLES
from facebias.faces.hair import SOLID, STYLES, curtain, falling, scalp, shells
from facebias.faces.head import load_head
from facebias.faces.raster import vertex_normals

SHELLED = [name for name, style in STYLES.items() if style.top > 0]


def test_every_style_is_described() -> None:
    assert tuple(STYLES) == HAIR_STYLES
    assert [name for name, style in STYLES.items() if style.falls] == ["long"]
    assert set(STYLES) - set(SHELLED) == {"bald", "buzz"}


@pytest.mark.parametrize("name", SHELLED)
def test_shells_begin_under_the_skin_and_rise_above_it(name: str) -> None:
    head, grown = load_head(), scalp()
    used = np.arange(len(head.triangles), dtype=np.int32)
    normals = vertex_normals(head.vertices, head.triangles, used)
    inner, outer = np.split(shells(head.vertices, normals, STYLES[name], 7), 2)
    skin, out = head.vertices[grown.vertices], normals[grown.vertices]
    height = ((inner - skin) * out).sum(1)
    edge, middle = grown.inside < -0.02, grown.inside > 0.3
    assert edge.sum() > 20
    assert middle.sum() > 100
    assert (height[edge] < 0).all()
    assert (height[middle] > 0.01).all()
    beyond = ((outer - inner) * out).sum(1)
    assert (beyond > -1e-6).all()
    assert (beyond[middle] > 0.015).all()


def test_shells_follow_the_head_and_vary_with_the_person() -> None:
    head = load_head()
    normals = np.zeros_like(head.vertices)
    normals[:, 2] = 1
    style, moved = STYLES["short"], np.array([0.5, -0.25, 0.125], np.float32)
    there = shells(head.vertices, normals, style, 1)
    np.testing.assert_allclose(
        shells(head.vertices + moved, normals, style, 1), there + moved, atol=2e-6
    )
    assert np.abs(shells(head.vertices, normals, style, 2) - there).max() > 0.005


def test_the_scalp_indexes_the_head() -> None:
    grown = scalp()
    assert len(np.unique(grown.vertices)) == len(grown.vertices) == len(grown.inside)
    assert set(grown.triangles.ravel().tolist()) == set(range(len(grown.vertices)))


def test_a_curtain_hangs_from_the_head() -> None:
    hair, head = curtain(), load_head()
    np.testing.assert_array_equal(falling(head.vertices), hair.rest)
    moved = np.array([0.0, 0.5, 0.0], np.float32)
    np.testing.assert_allclose(falling(head.vertices + moved), hair.rest + moved, atol=2e-6)
    assert hair.rest[:, 1].max() > 7.9
    tips = hair.rest[:, 1] < 5.7
    assert (hair.cover[tips] < 0.5).all()
    assert hair.cover.max() == SOLID
    assert hair.triangles.max() == len(hair.rest) - 1
