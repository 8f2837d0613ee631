"""Who is let in, what is refused, and what the page and its answers hold."""

import io
import json
import logging
import re
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from facebias.cam.overlay import overlay
from facebias.errors import ConfigError
from facebias.live.access import Pace
from facebias.live.frames import FrameReader
from facebias.live.page import heat_colours
from facebias.live.server import ADDRESS, MAX_FRAME_BYTES, LiveApp, listen
from facebias.runs.trained import TrainedRun
from tests.live.serving import served
from tests.portraits import photo

PORT = 8123
HOST = f"{ADDRESS}:{PORT}"
OWN = {"origin": f"http://{HOST}", "host": HOST}  # as a browser sends from the page


def as_frame(picture: Image.Image, explained: int = 255) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=85)
    return bytes([explained]) + file.getvalue()


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(run: TrainedRun, reader: FrameReader, clock: Clock) -> LiveApp:
    return LiveApp(run, reader, PORT, 5, clock)


@pytest.fixture
def client(app: LiveApp) -> Iterator[TestClient]:
    with TestClient(app, base_url=f"http://{HOST}") as opened:
        yield opened


def token(app: LiveApp) -> str:
    return app.link.partition("?")[2]


def ask(client: TestClient, app: LiveApp, *frames: bytes) -> list[dict[str, Any]]:
    """Send frames one after the other, each when the one before is answered."""
    answers = []
    with client.websocket_connect(f"/frames?{token(app)}", headers=OWN) as page:
        for frame in frames:
            page.send_bytes(frame)
            answers.append(page.receive_json())
    return answers


def test_the_link_leads_to_the_page(client: TestClient, app: LiveApp, run: TrainedRun) -> None:
    assert re.fullmatch(rf"http://{HOST}/\?token=[\w-]{{43}}", app.link)
    page = client.get(app.link)
    assert page.status_code == 200
    for name in run.classes:
        assert f'<th scope="row">{name}</th>' in page.text
    assert "cannot be known from a face" in page.text
    assert "chance, 25 %" in page.text
    right = run.results.fairness["test"]["overall"]["accuracy"]
    assert f"right in {100 * right:.0f} %" in page.text


@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=wrong", "?token={0}x", "?token={0}&token=a"]
)
def test_a_wrong_token_is_refused(client: TestClient, app: LiveApp, query: str) -> None:
    right = token(app).removeprefix("token=")
    asked = query.format(right)
    page = client.get(f"/{asked}")
    assert page.status_code == 403
    assert "facebias.live" in page.text
    assert right not in page.text
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(f"/frames{asked}", headers=OWN),
    ):
        pass
    assert refused.value.code == 1008


@pytest.mark.parametrize(
    "headers",
    [
        {"host": f"evil.example:{PORT}"},
        {"host": f"evil.example:{PORT}", "origin": f"http://evil.example:{PORT}"},
        {"host": f"{ADDRESS}:{PORT + 1}"},
        {"host": ADDRESS},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"origin": f"http://{HOST}.evil.example"},
    ],
)
def test_foreign_names_and_pages_are_refused(
    client: TestClient, app: LiveApp, headers: dict[str, str]
) -> None:
    assert client.get(app.link, headers=headers).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(f"/frames?{token(app)}", headers=OWN | headers),
    ):
        pass
    assert refused.value.code == 1008


def test_a_websocket_without_an_origin_is_refused(client: TestClient, app: LiveApp) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(f"/frames?{token(app)}", headers={"host": HOST}),
    ):
        pass


def test_every_server_has_a_token_of_its_own(run: TrainedRun, reader: FrameReader) -> None:
    assert len({LiveApp(run, reader, PORT, 5).link for _ in range(3)}) == 3


def test_the_policy_allows_the_page_s_own_script_alone(client: TestClient, app: LiveApp) -> None:
    pages = [client.get(app.link) for _ in range(2)]
    policies = [page.headers["content-security-policy"] for page in pages]
    said = dict(rule.split(" ", 1) for rule in policies[0].split("; "))
    nonce = said["script-src"].removeprefix("'nonce-").removesuffix("'")
    assert said["default-src"] == "'none'"
    assert said["style-src"] == said["script-src"] == f"'nonce-{nonce}'"
    assert said["connect-src"] == f"ws://{HOST}"
    assert said["frame-ancestors"] == said["base-uri"] == said["form-action"] == "'none'"
    assert "unsafe" not in policies[0]
    assert "*" not in policies[0]
    assert policies[0] != policies[1]  # a nonce is used once
    assert pages[0].text.count(f'nonce="{nonce}"') == 2
    assert pages[0].headers["referrer-policy"] == "no-referrer"
    assert pages[0].headers["cache-control"] == "no-store"


def test_the_page_names_no_other_place(client: TestClient, app: LiveApp) -> None:
    page = client.get(app.link).text
    assert re.findall(r"(?:https?:)?//[\w.]+\.\w+|@import|url\(", page) == []
    assert re.findall(r'(?:src|href|action)="([^"]*)"', page) == ["data:,"]
    # What the policy would stop: handlers and styles in tags.
    assert re.findall(r"<[^>]*\s(?:on\w+|style)=", page.partition("<script nonce")[0]) == []


def test_names_of_classes_cannot_become_code(run: TrainedRun, reader: FrameReader) -> None:
    evil = "</script><script>alert(1)</script>"
    renamed = FrameReader(run.model(), [evil, "happy", "neutral", "surprised"], reader.cut)
    app = LiveApp(run, renamed, PORT, 5)
    with TestClient(app, base_url=f"http://{HOST}") as client:
        page = client.get(app.link).text
    assert evil not in page
    assert page.count("<script") == 2
    settings = re.search(r'id="settings">(.*?)</script>', page)
    assert settings is not None
    assert json.loads(settings[1])["classes"][0] == evil


def test_a_frame_is_answered_as_the_reader_does(
    client: TestClient, app: LiveApp, reader: FrameReader
) -> None:
    frame = as_frame(photo())
    predicted, chosen = ask(client, app, frame, as_frame(photo(), explained=2))
    assert predicted == json.loads(json.dumps(reader.read(frame[1:])))
    assert chosen["explained"] == 2
    assert chosen["probabilities"] == predicted["probabilities"]


def test_no_face_several_faces_and_bad_pictures_are_told(client: TestClient, app: LiveApp) -> None:
    nobody, several, bad, wrong = ask(
        client,
        app,
        as_frame(Image.new("RGB", (320, 240))),
        as_frame(photo([(10, 30, 160), (200, 60, 260)])),
        b"\xff" + b"no picture",
        as_frame(photo(), explained=9),
    )
    assert nobody["faces"] == []
    assert "probabilities" not in nobody
    assert len(several["faces"]) == 2
    assert "not an image" in bad["problem"]
    assert "a map for class 9" in wrong["problem"]


def test_a_picture_that_is_too_large_is_refused_unread(client: TestClient, app: LiveApp) -> None:
    (answer,) = ask(client, app, b"\xff" + bytes(MAX_FRAME_BYTES))
    assert "2,000,001 bytes; at most 2,000,000 are taken" in answer["problem"]


def test_words_and_nothing_are_no_pictures(client: TestClient, app: LiveApp) -> None:
    with client.websocket_connect(f"/frames?{token(app)}", headers=OWN) as page:
        page.send_text("hello")
        assert "empty message" in page.receive_json()["problem"]
        page.send_bytes(b"")
        assert "empty message" in page.receive_json()["problem"]


def test_frames_beyond_the_rate_are_refused_over_all_pages(
    client: TestClient, app: LiveApp, clock: Clock
) -> None:
    frame = as_frame(Image.new("RGB", (32, 24)))
    first = ask(client, app, *[frame] * 4)
    more = ask(client, app, *[frame] * 3)
    assert ["problem" in answer for answer in first + more] == [False] * 5 + [True] * 2
    assert more[-1]["problem"] == "More than 5 frames a second came in."
    clock.now = 0.4
    later = ask(client, app, *[frame] * 3)
    assert ["problem" in answer for answer in later] == [False, False, True]


def test_time_off_does_not_add_up(clock: Clock) -> None:
    pace = Pace(3, clock)
    clock.now = 1000.0
    assert [pace.admits() for _ in range(5)] == [True] * 3 + [False] * 2


def test_a_failure_of_the_server_is_told_and_the_next_frame_is_answered(
    client: TestClient,
    app: LiveApp,
    reader: FrameReader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR):
        broken.setattr(reader, "read", lambda *_: 1 / 0)
        (answer,) = ask(client, app, as_frame(photo()))
    assert "The server failed on this picture: ZeroDivisionError" in answer["problem"]
    assert "Traceback" in caplog.text
    assert ask(client, app, as_frame(photo()))[0]["faces"]


def test_other_addresses_hold_nothing(client: TestClient, app: LiveApp) -> None:
    assert client.get(f"/frames?{token(app)}").status_code == 404
    assert client.get(f"/../conf/live.yaml?{token(app)}").status_code == 404
    assert client.post(app.link).status_code == 405


def _send_alone(address: str, own: Origin, frame: bytes) -> str | bytes:
    with connect(address, origin=own) as page:
        page.send(frame)
        return page.recv()


def test_what_is_much_too_large_ends_the_connection_and_no_other(
    run: TrainedRun, reader: FrameReader
) -> None:
    with served(run, reader) as (link, _):
        host, _, asked = link.removeprefix("http://").partition("/")
        own = Origin(f"http://{host}")
        address = f"ws://{host}/frames{asked}"
        with connect(address, origin=own) as second:
            with pytest.raises(ConnectionClosed):
                _send_alone(address, own, b"\xff" + bytes(3 * MAX_FRAME_BYTES))
            second.send(as_frame(photo()))
            assert len(json.loads(second.recv())["faces"]) == 1
        with pytest.raises(InvalidStatus, match="403"):
            connect(f"{address}x", origin=own)
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, origin=Origin("http://evil.example"))


def test_only_this_machine_is_listened_to_and_a_port_in_use_is_told() -> None:
    with listen(None) as listening:
        address, port = listening.getsockname()
        assert address == "127.0.0.1"
        assert listening.family == socket.AF_INET
        with pytest.raises(ConfigError, match=f"port {port} cannot be used"):
            listen(port)


def test_the_page_colours_a_map_as_the_pictures_of_a_run_are(reader: FrameReader) -> None:
    gray = np.full((1, 1, 256), 90, np.uint8)
    painted = overlay(gray, np.linspace(0, 1, 256)[None, None])[0, 0].astype(float)
    colours = np.array(heat_colours(), float)
    share = colours[:, 3:] / 255
    assert np.abs((1 - share) * 90 + share * colours[:, :3] - painted).max() <= 1.5
