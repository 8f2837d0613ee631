"""The page in a real browser, before chromium's fake camera."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facebias.errors import ModelError
from facebias.live.frames import FrameReader
from facebias.runs.trained import TrainedRun
from tests.live.fake_camera import write_film
from tests.live.serving import served
from tests.portraits import SIZE, photo

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]

# Quiet, and without a sandbox, which containers do not allow.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--use-fake-device-for-media-stream",
)
ALLOWED = "--use-fake-ui-for-media-stream"
WAIT = 60  # seconds; beside other work


@dataclass
class Opened:
    """A page and what it has said."""

    page: Any
    wrong: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def text(self, name: str) -> str:
        return str(self.page.inner_text(f"#{name}"))

    def shares(self) -> list[str]:
        return [str(cell) for cell in self.page.locator(".share").all_inner_texts()]

    def wait(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; the page's policy lets nothing be evaluated for long."""
        end = time.monotonic() + WAIT
        while not holds():
            assert time.monotonic() < end, (self.text("status"), self.wrong)
            self.page.wait_for_timeout(50)

    def wait_for(self, name: str, words: str) -> None:
        self.wait(lambda: words in self.text(name))


@contextmanager
def opened(link: str, *flags: str, width: int = 1024) -> Iterator[Opened]:
    """Open the page in chromium."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        page = browser.new_page(viewport={"width": width, "height": 800}, accept_downloads=True)
        seen = Opened(page)
        page.on("console", lambda said: seen.wrong.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: seen.wrong.append(str(error)))
        page.on("request", lambda request: seen.addresses.append(request.url))
        page.on("websocket", lambda opening: _listen(opening, seen))
        page.goto(link)
        seen.wait_for("status", "Ready.")
        yield seen
        browser.close()


def _listen(opening: Any, seen: Opened) -> None:  # noqa: ANN401 - playwright is optional
    seen.addresses.append(opening.url)
    opening.on("framereceived", lambda payload: seen.answers.append(json.loads(payload)))


def film_of(path: Path, photos: list[Image.Image]) -> str:
    return f"--use-file-for-fake-video-capture={write_film(path, photos)}"


@pytest.fixture
def persons(tmp_path: Path) -> str:
    """A film of two rendered persons in turn."""
    first = photo([(120, 60, SIZE)])
    second = photo([(-900, 0, 16), (120, 60, SIZE)])
    return film_of(tmp_path / "persons.mjpeg", [first, second])


def test_faces_of_a_camera_are_boxed_and_the_bars_follow_them(
    run: TrainedRun, reader: FrameReader, persons: str
) -> None:
    with served(run, reader) as (link, _), opened(link, ALLOWED, persons) as seen:
        assert seen.shares() == ["–"] * 4
        seen.page.keyboard.press("Tab")  # the camera's button is the first
        seen.page.keyboard.press("Enter")
        said: set[tuple[str, ...]] = set()
        seen.wait(lambda: said.add(tuple(seen.shares())) or len(said) > 2)  # type: ignore[func-returns-value]
        seen.wait(lambda: len(seen.answers) >= 60)
        assert seen.text("status") == "One face."
        assert "frames in the last second" in seen.text("note")
        seen.page.click("#camera")
        assert seen.shares() == ["–"] * 4
        assert seen.text("status") == "The camera is off."
    assert sum(len(answer["faces"]) == 1 for answer in seen.answers) >= 0.95 * len(seen.answers)
    assert seen.wrong == []
    assert {address.partition("?")[0] for address in seen.addresses} == {
        link.partition("?")[0],
        f"ws{link.partition('?')[0].removeprefix('http')}frames",
    }


def test_photographed_people_are_boxed(
    run: TrainedRun, reader: FrameReader, tmp_path: Path, real_data: Callable[[str], Path]
) -> None:
    files = sorted(real_data("london").glob("*/*.jpg"))[::10]
    film = film_of(tmp_path / "people.mjpeg", [Image.open(file) for file in files])
    with served(run, reader) as (link, _), opened(link, ALLOWED, film) as seen:
        seen.page.click("#camera")
        seen.wait(lambda: len(seen.answers) >= 200)
    assert sum(len(answer["faces"]) == 1 for answer in seen.answers) >= 0.95 * len(seen.answers)
    crops = {tuple(answer["crop"]) for answer in seen.answers if answer["faces"]}
    shares = {tuple(answer["probabilities"]) for answer in seen.answers if answer["faces"]}
    assert len(crops) >= 5
    assert len(shares) >= 5
    assert seen.wrong == []


def test_no_face_clears_the_bars(run: TrainedRun, reader: FrameReader, tmp_path: Path) -> None:
    film = film_of(tmp_path / "nobody.mjpeg", [Image.new("RGB", (480, 360), (92, 118, 140))])
    with served(run, reader) as (link, _), opened(link, ALLOWED, film) as seen:
        photo().save(tmp_path / "photo.png")
        seen.page.set_input_files("#file", tmp_path / "photo.png")
        seen.wait_for("status", "One face.")
        assert "–" not in seen.shares()
        seen.page.click("#camera")
        seen.wait_for("status", "No face is found.")
        assert seen.shares() == ["–"] * 4
    assert seen.wrong == []


def test_photos_are_answered_for_the_class_that_is_chosen(
    run: TrainedRun, reader: FrameReader, tmp_path: Path
) -> None:
    photo([(10, 30, 160), (200, 60, 260)]).save(tmp_path / "several.png")
    (tmp_path / "words.png").write_text("no picture")
    with served(run, reader) as (link, _), opened(link, ALLOWED, width=360) as seen:
        seen.page.set_input_files("#file", tmp_path / "several.png")
        seen.wait_for("status", "2 faces: the largest is used.")
        for number in range(4):
            seen.page.select_option("#explained", str(number))
            seen.wait(lambda number=number: seen.answers[-1]["explained"] == number)  # type: ignore[misc]
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 360
        seen.page.set_input_files("#file", tmp_path / "words.png")
        seen.wait_for("status", "words.png is no picture")
        assert seen.shares() == ["–"] * 4
    assert seen.wrong == []


def test_a_dropped_photo_is_used(run: TrainedRun, reader: FrameReader) -> None:
    drop = """async () => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 64;
      canvas.getContext("2d").fillRect(0, 0, 64, 64);
      const picture = await new Promise((done) => canvas.toBlob(done));
      const dropped = new DataTransfer();
      dropped.items.add(new File([picture], "black.png", { type: "image/png" }));
      document.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, cancelable: true }));
    }"""
    with served(run, reader) as (link, _), opened(link) as seen:
        seen.page.evaluate(drop)
        seen.wait_for("status", "No face is found.")
    assert seen.wrong == []


def test_a_recording_is_handed_over(
    run: TrainedRun, reader: FrameReader, persons: str, tmp_path: Path
) -> None:
    with served(run, reader) as (link, _), opened(link, ALLOWED, persons) as seen:
        seen.page.click("#camera")
        seen.wait(lambda: len(seen.answers) > 5)
        seen.page.click("#record")
        before = len(seen.answers)
        seen.wait(lambda: len(seen.answers) > before + 20)
        with seen.page.expect_download() as handed:
            seen.page.click("#record")
        handed.value.save_as(tmp_path / "film.webm")
        assert "handed to you as facebias_live.webm" in seen.text("saved")
    assert (tmp_path / "film.webm").read_bytes()[:4] == b"\x1a\x45\xdf\xa3"  # Matroska's
    assert seen.wrong == []


def test_a_camera_that_is_refused_is_told(run: TrainedRun, reader: FrameReader) -> None:
    with served(run, reader) as (link, _), opened(link) as seen:
        seen.page.click("#camera")
        seen.wait_for("status", "The camera was refused.")
        assert seen.page.inner_text("#camera") == "Start the camera"


def test_a_server_that_stops_is_told(run: TrainedRun, reader: FrameReader, persons: str) -> None:
    with served(run, reader) as (link, stop), opened(link, ALLOWED, persons) as seen:
        seen.page.click("#camera")
        seen.wait_for("status", "One face.")
        stop()
        seen.wait_for("status", "The server has stopped")
        assert seen.shares() == ["–"] * 4
        assert seen.page.is_disabled("#camera")


class Broken(FrameReader):
    """A reader whose model fails."""

    def read(self, content: bytes, explained: int | None = None) -> dict[str, Any]:
        raise ModelError("the model's answer holds values that are no numbers")


def test_a_model_that_fails_is_told(run: TrainedRun, reader: FrameReader, persons: str) -> None:
    broken = Broken(run.model(), run.classes, reader.cut)
    with served(run, broken) as (link, _), opened(link, ALLOWED, persons) as seen:
        seen.page.click("#camera")
        seen.wait_for("status", "values that are no numbers")
        seen.wait(lambda: len(seen.answers) > 1)  # it goes on trying
        assert seen.shares() == ["–"] * 4
    assert seen.wrong == []
