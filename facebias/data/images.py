"""Decoding one face: from an untrusted file to exact 8-bit pixels, or a short reason why not."""

import io
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from facebias.data.pixel_rows import find_pixel_row, read_gray_map
from facebias.errors import ConfigError, DataError

Box = Sequence[float]
"""Left, top, right, bottom, in pixels of the upright image."""

# Raster formats only: Pillow would hand EPS to an interpreter that executes it.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
# Below Pillow's own limit for a warning, so that ours is the one that decides.
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256_000_000

# Transparent pixels become mid-gray: the neutral value of a normalised input. Black or white would
# draw a dark or a bright frame around a face, and so add a cue about its tone.
BACKGROUND = 128

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(DataError):
    """An image that cannot be decoded into a face."""

    @property
    def reason(self) -> str:
        """The short reason, without the name of the file."""
        return self.found


@dataclass(frozen=True)
class FaceFormat:
    """The settings that define the stored pixels of a face.

    Args:
        height: rows, in pixels.
        width: columns, in pixels.
        channels: 1 (gray, ITU-R 601) or 3 (RGB).
        margin: what a given box grows by on each side, as a share of its own width and height.
        finder: the checksum of the network that finds the face where no box is given; None: the
            middle of the image is the face.

    Raises:
        ConfigError: if a setting is out of its range.
    """

    height: int
    width: int
    channels: int
    margin: float = 0.0
    finder: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.height < 1 or self.width < 1:
            raise ConfigError(
                f"The size of a face is {self.height} x {self.width}.", "at least 1 x 1 pixels"
            )
        if self.channels not in (1, 3):
            raise ConfigError(f"A face has {self.channels} channels.", "1 (gray) or 3 (RGB)")
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise ConfigError(f"The margin is {self.margin}.", "a number from 0 up")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one face: (height, width, channels)."""
        return self.height, self.width, self.channels


@dataclass(frozen=True, eq=False)
class DecodedFace:
    """One face and where it was in its image.

    Args:
        pixels: uint8, (H, W, C), 0..255.
        crop: left, top, right, bottom of the part that became the face, in pixels of the upright
            image (after its EXIF orientation). A point (x, y) of the image is
            ``((x - left) * W / (right - left), (y - top) * H / (bottom - top))`` in the face.
    """

    pixels: NDArray[np.uint8]
    crop: tuple[float, float, float, float]


def decode_face(
    source: Path | bytes,
    face_format: FaceFormat,
    box: Box | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> DecodedFace:
    """Decode one face: turn it upright, make it gray or RGB, crop it, resize it.

    Of an animation, the first frame. Transparent parts are composited on mid-gray (128). Gray of 16
    bits is divided by 257 and rounded, not clipped; RGB of 16 bits keeps its high byte. The part is
    `box`, grown by the margin and clamped to the image, whatever its aspect ratio; or the largest
    centred area with the aspect ratio of the face; or, where the format names a finder, the largest
    face that it finds. It is resized with the antialiased bilinear
    filter: unlike Lanczos it does not ring, so no value leaves the range of its neighbours, and it
    is the filter that most pretrained networks saw. A part that already has the size of the face is
    returned byte for byte.

    No state of Pillow or of `warnings` is touched, so threads may call this at will. Damaged tags
    of a JPEG are ignored in silence. For the rare damaged tags of a TIFF or an animated PNG, Pillow
    warns, or the image is bad where warnings are errors.

    Args:
        source: the file, a row of pixels in a CSV file (`pixel_rows`), or the content of a file.
        face_format: the size and the channels.
        box: left, top, right, bottom in pixels of the upright image.
        max_pixels: the largest width x height that is decoded.

    Raises:
        BadImageError: for whatever is wrong with the file, its content or the box.

    Example:
        >>> content = b"P5 2 2 255 " + bytes([0, 50, 100, 150])
        >>> decode_face(content, FaceFormat(2, 2, 1)).pixels[..., 0].tolist()
        [[0, 50], [100, 150]]
        >>> decode_face(content, FaceFormat(2, 1, 1)).crop
        (0.5, 0.0, 1.5, 2.0)
    """
    image = decode_image(source, max_pixels=max_pixels)
    if box is None and face_format.finder is not None:
        from facebias.data.found_faces import cut_found_face  # which imports this module

        return cut_found_face(image, face_format)
    return cut_face(image, face_format, box)


def decode_image(source: Path | bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a whole image as `decode_face` does: upright, 8-bit gray or RGB, not transparent.

    Args:
        source: as for `decode_face`.
        max_pixels: the largest width x height that is decoded.

    Raises:
        BadImageError: for whatever is wrong with the file or its content.
    """
    content, orientation = _split_exif(_read(source))
    try:
        image = _load(content, max_pixels)
        return _upright(_plain(image), orientation or _stored_orientation(image))
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError("not an image, or not " + ", ".join(FORMATS)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(max_pixels) from None
    except Exception as error:
        # Pillow's decoders raise whatever a damaged byte leads them to.
        raise BadImageError(f"damaged or truncated ({_first_line(error)})") from error


def cut_face(image: Image.Image, face_format: FaceFormat, box: Box | None = None) -> DecodedFace:
    """Cut a face out of an image and resize it, as `decode_face` does.

    Args:
        image: as `decode_image` returns it.
        face_format: the size and the channels.
        box: left, top, right, bottom in pixels of the image.

    Raises:
        BadImageError: for a box that is not in the image.
    """
    crop = _crop(image.size, face_format, box)
    return DecodedFace(_resized(image, face_format, crop), crop)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:120] if lines else type(error).__name__


def _too_large(max_pixels: int) -> BadImageError:
    return BadImageError(f"too large: more than {max_pixels:,} pixels")


def _read(source: Path | bytes) -> bytes:
    """Return the content, which is not empty."""
    try:
        row = None if isinstance(source, bytes) else find_pixel_row(source)
        if row is not None:
            return read_gray_map(row)
        # Only a regular file has an end: a pipe or a device would block.
        if not isinstance(source, bytes) and not source.is_file():
            raise BadImageError("not a file" if source.exists() else "no such file")
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > MAX_FILE_BYTES:
            raise BadImageError(f"too large: more than {MAX_FILE_BYTES:,} bytes")
        content = source if isinstance(source, bytes) else source.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or _first_line(error)
        raise BadImageError(f"cannot be read ({reason})") from error
    except DataError as error:  # of a row of pixels
        raise BadImageError(error.found) from error
    if not content:
        raise BadImageError("zero bytes")
    return content


def _load(content: bytes, max_pixels: int) -> Image.Image:
    """Return the first frame, decoded, if it is not too large."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.width * image.height > max_pixels:
        raise _too_large(max_pixels)
    if min(image.size) < 1:
        raise BadImageError("no pixels")
    image.load()
    return image


def _split_exif(content: bytes) -> tuple[bytes, int]:
    """Cut the tags out of a JPEG and return its orientation, 0 if it has none.

    Pillow reads the tags while it opens a JPEG and warns about damaged ones, and a warning cannot
    be caught in one thread alone. Web images often have such tags and are otherwise whole.
    """
    if not content.startswith(b"\xff\xd8"):
        return content, 0
    kept, orientation, start = [content[:2]], 0, 2
    while (
        content[start : start + 1] == b"\xff"
        and b"\xc0" <= content[start + 1 : start + 2] < b"\xff"
    ):
        end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        # The scan (DA) has no length, and no tags follow it.
        if content[start + 1] == 0xDA or not start + 4 <= end <= len(content) - 2:
            break
        segment = content[start:end]
        if segment[1] == 0xE1 and segment[4:10] == b"Exif\0\0":
            orientation = orientation or _orientation(segment[4:])
        elif segment[1] != 0xE2 or segment[4:8] != b"MPF\0":
            kept.append(segment)
        start = end
    return b"".join([*kept, content[start:]]), orientation


def _stored_orientation(image: Image.Image) -> int:
    """Return the orientation in the tags of a PNG or WEBP; Pillow turns a TIFF itself."""
    exif = image.info.get("exif")
    profile = image.info.get("Raw profile type exif")
    if exif is None and isinstance(profile, str):
        try:
            exif = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return 0
    return _orientation(exif) if isinstance(exif, bytes) else 0


def _orientation(exif: bytes) -> int:
    """Return the orientation (1 to 8) in a block of EXIF tags, 0 if it has none or is damaged."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 0
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for position in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, value = struct.unpack_from(order + "HHIH", block, position)
            if (tag, kind, number) == (_ORIENTATION_TAG, 3, 1):
                return int(value) if 1 <= value <= 8 else 0
    except struct.error:
        pass
    return 0


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _plain(image: Image.Image) -> Image.Image:
    """Return the image in mode L or RGB, without transparency."""
    if image.mode == "F":
        raise BadImageError("float pixels, whose range is not known")
    if image.mode.startswith("I"):
        image = _eight_bit(image)
    elif image.has_transparency_data:
        image = _opaque(image)
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image


def _opaque(image: Image.Image) -> Image.Image:
    """Composite an image with transparency on the background."""
    gray = image.mode in ("1", "L", "LA", "La")
    layered = image if image.mode != "La" else image.convert("LA")
    layered = layered.convert("LA" if gray else "RGBA")
    size, color = image.size, (BACKGROUND,) * 3
    plain = Image.new("L", size, BACKGROUND) if gray else Image.new("RGB", size, color)
    plain.paste(layered.convert(plain.mode), mask=layered.getchannel("A"))
    return plain


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale gray of up to 16 bits to 8 bits."""
    values = np.asarray(image).astype(np.int64)
    full, inverted = _gray_scale(image)
    if values.min() < 0 or values.max() > full:
        raise BadImageError(f"gray values outside 0 to {full}")
    scaled = (values * 255 + full // 2) // full
    if inverted:
        scaled = 255 - scaled
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        scaled[values == clear] = BACKGROUND
    return Image.fromarray(scaled.astype(np.uint8))


def _gray_scale(image: Image.Image) -> tuple[int, bool]:
    """Return the largest gray value that the file can hold, and whether it stands for black."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 65535, False
    bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]
    inverted = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    return 2 ** min(bits, 16) - 1, inverted


def _crop(
    size: tuple[int, int], face_format: FaceFormat, box: Box | None
) -> tuple[float, float, float, float]:
    """Return the part of an upright image of this (width, height) that becomes the face."""
    width, height = size
    if box is not None:
        return _clamped(size, face_format.margin, box)
    # Whole numbers are compared, so that an image of the right shape is not cut by a rounding.
    if width * face_format.height > height * face_format.width:
        cut = (width - height * face_format.width / face_format.height) / 2
        return cut, 0.0, width - cut, float(height)
    cut = (height - width * face_format.height / face_format.width) / 2
    return 0.0, cut, float(width), height - cut


def _clamped(size: tuple[int, int], margin: float, box: Box) -> tuple[float, float, float, float]:
    """Return the box grown by the margin and clamped to the image."""
    shown = ", ".join(f"{float(edge):g}" for edge in box)
    if len(box) != 4 or not all(math.isfinite(edge) for edge in box):
        raise BadImageError(f"the box ({shown}) is not four numbers")
    left, top, right, bottom = (float(edge) for edge in box)
    if left >= right or top >= bottom:
        raise BadImageError(f"the box ({shown}) is empty")
    wide, high = margin * (right - left), margin * (bottom - top)
    width, height = (float(side) for side in size)
    # The unchanged box decides: a margin must not rescue a face that is not in the image.
    if min(right, width) - max(left, 0.0) < 1 or min(bottom, height) - max(top, 0.0) < 1:
        raise BadImageError(f"the box ({shown}) has no pixel in the {size[0]} x {size[1]} image")
    return (
        max(left - wide, 0.0),
        max(top - high, 0.0),
        min(right + wide, width),
        min(bottom + high, height),
    )


def _resized(
    image: Image.Image, face_format: FaceFormat, crop: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    """Return the part of the image as a face, (H, W, C)."""
    mode = "L" if face_format.channels == 1 else "RGB"
    size = face_format.width, face_format.height
    # Pillow would copy what is the same before and after, in both steps.
    face = image if image.mode == mode else image.convert(mode)
    if (*size, *crop) != (*face.size, 0, 0, *face.size):
        # No `reducing_gap`: its first step averages blocks counted from the left, which shifts the
        # face a little, and a mirrored image would no longer give the mirrored face.
        face = face.resize(size, Image.Resampling.BILINEAR, box=crop)
    pixels: NDArray[np.uint8] = np.array(face, dtype=np.uint8).reshape(face_format.shape)
    return pixels
