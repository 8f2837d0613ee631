"""Decoded faces, kept once on disk as uint8 in a memory map that all processes share."""

import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from facebias.data.found_faces import NO_FACE, one_thread_in_opencv
from facebias.data.images import BadImageError, Box, DecodedFace, FaceFormat, decode_face
from facebias.data.locks import locked
from facebias.data.pixel_rows import find_pixel_row
from facebias.errors import DataError

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1

_CHUNK, _TASK = 256, 8
_LISTED = 10
_FACES, _CROPS, _INDEX = "faces.npy", "crops.npy", "index.json"
_PARTIAL = ".partial"
_NO_CROP = (float("nan"),) * 4

Boxes = Sequence[Box | None]


class FaceArray(Protocol):
    """What the faces of a store have in common with an array (N, H, W, C) of uint8."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Uint8."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:  # noqa: ANN401
        """Return the faces of these rows."""
        ...


@dataclass(frozen=True)
class _Recipe:
    """What the faces are made from; it makes the key of a store."""

    sources: tuple[Path, ...]
    face_format: FaceFormat
    boxes: tuple[Box | None, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.sources), *self.face_format.shape

    def decode(self, row: int) -> DecodedFace:
        return decode_face(self.sources[row], self.face_format, self.boxes[row])


@dataclass(frozen=True, eq=False)
class DecodedOnRead:
    """Faces that are decoded each time they are read; an array (N, H, W, C) to its readers.

    Args:
        recipe: the sources and the settings.
        bad: the rows that cannot be decoded; they read as zeros.
    """

    recipe: _Recipe
    bad: frozenset[int]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return self.recipe.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Uint8."""
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        """Return the number of rows, bad ones included."""
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:  # noqa: ANN401
        """Decode these rows, given as one index that NumPy takes for the first axis.

        Raises:
            DataError: if a file that could be decoded before cannot be now.
        """
        wanted = np.arange(len(self))[rows]
        faces = np.zeros((wanted.size, *self.shape[1:]), np.uint8)
        for place, row in enumerate(wanted.flat):
            if int(row) not in self.bad:
                faces[place] = self._decode(int(row))
        return faces.reshape(*wanted.shape, *self.shape[1:])

    def _decode(self, row: int) -> NDArray[np.uint8]:
        try:
            return self.recipe.decode(row).pixels
        except BadImageError as error:
            raise DataError(
                f"{self.recipe.sources[row]} cannot be decoded any more: {error.reason}.",
                todo="Leave the images in place while they are used, and start again.",
            ) from error


@dataclass(eq=False)
class FaceStore:
    """The decoded faces of a data set, in the order of their sources.

    It can be sent to another process: the memory map is opened there, not copied.

    Attributes:
        faces: (N, H, W, C) uint8, 0..255, read-only; zeros where a row is bad.
        crops: (N, 4) float32, the part of each upright image that became the face: left, top,
            right, bottom in pixels; NaN where a row is bad.
        bad: the reason of each row that could not be decoded.
        path: the folder of the store; None if faces are decoded on every read.
        built: whether this call decoded the faces, rather than finding them.
    """

    faces: FaceArray
    crops: NDArray[np.float32]
    bad: dict[int, str]
    path: Path | None = None
    built: bool = False

    def __len__(self) -> int:
        """Return the number of rows, bad ones included."""
        return len(self.faces)

    @property
    def nbytes(self) -> int:
        """The bytes of pixels on disk; 0 if faces are decoded on every read."""
        return 0 if self.path is None else int(np.prod(self.faces.shape))

    def read(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return a copy of these faces, (B, H, W, C) uint8, in the order asked for.

        Args:
            rows: (B,) integers, 0..N-1; a row may come more than once.

        Raises:
            IndexError: if a row is not an integer in this range.
        """
        rows = np.asarray(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise IndexError(f"rows are a list of integers, not {rows.dtype} of {rows.shape}")
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows go from 0 to {len(self) - 1}")
        return np.asarray(self.faces[rows.astype(np.intp)])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pixels out: they are on disk."""
        state = dict(self.__dict__)
        if self.path is not None:
            del state["faces"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the memory map again."""
        self.__dict__.update(state)
        if self.path is not None:
            self.faces = _open_map(self.path / _FACES)


def estimate_bytes(n: int, face_format: FaceFormat) -> int:
    """Return the bytes on disk of a store of `n` faces, apart from its small index.

    >>> estimate_bytes(2796, FaceFormat(48, 48, 1))
    6486976
    """
    return n * (face_format.height * face_format.width * face_format.channels + 16) + 256


def open_store(
    sources: Sequence[Path],
    face_format: FaceFormat,
    *,
    folder: Path | None,
    boxes: Boxes | None = None,
    max_bad: int = 20,
    workers: int | None = None,
    progress: bool = True,
) -> FaceStore:
    """Open the store of these faces, and build it first if there is none.

    A store lies in ``folder/<key>/``; the key is a hash of the paths, sizes and times of the
    sources, the boxes, the settings and the versions of the format and of the decoder. It is built
    under a lock in a temporary folder and then renamed, so a reader never sees half a store, and of
    several processes one builds and the others wait and open.

    Args:
        sources: one image file a row; a file may come more than once, with different boxes.
        face_format: the size and the channels of the faces.
        folder: the cache folder; None decodes on every read and writes nothing. Then all images
            are decoded once here, to find the bad ones.
        boxes: for each row left, top, right, bottom in pixels of the upright image, or None.
        max_bad: how many bad images are left out before the set counts as wrong.
        workers: threads that decode; by default one for each core that may be used.
        progress: show a bar, if standard error is a terminal.

    Raises:
        DataError: if there are no sources, the boxes do not match them, more than `max_bad` images
            are bad, or the folder has no room or cannot be written.
    """
    recipe = _recipe(sources, face_format, boxes)
    threads = thread_count(workers)
    if folder is None:
        with progress_bar("decoding faces", len(recipe.sources), progress) as advance:
            crops, bad = _decode_all(recipe, _discard, threads, max_bad, advance)
        return FaceStore(DecodedOnRead(recipe, frozenset(bad)), crops, bad, built=True)
    store = _found_or_built(folder.absolute(), recipe, threads, max_bad, progress)
    _check_bad(store.bad, max_bad, len(store), recipe)
    logger.info("store: %s faces, %s, %s", f"{len(store):,}", _size(store.nbytes), store.path)
    return store


def store_key(sources: Sequence[Path], face_format: FaceFormat, boxes: Boxes | None = None) -> str:
    """Return the name of the folder of these faces: 32 hexadecimal digits.

    Raises:
        DataError: if there are no sources or the boxes do not match them.
    """
    return _key(_recipe(sources, face_format, boxes))


def _recipe(sources: Sequence[Path], face_format: FaceFormat, boxes: Boxes | None) -> _Recipe:
    if not len(sources):
        raise DataError("There are no images to decode.", "at least one")
    if boxes is not None and len(boxes) != len(sources):
        raise DataError(f"{len(boxes)} boxes for {len(sources)} images.", "one box an image")
    absolute = tuple(Path(os.path.abspath(source)) for source in sources)
    plain = [
        None if box is None else tuple(float(edge) for edge in box)
        for box in (boxes if boxes is not None else [None] * len(sources))
    ]
    return _Recipe(absolute, face_format, tuple(plain))


def _key(recipe: _Recipe) -> str:
    settings = [FORMAT_VERSION, PIL.__version__, _settings(recipe.face_format)]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for source, box in zip(recipe.sources, recipe.boxes, strict=True):
        row = find_pixel_row(source)
        try:
            status = (source if row is None else Path(row.file)).stat()
            stamp = [status.st_size, status.st_mtime_ns]
        except (OSError, ValueError):
            stamp = []
        # The path is quoted, so that no path can look like two entries.
        digest.update(json.dumps([os.fsdecode(source), stamp, box]).encode())
    return digest.hexdigest()[:32]


def _settings(face_format: FaceFormat) -> dict[str, Any]:
    """Return the settings; without a finder where there is none."""
    return {name: value for name, value in asdict(face_format).items() if value is not None}


def thread_count(workers: int | None) -> int:
    """Return how many threads to work with: as many as asked for, or one a usable core."""
    if workers is not None:
        return max(1, workers)
    # The cores that a scheduler gave to this process may be fewer than those of the machine.
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _found_or_built(
    folder: Path, recipe: _Recipe, workers: int, max_bad: int, progress: bool
) -> FaceStore:
    key = _key(recipe)
    # A store that is there needs no lock, so it can be read where nothing can be written.
    found = _find(folder / key, recipe)
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{key}.lock", "decodes these faces"):
            found = _find(folder / key, recipe)
            if found is not None:
                return found
            _remove_leftovers(folder, key)
            _check_room(folder, recipe)
            return _build(folder / key, recipe, workers, max_bad, progress)
    except OSError as error:
        raise DataError(
            f"The store cannot be written in {folder}: {error}.",
            "a cache folder that can be written",
            "Choose another cache folder, or no store.",
        ) from error


def _remove_leftovers(folder: Path, key: str) -> None:
    """Remove what killed processes left, of any key; a living build holds the lock of its key."""
    for partial in folder.glob(f"*{_PARTIAL}"):
        other = partial.name.split(".")[0]
        if other == key:
            shutil.rmtree(partial, ignore_errors=True)
            continue
        try:
            with FileLock(folder / f"{other}.lock", timeout=0):
                shutil.rmtree(partial, ignore_errors=True)
        except Timeout:
            continue


def _check_room(folder: Path, recipe: _Recipe) -> None:
    needed = estimate_bytes(len(recipe.sources), recipe.face_format)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"The store needs {_size(needed)}, and {_size(free)} are free in {folder}.",
            todo="Free some room, choose another cache folder, or no store.",
        )


def _build(target: Path, recipe: _Recipe, workers: int, max_bad: int, progress: bool) -> FaceStore:
    """Decode into a temporary folder, rename it to the target and open it."""
    prefix = f"{target.name}."
    partial = Path(tempfile.mkdtemp(suffix=_PARTIAL, prefix=prefix, dir=target.parent))
    try:
        with progress_bar("decoding faces", len(recipe.sources), progress) as advance:
            crops, bad = _write(partial, recipe, workers, max_bad, advance)
        # The lock is held and the target could not be read, so what is there is damaged.
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return FaceStore(_open_map(target / _FACES), crops, bad, target, built=True)


def _write(
    folder: Path, recipe: _Recipe, workers: int, max_bad: int, advance: Callable[[int], None]
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Write and sync the files of a store; return its crops and its bad rows."""
    faces = np.lib.format.open_memmap(
        folder / _FACES, mode="w+", dtype=np.uint8, shape=recipe.shape
    )
    _reserve(folder / _FACES)
    crops, bad = _decode_all(recipe, faces.__setitem__, workers, max_bad, advance)
    faces.flush()
    np.save(folder / _CROPS, crops, allow_pickle=False)
    index = {
        "format": FORMAT_VERSION,
        "decoder": f"Pillow {PIL.__version__}",
        "settings": _settings(recipe.face_format),
        "count": len(recipe.sources),
        "bad": {str(row): reason for row, reason in bad.items()},
        "faces_bytes": (folder / _FACES).stat().st_size,
        "crops_crc32": zlib.crc32((folder / _CROPS).read_bytes()),
    }
    (folder / _INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    folder.chmod(0o755)  # the temporary folder was this user's only; a store may be shared
    for path in (folder / _FACES, folder / _CROPS, folder / _INDEX, folder):
        _sync(path)
    return crops, bad


def _reserve(path: Path) -> None:
    """Take the room on disk now: writing to a map on a full disk kills the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_map(path: Path) -> NDArray[np.uint8]:
    faces: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return faces


def _find(folder: Path, recipe: _Recipe) -> FaceStore | None:
    """Open a store; None if there is none or a file of it is damaged or of the wrong size."""
    if not folder.is_dir():
        return None
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        bad = {int(row): str(reason) for row, reason in index["bad"].items()}
        intact = (
            index["format"] == FORMAT_VERSION
            and index["faces_bytes"] == (folder / _FACES).stat().st_size
            and index["crops_crc32"] == zlib.crc32((folder / _CROPS).read_bytes())
        )
        faces = _open_map(folder / _FACES)
        crops = np.load(folder / _CROPS, allow_pickle=False)
        intact = intact and faces.shape == recipe.shape and faces.dtype == np.uint8
        intact = intact and crops.shape == (len(faces), 4) and set(bad) <= set(range(len(faces)))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("store: %s cannot be read (%s) and is built again", folder, error)
        return None
    if not intact:
        logger.warning("store: %s is damaged and is built again", folder)
        return None
    return FaceStore(faces, crops, bad, folder)


def _discard(row: int, pixels: NDArray[np.uint8]) -> None:
    pass


def _decode_all(
    recipe: _Recipe,
    write: Callable[[int, NDArray[np.uint8]], None],
    workers: int,
    max_bad: int,
    advance: Callable[[int], None],
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Decode every row with threads, each straight into its place; return the crops and the bad."""

    def decode(row: int) -> tuple[float, float, float, float] | str:
        try:
            face = recipe.decode(row)
        except BadImageError as error:
            return error.reason
        write(row, face.pixels)
        return face.crop

    def decode_some(rows: range) -> list[tuple[float, float, float, float] | str]:
        return [decode(row) for row in rows]

    count, bad = len(recipe.sources), dict[int, str]()
    crops = np.full((count, 4), _NO_CROP, np.float32)
    calm = one_thread_in_opencv() if recipe.face_format.finder else nullcontext()
    with calm, ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        # In chunks, so that a wrong set stops early and the queue stays short.
        for start in range(0, count, _CHUNK):
            rows = range(start, min(start + _CHUNK, count))
            # A few at a time: to hand over each row alone would cost a thread more than to wait.
            tasks = [rows[first : first + _TASK] for first in range(0, len(rows), _TASK)]
            outcomes = chain.from_iterable(pool.map(decode_some, tasks))
            for row, outcome in zip(rows, outcomes, strict=True):
                if isinstance(outcome, str):
                    bad[row] = outcome
                else:
                    crops[row] = outcome
            advance(len(rows))
            _check_bad(bad, max_bad, rows.stop, recipe)
    return crops, bad


def _check_bad(bad: dict[int, str], max_bad: int, seen: int, recipe: _Recipe) -> None:
    bad = {row: reason for row, reason in bad.items() if reason != NO_FACE}  # a sound photo
    if len(bad) <= max_bad:
        return
    listed = [f"{recipe.sources[row]}: {bad[row]}" for row in sorted(bad)[:_LISTED]]
    more = [f"and {len(bad) - _LISTED} more"] if len(bad) > _LISTED else []
    raise DataError(
        "\n  ".join([f"{len(bad)} of the first {seen:,} images are bad:", *listed, *more]),
        f"at most {max_bad} (max_bad)",
        "Mend or leave out these files, or raise max_bad.",
    )


@contextmanager
def progress_bar(what: str, total: int, wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """Give a function that counts rows done; a bar shows them, if it would be seen.

    Args:
        what: is being done.
        total: number of rows.
        wanted: whether to show a bar at all.
    """
    if not wanted or total <= _CHUNK or not sys.stderr.isatty():
        yield lambda done: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, advance=done)
