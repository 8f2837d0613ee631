"""Faces are cut out as those of the run are."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias.data.face_finder import FaceFinder
from facebias.data.images import FaceFormat
from facebias.live import frames
from facebias.live.frames import find_cut
from facebias.live.framing import Framing, measure_framing
from facebias.runs.trained import TrainedRun
from tests.portraits import SIZE, photo

SIDES = st.integers(10, 2000)
SHARES = st.floats(0.1, 0.9)


@given(st.tuples(SIDES, SIDES), st.data(), SHARES, SHARES, st.floats(0.05, 2), SIDES, SIDES)
def test_a_crop_has_the_shape_of_a_face_and_stays_in_the_photo(
    size: tuple[int, int],
    data: st.DataObject,
    across: float,
    down: float,
    side: float,
    width: int,
    height: int,
) -> None:
    x, y = (data.draw(st.floats(-0.2, 1.1)) for _ in range(2))
    wide, high = (data.draw(st.floats(0.05, 1)) for _ in range(2))
    box = (x * size[0], y * size[1], (x + wide) * size[0], (y + high) * size[1])
    form = FaceFormat(height, width, 1)
    left, top, right, bottom = Framing(across, down, side, 1).crop(box, size, form)
    assert 0 <= left < right <= size[0] * (1 + 1e-12)
    assert 0 <= top < bottom <= size[1] * (1 + 1e-12)
    assert (right - left) / (bottom - top) == pytest.approx(width / height, rel=1e-6)


def test_a_crop_shows_the_face_where_the_framing_says() -> None:
    form = FaceFormat(110, 75, 1)
    box = (480.0, 500.0, 560.0, 600.0)
    left, top, right, bottom = Framing(0.4, 0.6, 0.5, 1).crop(box, (1000, 1000), form)
    assert (520 - left) / (right - left) == pytest.approx(0.4)
    assert (550 - top) / (bottom - top) == pytest.approx(0.6)
    assert 80 * 100 / ((right - left) * (bottom - top)) == pytest.approx(0.5**2)


def test_the_framing_is_that_of_the_run_s_own_faces(run: TrainedRun) -> None:
    cut = find_cut(run, None)
    assert cut.framing is not None
    assert cut.framing.faces > 8
    assert f"{cut.framing.faces} of the run's own train faces" in cut.words
    place = (120, 60, SIZE)  # of the whole rendered picture, which is a face of the run
    scene = photo([place])
    found = FaceFinder().find(scene)[0]
    expected = (120, 60, 120 + SIZE, 60 + SIZE)
    assert cut.crop(found.box, scene.size) == pytest.approx(expected, abs=0.06 * SIZE)


def test_a_margin_that_is_asked_for_is_used(run: TrainedRun) -> None:
    cut = find_cut(run, 0.5)
    assert cut.crop((100, 100, 200, 200), (480, 360)) == (50.0, 50.0, 250.0, 250.0)
    assert cut.words == "the found box, 50 % larger on each side"


@pytest.mark.parametrize("channels", [1, 3])
def test_faces_that_the_finder_does_not_see_have_no_framing(
    run: TrainedRun, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    blank = np.full((4, 64, 64, channels), 90, np.uint8)
    assert measure_framing(blank) is None
    monkeypatch.setattr(frames, "train_faces", lambda _: blank)
    cut = find_cut(run, None)
    assert (cut.framing, cut.margin) == (None, 0.1)
    assert "could not be measured" in cut.words


def test_data_that_is_gone_is_told_and_the_model_still_answers(
    run: TrainedRun, caplog: pytest.LogCaptureFixture
) -> None:
    root = Path(run.config.data.root)
    away = root.with_name("away")
    root.rename(away)
    try:
        cut = find_cut(run, None)
    finally:
        away.rename(root)
    assert (cut.framing, cut.margin) == (None, 0.1)
    assert "how the run's faces are cut is not known" in caplog.text
