"""The page of a comparison in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facebias.compare import compare
from facebias.train import train
from tests.trained import compose_compare, compose_train

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]

Browser = Any  # playwright is optional

# Quiet, and without a sandbox, which containers do not allow.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> Path:
    """The page of two variants with two seeds each."""
    folder = tmp_path_factory.mktemp("runs")
    few = ("trainer.max_epochs=2", "callbacks.cam=null")
    runs = [
        train(compose_train(folder / f"{place}{seed}", faces_root, *few, *named(name, seed)))
        for place, name in enumerate(("one", "other <b> & x_y"))
        for seed in (0, 1)
    ]
    shown = ("faces_per_label=1", "attention_faces=8")
    return compare(compose_compare(folder, runs, *shown)) / "report.html"


def named(name: str, seed: int) -> tuple[str, str]:
    return f"bias.variant='{name}'", f"seed={seed}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [360, 1024, 1600])
def test_the_page_fits_and_says_nothing_wrong(browser: Browser, report: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.wait_for_function("[...document.images].every(each => each.complete)")
    assert wrong == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    missing = "[...document.images].filter(each => each.naturalWidth === 0).length"
    assert page.evaluate(missing) == 0
    assert page.evaluate("document.images.length") > 5
    page.close()


def test_every_part_is_reached_by_keyboard(browser: Browser, report: Path) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 900})
    page.goto(report.as_uri())
    links = page.locator("nav a").count()
    for _ in range(links):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "How it was measured"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#method"
    # What is wider than the page is scrolled by keys, so it takes the focus.
    scrolled = """[...document.querySelectorAll('*')].filter(each =>
        each.scrollWidth > each.clientWidth + 1
        && ['auto', 'scroll'].includes(getComputedStyle(each).overflowX)
        && each.tabIndex < 0).length"""
    assert page.evaluate(scrolled) == 0
    page.close()


def test_what_is_folded_is_printed(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    page.emulate_media(media="print")
    assert page.locator("details.printed table").last.is_visible()
    assert not page.locator("nav").is_visible()
    page.close()
