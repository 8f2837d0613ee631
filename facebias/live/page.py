"""The one page, and the rules under which a browser runs it."""

import secrets
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import colormaps

from facebias.cam.overlay import COLOUR_MAP, OPACITY
from facebias.live.frames import FrameReader
from facebias.runs.trained import TrainedRun

PREDICTED = 255
"""What a frame begins with if the map is for the predicted class."""

_LONGEST_PHOTO = 1280  # pixels of a photo's longer side, as it is sent
_LONGEST_FRAME = (320, 640)  # of the camera's, at least and at most
_FRAME_PER_FACE = 3  # pixels of a frame for each of a face: a face fills about a third


def render_page(
    run: TrainedRun, reader: FrameReader, *, rate: float, largest: int, nonce: str
) -> str:
    """Fill the page; all text is escaped.

    Args:
        run: whose model answers.
        reader: that answers its frames.
        rate: frames a second that the server takes.
        largest: bytes of a frame that it takes.
        nonce: of the page's script and style.
    """
    environment = Environment(
        loader=PackageLoader("facebias.live"), autoescape=True, undefined=StrictUndefined
    )
    form = reader.cut.form
    shortest, longest = _LONGEST_FRAME
    settings = {
        "classes": reader.classes,
        "rate": rate,
        "largest": largest,
        "frame": min(max(_FRAME_PER_FACE * max(form.height, form.width), shortest), longest),
        "photo": _LONGEST_PHOTO,
        "colours": heat_colours(),
    }
    return environment.get_template("live.html.j2").render(
        nonce=nonce,
        settings=settings,
        classes=reader.classes,
        predicted=PREDICTED,
        run=_run_name(run),
        accuracy=_accuracy(run),
        split=run.results.headline_split,
        face=f"{form.width} × {form.height} pixels, {'gray' if form.channels == 1 else 'colour'}",
        cut=reader.cut.words,
    )


def page_headers(nonce: str, host: str) -> dict[str, str]:
    """Return what keeps the page to itself: no foreign requests, no inline code but its own.

    Args:
        nonce: of the page's script and style.
        host: address and port of the server.
    """
    policy = {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": f"'nonce-{nonce}'",
        "connect-src": f"ws://{host}",
        "img-src": "data:",  # the empty icon, without which browsers ask for one
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        "Referrer-Policy": "no-referrer",  # the address holds the token
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def new_nonce() -> str:
    """Return a word that no other answer has."""
    return secrets.token_urlsafe(16)


def heat_colours() -> list[list[int]]:
    """Return red, green, blue and opacity, 0..255, of a map's values 0..255, as `overlay` lays."""
    steps = np.linspace(0, 1, 256)
    colours = np.column_stack([np.asarray(colormaps[COLOUR_MAP](steps))[:, :3], OPACITY * steps])
    levels: list[list[int]] = np.rint(255 * colours).astype(int).tolist()
    return levels


def _run_name(run: TrainedRun) -> str:
    """Return what the run was called and trained with."""
    config, folder = run.config, run.folder.absolute().name
    bias = "" if config.bias.variant == "none" else f", train faces: {config.bias.variant}"
    return f"{config.name}, seed {config.seed}{bias} (folder {folder})"


def _accuracy(run: TrainedRun) -> dict[str, Any] | None:
    """Return what the run reached on faces of its own, where that was measured."""
    report = run.results.fairness.get(run.results.headline_split)
    return None if report is None else report["overall"]
