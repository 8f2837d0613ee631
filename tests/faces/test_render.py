import hashlib
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from joblib import Parallel, delayed

from facebias.errors import DataError
from facebias.faces.factors import FaceFactors
from facebias.faces.landmarks import landmark_names
from facebias.faces.regions import PARTS
from facebias.faces.render import RenderedFace, render_face
from tests.faces.made_factors import any_factors

ROOT = Path(__file__).parents[2]
BASE: dict[str, Any] = {
    "expression": {"contempt": 1.0},
    "identity": 5,
    "age": 50.0,
    "hair_style": "short",
    "stubble": 0.5,
    "make_up": 0.5,
}
OTHER: dict[str, Any] = {
    "expression": {"happy": 1.0},
    "intensity": 0.5,
    "actions": {"jawOpen": 0.5},
    "mirrored": True,
    "identity": 6,
    "gender": 0.0,
    "age": 20.0,
    "african": 0.0,
    "asian": 0.0,
    "caucasian": 0.0,
    "weight": 1.0,
    "skin_ita": -40.0,
    "hair_style": "afro",
    "hair_colour": "red",
    "grey": 0.7,
    "brows": 0.2,
    "stubble": 0.0,
    "make_up": 0.0,
    "glasses": "round",
    "eye_colour": "blue",
    "yaw": 10.0,
    "pitch": 10.0,
    "roll": 10.0,
    "key_light": 0.8,
    "key_azimuth": -25.0,
    "key_elevation": 0.0,
    "warmth": 1.0,
    "ambient": 0.7,
    "background": "#224466",
    "clothes": "#aa2211",
}

# A child of the test: its face, and the most memory that it took since it began, in kB. What the
# system counts as `ru_maxrss` would begin with what the parent had.
CHILD = """
import hashlib, pathlib
from facebias.faces.factors import FaceFactors
from facebias.faces.render import render_face
face = render_face(FaceFactors(**{base}), 64)
digest = hashlib.sha256(face.image.tobytes() + face.regions.tobytes() + face.landmarks.tobytes())
status = pathlib.Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
most = [line.split()[1] for line in lines if line.startswith("VmHWM")]
print(digest.hexdigest(), *most or ["0"])
"""


def digest(face: RenderedFace) -> str:
    arrays = (face.image, face.regions, face.landmarks)
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def digest_of(factors: FaceFactors) -> str:
    return digest(render_face(factors, 64))


def in_a_child(**environment: str) -> tuple[str, int]:
    """Return the digest of the base face in a process of its own, and its memory in kB."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", CHILD.format(base=BASE)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | environment,
    )
    found, memory = done.stdout.split()
    return found, int(memory)


@pytest.mark.slow
def test_another_process_renders_the_same_bytes_in_little_memory() -> None:
    here = digest_of(FaceFactors(**BASE))  # first, so that the child need not compile
    found, memory = in_a_child()
    assert found == here
    if sys.platform == "linux":
        assert memory < 400_000


@pytest.mark.slow
def test_code_that_is_compiled_anew_renders_the_same_bytes(tmp_path: Path) -> None:
    found, _ = in_a_child(NUMBA_CACHE_DIR=str(tmp_path))
    assert found == digest_of(FaceFactors(**BASE)), "the machine code here is stale"
    assert any(tmp_path.rglob("*.nbc"))


def test_workers_render_the_same_bytes() -> None:
    faces = [FaceFactors(**BASE | {"identity": i}) for i in range(4)]
    there = Parallel(n_jobs=2)(delayed(digest_of)(factors) for factors in faces)
    assert there == [digest_of(factors) for factors in faces]


def test_every_factor_has_another_value_here() -> None:
    assert set(OTHER) == {each.name for each in fields(FaceFactors)}


@pytest.mark.parametrize("factor", OTHER)
def test_every_factor_changes_the_picture(factor: str) -> None:
    one, other = (
        render_face(FaceFactors(**values), 48) for values in (BASE, BASE | {factor: OTHER[factor]})
    )
    assert (one.image != other.image).any()
    assert other.factors != one.factors


def test_only_the_background_changes_with_its_colour() -> None:
    # One point a pixel: none is mixed of face and background.
    one, other = (
        render_face(FaceFactors(**BASE, background=colour), 64, supersampling=1)
        for colour in ("#101010", "#e0e0e0")
    )
    changed = (one.image != other.image).any(-1)
    np.testing.assert_array_equal(changed, one.regions == PARTS.index("background"))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(any_factors())
def test_any_face_is_drawn(factors: FaceFactors) -> None:
    face = render_face(factors, 24)
    assert np.isfinite(face.landmarks).all()
    assert face.factors is factors
    assert 0.15 < (face.regions != 0).mean() < 0.95
    assert digest(render_face(factors, 24)) == digest(face)


@pytest.mark.parametrize(("size", "supersampling"), [(1, 1), (1, 4), (7, 3), (33, 2), (224, 1)])
def test_sizes(size: int, supersampling: int) -> None:
    face = render_face(FaceFactors(), size, supersampling)
    assert face.image.shape == (size, size, 3)
    assert face.image.dtype == face.regions.dtype == np.uint8
    assert face.regions.shape == (size, size)
    assert face.regions.max() < len(PARTS)
    assert face.landmarks.dtype == np.float32


def test_landmarks_scale_with_the_picture() -> None:
    one, other = (render_face(FaceFactors(**BASE), size).landmarks for size in (50, 100))
    np.testing.assert_allclose(2 * one, other, atol=1e-3)


@pytest.mark.parametrize("age", [5.0, 30.0, 80.0])
def test_every_face_has_the_same_place_in_the_picture(age: float) -> None:
    marks = render_face(FaceFactors(identity=int(age), age=age), 100).landmarks
    across, eyes = marks[:2].mean(0)
    chin = marks[landmark_names().index("chin"), 1]
    # The face is an eighth larger than at the depth of its pivot, nine heights from the camera.
    height = 100 / 2.6 * 9 / 8
    assert across == pytest.approx(50, abs=0.5)
    assert eyes == pytest.approx(47.2, abs=0.1)
    assert chin - eyes == pytest.approx(height, rel=0.02)


def test_larger_pictures_are_finer_ones() -> None:
    small, large = (
        render_face(FaceFactors(**BASE), size).image.astype(float) for size in (32, 128)
    )
    shrunk = large.reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 6


@pytest.mark.parametrize(("size", "supersampling"), [(0, 2), (-1, 2), (64, 0)])
def test_no_pixels_are_refused(size: int, supersampling: int) -> None:
    with pytest.raises(DataError, match=f"size {size} and supersampling {supersampling}"):
        render_face(FaceFactors(), size, supersampling)


@pytest.mark.parametrize("ita", [58.0, -60.0])
def test_pictures_are_neither_burnt_out_nor_black(ita: float) -> None:
    image = render_face(FaceFactors(skin_ita=ita, hair_colour="blond"), 64).image
    assert (image == 255).mean() < 0.01
    assert (image == 0).mean() < 0.01


def test_the_head_turns_to_the_side_that_it_is_told() -> None:
    def nose(**pose: Any) -> np.ndarray:  # noqa: ANN401
        face = render_face(FaceFactors(**pose), 64)
        offset: np.ndarray = face.landmarks[2] - face.landmarks[:2].mean(0)
        return offset

    assert nose(yaw=20)[0] > 2
    assert nose(yaw=-20)[0] < -2
    assert nose(pitch=15)[1] > nose()[1] + 1
    tilted = render_face(FaceFactors(roll=15), 64).landmarks
    assert tilted[0, 1] < tilted[1, 1] - 2  # the eye at the picture's right goes up
