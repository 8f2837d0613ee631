"""What tests of generated faces may use."""

import pytest

from facebias.faces.factors import FaceFactors
from facebias.faces.render import RenderedFace
from tests.faces.stand_in import draw


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[FaceFactors]:
    """Draw instead of rendering, in batches of 4; gives what was drawn, in order."""
    calls: list[FaceFactors] = []

    def counted(factors: FaceFactors, size: int = 64, supersampling: int = 2) -> RenderedFace:
        calls.append(factors)
        return draw(factors, size, supersampling)

    monkeypatch.setattr("facebias.faces.render.render_face", counted)
    monkeypatch.setattr("facebias.faces.writer._BATCH", 4)
    return calls
