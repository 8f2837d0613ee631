"""The mesh of a head with its targets and masks: what every generated face is made from.

Left is the person's left, x > 0; y is up and z to the front, in decimetres. Where the arrays come
from is in `head.LICENSE.md`, how they were cut out in `facebias.faces.build_head`.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from facebias.errors import DataError
from facebias.faces.arrays import Float32, Int32, UInt8

HEAD_FILE = Path(__file__).with_name("head.npz")

MASKS = ("lips", "eyelids", "ears", "inside mouth")

_Array = TypeVar("_Array", bound=npt.NDArray[Any])


class Target(NamedTuple):
    """What a morph target adds to the mesh at weight 1.

    Attributes:
        indices: (n,), the vertices that it moves, each once, in order.
        offsets: (n, 3), by how much.
    """

    indices: Int32
    offsets: Float32


@dataclass(frozen=True, eq=False)
class Head:
    """A mesh of quads, targets that morph it, and masks on its texture; all read-only.

    The targets of kind race hold the point between the eyes in place, whatever the body's height.

    Attributes:
        vertices: (V, 3), of the mesh before any target.
        uv: (T, 2), places on the texture, u to the right and v up, 0 to 1.
        quads: (F, 4), corners as indices of vertices, counter-clockwise from outside.
        uv_quads: (F, 4), corners as indices of texture places.
        quad_part: (F,), index into the parts.
        parts: names of the parts of the mesh: body, left eye, ...
        target_names: `race/<race>-<gender>-<age>`, `universal/<gender>-<age>-<weight>`,
            `local/<part of a face and direction>`, `action/<facial action>`.
        target_starts: (N + 1,), where the offsets of each target start and end.
        target_index: (n,), vertices that targets move.
        target_offset: (n, 3), by how much at weight 1.
        masks_window: (4,), the part of the texture that the masks show: left and right u, and
            top and bottom as 1 - v.
        masks: (H, W) each, 0 to 1, by the names in MASKS.
        occlusion: (V,), the share of the light from all sides that reaches a vertex of an average
            adult at rest, 0 to 1.
    """

    vertices: Float32
    uv: Float32
    quads: Int32
    uv_quads: Int32
    quad_part: UInt8
    parts: tuple[str, ...]
    target_names: tuple[str, ...]
    target_starts: Int32
    target_index: Int32
    target_offset: Float32
    masks_window: Float32
    masks: Mapping[str, Float32]
    occlusion: Float32

    @cached_property
    def triangles(self) -> Int32:
        """(2 F, 3), the first halves of all quads and then the second ones."""
        return _triangles(self.quads)

    @cached_property
    def uv_triangles(self) -> Int32:
        """(2 F, 3), corners of the triangles as indices of texture places."""
        return _triangles(self.uv_quads)

    @cached_property
    def triangle_part(self) -> UInt8:
        """(2 F,), index into the parts."""
        return _read_only(np.tile(self.quad_part, 2))

    def target(self, name: str) -> Target:
        """Return the target of this name.

        Raises:
            DataError: if there is none.
        """
        try:
            number = self._target_numbers[name]
        except KeyError:
            raise DataError(f"The head has no target {name!r}.") from None
        rows = slice(*self.target_starts[number : number + 2])
        return Target(self.target_index[rows], self.target_offset[rows])

    def mask_at(self, name: str, uv: Float32) -> Float32:
        """Return the values of a mask, interpolated between its pixels; 0 where it shows nothing.

        Args:
            name: one of MASKS.
            uv: (..., 2), places on the texture.
        """
        mask = self.masks[name]
        left, right, top, bottom = self.masks_window
        x = (uv[..., 0] - left) / (right - left) * mask.shape[1] - 0.5
        y = (1 - uv[..., 1] - top) / (bottom - top) * mask.shape[0] - 0.5
        column = np.clip(x, 0, mask.shape[1] - 2).astype(np.intp)
        row = np.clip(y, 0, mask.shape[0] - 2).astype(np.intp)
        a, b = x - column, y - row
        upper = mask[row, column] * (1 - a) + mask[row, column + 1] * a
        lower = mask[row + 1, column] * (1 - a) + mask[row + 1, column + 1] * a
        shown = (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)
        value: Float32 = np.where(shown, upper * (1 - b) + lower * b, 0).astype(np.float32)
        return value

    def mask_at_vertices(self, name: str) -> Float32:
        """Return the values (V,) of a mask at the vertices of the body, 0 at all others.

        At a seam of the texture, where a vertex has several places, the largest one counts.
        """
        body = self.quad_part == self.parts.index("body")
        values = np.zeros(len(self.vertices), np.float32)
        np.maximum.at(values, self.quads[body], self.mask_at(name, self.uv[self.uv_quads[body]]))
        return values

    @cached_property
    def _target_numbers(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self.target_names)}


@cache
def load_head() -> Head:
    """Return the head; one for the whole process.

    Raises:
        DataError: if its file is missing or broken.
    """
    try:
        with HEAD_FILE.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _head({name: stored[name] for name in stored.files})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(
            f"The mesh of the head cannot be read ({HEAD_FILE}): {error}.",
            todo="Install facebias again: pip install --force-reinstall --no-deps facebias",
        ) from error


def _head(stored: Mapping[str, npt.NDArray[Any]]) -> Head:
    def numbers(name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        return _read_only(stored[name].astype(dtype))

    return Head(
        vertices=numbers("vertices", np.float32),
        uv=numbers("uv", np.float32),
        quads=numbers("quads", np.int32),
        uv_quads=numbers("uv_quads", np.int32),
        quad_part=numbers("quad_part", np.uint8),
        parts=tuple(stored["parts"].tolist()),
        target_names=tuple(stored["target_names"].tolist()),
        target_starts=numbers("target_starts", np.int32),
        target_index=numbers("target_index", np.int32),
        target_offset=numbers("target_offset", np.float32),
        masks_window=numbers("masks_window", np.float32),
        masks=MappingProxyType(
            {name: _share(stored[f"mask_{name.replace(' ', '_')}"]) for name in MASKS}
        ),
        occlusion=_share(stored["occlusion"]),
    )


def _share(stored: UInt8) -> Float32:
    """Return bytes as shares, 0 to 1."""
    return _read_only(stored.astype(np.float32) / np.float32(255))


def _triangles(quads: Int32) -> Int32:
    return _read_only(np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


def _read_only(array: _Array) -> _Array:
    array.setflags(write=False)
    return array
