"""Folders of generated faces: pictures, regions and one table, rendered on all cores."""

import hashlib
import json
import os
import shutil
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image

from facebias.errors import DataError, RunError
from facebias.faces import render
from facebias.faces.arrays import Float32, UInt8
from facebias.faces.landmarks import FIVE_POINTS, landmark_names
from facebias.faces.population import factors_of
from facebias.faces.regions import PARTS
from facebias.faces.render import RenderedFace
from facebias.faces.sheet import contact_sheet, counterfactual_row
from facebias.files import whole_file, write_json

PLAN, TABLE, SHEET, PAIRS = "faces.json", "faces.parquet", "sheet.png", "pairs.png"
IMAGES, REGIONS, _PARTS, _LOCK = "images", "regions", "parts", ".lock"

GENERATOR = 1
"""Raised whenever equal plans give other faces, or are cut into other batches."""

_BATCH = 50  # faces between two part files: half a second of work
_COMPRESSION = 3  # of zlib; 6 takes nearly twice the time for 2 % less


class _Batch(NamedTuple):
    """Faces that one process renders at a time."""

    number: int
    rows: Sequence[dict[str, Any]]
    folder: Path
    size: int
    supersampling: int

    @property
    def part(self) -> Path:
        return _part_file(self.folder, self.number)


def write_faces(
    folder: Path,
    faces: pd.DataFrame,
    *,
    size: int,
    supersampling: int = 2,
    workers: int | None = None,
    plan: Mapping[str, Any],
) -> int:
    """Render faces into a folder; one that was left half done is gone on with.

    It gets `images/<id>.png`, `regions/<batch>.png` (the maps of 50 faces below each other, in
    palette images whose index is a part's place in `facebias.faces.regions.PARTS`), `sheet.png`,
    `pairs.png` where there are twins, `faces.json` (the plan, and what was written) and at last
    `faces.parquet`: the rows of `faces` with

    - `source` and `regions`: paths of the pictures below the folder, with `/`;
    - `regions_top`: the row of pixels where the face's own map begins;
    - `landmarks`: x and y in pixels, one landmark after the other; `attrs["landmarks"]` of the
      table has their names, and the five points have columns such as `landmark_left_eye_x`;
    - `checksum`: CRC-32 of the pixels of image and regions.

    The bytes do not depend on the number of workers, nor on interruptions.

    Args:
        folder: a new or empty one, or one with the same plan.
        faces: as `facebias.faces.population.draw_faces` returns them, twins included.
        size: side of the images, pixels.
        supersampling: samples a pixel's side.
        workers: processes, at least 1; null takes one a core.
        plan: what was asked for, in JSON's types; tells folders apart.

    Returns:
        How many faces were rendered; 0 where all of them were there already.

    Raises:
        DataError: if the folder holds anything else, or faces of another plan.
        RunError: if it cannot be written to, or another process is at work in it.
    """
    asked = _asked(faces, size, supersampling, plan)
    _refuse_other_content(folder, asked)
    if _is_finished(folder) and not _missing(folder, faces):
        return 0
    with _told(folder), _locked(folder), _ended_by_sigterm():
        if not (folder / PLAN).is_file():  # before all else: it says whose the rest is
            write_json(folder / PLAN, {"plan": asked, "written": None})
        for name in (IMAGES, REGIONS):
            (folder / name).mkdir(exist_ok=True)
        missing = _missing(folder, faces)
        batches = (_batch(folder, faces, number, size, supersampling) for number in missing)
        rendered = sum(len(_slice(faces, number)) for number in missing)
        with _progress(len(faces), len(faces) - rendered) as advance:
            for count in _counts(batches, len(missing), workers):
                advance(count)
        _finish(folder, faces, size)
    return rendered


def read_faces(folder: Path) -> pd.DataFrame:
    """Return the table of a finished folder of faces.

    Raises:
        DataError: if the folder is none, or its faces are not finished.
    """
    if not (folder / PLAN).is_file():
        raise DataError(
            f"{folder} is no folder of generated faces",
            f"a folder with {PLAN} and {TABLE}, as python -m facebias.faces leaves it",
        )
    content = _read_plan(folder)
    if not _is_finished(folder) or content["written"] is None:
        raise DataError(
            f"the faces in {folder} are not finished",
            f"a folder with {TABLE}",
            "run its command again; it goes on where it stopped",
        )
    return _read_table(folder, content["written"]["faces"])


def _read_table(folder: Path, expected: int) -> pd.DataFrame:
    try:
        table = pd.read_parquet(folder / TABLE)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / TABLE} cannot be read: {error}", "a Parquet file") from error
    if len(table) != expected:
        raise DataError(f"{folder / TABLE} has {len(table)} faces", f"{expected}, as {PLAN} says")
    return table


def size_of(folder: Path) -> int:
    """Return the side of the images in a folder of faces, pixels."""
    return int(_read_plan(folder)["plan"]["size"])


def read_picture(folder: Path) -> Callable[[str], UInt8]:
    """Return a function that gives the image (size, size, 3) of a face by its id."""

    def picture(name: str) -> UInt8:
        with Image.open(folder / IMAGES / f"{name}.png") as image:
            return np.asarray(image.convert("RGB"))

    return picture


def read_regions(folder: Path, faces: pd.DataFrame) -> UInt8:
    """Return the region maps of faces.

    Args:
        folder: of the faces.
        faces: rows of its table.

    Returns:
        (len(faces), size, size), codes that index `facebias.faces.regions.PARTS`.
    """
    size = size_of(folder)
    maps = np.empty((len(faces), size, size), np.uint8)
    tops = faces["regions_top"].to_numpy()
    for strip, places in faces.reset_index(drop=True).groupby("regions").indices.items():
        with Image.open(folder / strip) as picture:
            codes = np.asarray(picture)
        for place in places:
            maps[place] = codes[tops[place] : tops[place] + size]
    return maps


def _asked(
    faces: pd.DataFrame, size: int, supersampling: int, plan: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the plan with all that the pictures depend on, as JSON gives it back."""
    rows = pd.util.hash_pandas_object(faces, index=False).to_numpy()
    digest = hashlib.sha256(rows.tobytes()).hexdigest()
    known = {"size": size, "supersampling": supersampling, "generator": GENERATOR}
    asked: dict[str, Any] = json.loads(json.dumps({**plan, **known, "rows": digest}))
    return asked


def _refuse_other_content(folder: Path, asked: Mapping[str, Any]) -> None:
    """Refuse a folder that holds anything but faces of this plan, and touch nothing."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file", "a folder", "choose another with out=FOLDER")
    if (folder / PLAN).is_file():
        _refuse_other_plan(folder, _read_plan(folder)["plan"], asked)
    elif folder.is_dir():
        foreign = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if foreign:
            raise DataError(
                f"{folder} holds other things, such as {foreign[0]}",
                "a new or empty folder, or one of generated faces",
                "choose another with out=FOLDER",
            )


def _refuse_other_plan(folder: Path, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    for key in dict.fromkeys([*asked, *there]):
        if there.get(key) != asked.get(key):
            raise DataError(
                f"the faces in {folder} were drawn with {key}={there.get(key)}, not with "
                f"{asked.get(key)}",
                "the same plan, to go on with it",
                "choose another folder with out=FOLDER, or remove this one",
            )


def _read_plan(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / PLAN} cannot be read: {error}", "a JSON file") from error
    if not isinstance(content, dict) or not isinstance(content.get("plan"), dict):
        raise DataError(f"{folder / PLAN} holds no plan of generated faces", "a key 'plan'")
    return {"plan": content["plan"], "written": content.get("written")}


def _is_finished(folder: Path) -> bool:
    return (folder / TABLE).is_file()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Say in plain words what kept the faces from being written."""
    todo = f"make room in {folder}, or choose another folder with out=FOLDER; then run it again"
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}",
            "a folder that can be written to, with free space",
            todo,
        ) from error
    except RunError as error:
        raise RunError(error.found, error.expected, todo) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of the folder while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / _LOCK, blocking=False):
            yield
            (folder / _LOCK).unlink(missing_ok=True)
    except Timeout as error:
        raise RunError(f"another process writes faces into {folder}", "one at a time") from error


def _missing(folder: Path, faces: pd.DataFrame) -> list[int]:
    """Return the numbers of the batches that lack a picture, or their part of the table.

    A file without a byte is what a machine leaves that lost its power: it counts as absent.
    """
    images, strips = _names(folder / IMAGES), _names(folder / REGIONS)
    parts, finished = _names(folder / _PARTS), _is_finished(folder)
    files = [f"{name}.png" for name in faces["id"]]
    return [
        number
        for number, start in enumerate(range(0, len(files), _BATCH))
        if not images.issuperset(files[start : start + _BATCH])
        or Path(_strip(number)).name not in strips
        or not (finished or _part_file(folder, number).name in parts)
    ]


def _names(folder: Path) -> set[str]:
    """Return the names of a folder's files that are not empty; none where it does not exist."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if _has_bytes(entry)}


def _has_bytes(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat().st_size > 0
    except FileNotFoundError:  # another process has just renamed it
        return False


def _part_file(folder: Path, number: int) -> Path:
    return folder / _PARTS / f"{number:06d}.parquet"


def _strip(number: int) -> str:
    """Return the path, below the folder, of the region maps of a batch."""
    return f"{REGIONS}/{number:06d}.png"


def _batch(folder: Path, faces: pd.DataFrame, number: int, size: int, supersampling: int) -> _Batch:
    return _Batch(number, _slice(faces, number).to_dict("records"), folder, size, supersampling)


def _slice(faces: pd.DataFrame, number: int) -> pd.DataFrame:
    return faces.iloc[number * _BATCH : (number + 1) * _BATCH]


def _counts(batches: Iterable[_Batch], total: int, workers: int | None) -> Iterator[int]:
    """Render batches on several processes; yield how many faces each had, as it is done."""
    from joblib import Parallel, cpu_count, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    many = max(1, min(workers or cpu_count(), total))
    render_batch = partial(_render_batch, parent=os.getpid())
    with parallel_config("loky", inner_max_num_threads=1):  # one core, one process, one thread
        parallel = Parallel(many, return_as="generator_unordered", batch_size=1)
        try:
            yield from parallel(delayed(render_batch)(batch) for batch in batches)
        except TerminatedWorkerError as error:
            raise RunError(
                "a process that rendered faces was ended from outside", "memory for all of them"
            ) from error


@contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, where that is a terminal; give a function that moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        "faces",
        BarColumn(),
        MofNCompleteColumn(),
        "{task.speed:.0f}/s",
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("faces", total=total, completed=done)
        yield lambda count: bar.advance(task, count)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that the processes that render end too."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # signals are not for it
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@cache
def _end_with(parent: int) -> None:
    """End this process when its parent does; joblib's stay for ever if that one is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if os.getpid() != parent:
        threading.Thread(target=watch, daemon=True).start()


def _render_batch(batch: _Batch, parent: int) -> int:
    """Write the pictures of a batch, then its part of the table.

    Returns:
        How many faces it has.
    """
    _end_with(parent)
    faces = [_render_row(row, batch) for row in batch.rows]
    strip = Image.fromarray(np.concatenate([face.regions for face in faces]))
    strip.putpalette(_palette())
    with whole_file(batch.folder / _strip(batch.number)) as temporary:
        strip.save(temporary, compress_level=_COMPRESSION)
    part = pd.DataFrame(
        {
            "landmarks": [face.landmarks.ravel() for face in faces],
            "checksum": [_checksum(face) for face in faces],
        }
    )
    with whole_file(batch.part) as temporary:
        part.to_parquet(temporary, index=False)
    return len(part)


def _render_row(row: Mapping[str, Any], batch: _Batch) -> RenderedFace:
    """Render a face and write its image."""
    face = render.render_face(factors_of(row), batch.size, batch.supersampling)
    file = batch.folder / IMAGES / f"{row['id']}.png"
    Image.fromarray(face.image).save(file, compress_level=_COMPRESSION)
    return face


def _checksum(face: RenderedFace) -> int:
    return zlib.crc32(face.regions.tobytes(), zlib.crc32(face.image.tobytes()))


@cache
def _palette() -> bytes:
    """Return an sRGB colour for each part: black for the background, and hues far apart."""
    from colorsys import hsv_to_rgb

    hues = [(0.618 * number % 1, 0.45 + 0.2 * (number % 3)) for number in range(1, len(PARTS))]
    colours = [hsv_to_rgb(hue, saturation, 0.95) for hue, saturation in hues]
    return bytes(3) + bytes(round(255 * channel) for colour in colours for channel in colour)


def _finish(folder: Path, faces: pd.DataFrame, size: int) -> None:
    """Draw the sheet, join the parts into the table, and remove them."""
    contact_sheet(faces, read_picture(folder), folder / SHEET)
    if _has_twins(faces):
        counterfactual_row(faces, read_picture(folder), folder / PAIRS)
    if not _is_finished(folder):
        _write_table(folder, _joined(folder, faces, size))
    shutil.rmtree(folder / _PARTS, ignore_errors=True)


def _has_twins(faces: pd.DataFrame) -> bool:
    return "pair" in faces and bool((faces["pair"] != faces["id"]).any())


def _write_table(folder: Path, table: pd.DataFrame) -> None:
    """Write what the plan became, then the table: where that is, everything is."""
    checksum = hashlib.sha256(table["checksum"].to_numpy(np.uint32).tobytes()).hexdigest()
    written = {"faces": len(table), "landmarks": table.attrs["landmarks"], "checksum": checksum}
    write_json(folder / PLAN, _read_plan(folder) | {"written": written})
    with whole_file(folder / TABLE) as temporary:
        table.to_parquet(temporary, index=False)


def _joined(folder: Path, faces: pd.DataFrame, size: int) -> pd.DataFrame:
    """Return the rows of the faces with what rendering found out."""
    numbers = range(-(-len(faces) // _BATCH))
    parts = pd.concat([pd.read_parquet(_part_file(folder, i)) for i in numbers], ignore_index=True)
    table = faces.reset_index(drop=True).assign(
        source=[f"{IMAGES}/{name}.png" for name in faces["id"]],
        regions=[_strip(place // _BATCH) for place in range(len(faces))],
        regions_top=[place % _BATCH * size for place in range(len(faces))],
        **_five_points(np.stack(parts["landmarks"].tolist())),
        landmarks=parts["landmarks"],
        checksum=parts["checksum"],
    )
    table.attrs["landmarks"] = list(landmark_names())
    return table


def _five_points(landmarks: Float32) -> dict[str, Float32]:
    """Return a column for x and y of each of the five points.

    Args:
        landmarks: (faces, 2 * landmarks), pixels.
    """
    return {
        f"landmark_{name.replace(' ', '_')}_{axis}": landmarks[:, 2 * number + offset]
        for name in FIVE_POINTS
        for number in [landmark_names().index(name)]
        for offset, axis in enumerate("xy")
    }
