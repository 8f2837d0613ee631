import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_carries_configuration_and_templates(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)  # noqa: S603 - our own build
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert f"facebias/conf/{path.relative_to(ROOT / 'conf').as_posix()}" in names
    assert "facebias/report/templates/run.html.j2" in names
    for suffix in ("html.j2", "css", "js"):
        assert f"facebias/live/templates/live.{suffix}" in names
    assert "facebias/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "conf/"))]
