import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from huggingface_hub import constants

from facebias.models.hub import hub_or_cache


@pytest.fixture
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that answers with the status `request.param`."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(request.param)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


@pytest.fixture
def deaf_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        yield


@pytest.fixture(autouse=True)
def _allowed_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.mark.parametrize(
    ("hub", "offline"), [(200, False), (404, False), (503, True)], indirect=["hub"]
)
@pytest.mark.usefixtures("hub")
def test_a_hub_that_answers_is_asked_and_one_that_is_down_is_not(offline: bool) -> None:
    with hub_or_cache():
        assert constants.HF_HUB_OFFLINE is offline
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.usefixtures("deaf_hub")
def test_a_hub_that_never_answers_is_given_up() -> None:
    with hub_or_cache(patience=0.2):
        assert constants.HF_HUB_OFFLINE is True


def test_an_error_undoes_what_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")

    def look_up() -> None:
        with hub_or_cache():
            assert constants.HF_HUB_OFFLINE is True
            raise FileNotFoundError("not there")

    with pytest.raises(FileNotFoundError):
        look_up()
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("hub", [200], indirect=True)
@pytest.mark.usefixtures("hub")
def test_a_user_who_wants_to_stay_offline_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with hub_or_cache():
        assert constants.HF_HUB_OFFLINE is True
    assert constants.HF_HUB_OFFLINE is True
