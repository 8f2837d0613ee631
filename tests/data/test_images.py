import io
import os
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facebias.data.images import BadImageError, FaceFormat, decode_face
from facebias.errors import ConfigError, DataError


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gray(image: Image.Image, kind: str = "PNG", **options: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Decode at the size of the image, to one channel."""
    face_format = FaceFormat(image.height, image.width, 1)
    return decode_face(encoded(image, kind, **options), face_format).pixels[..., 0]


def colors(image: Image.Image, kind: str = "PNG", **options: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Decode at the size of the image, to three channels."""
    face_format = FaceFormat(image.height, image.width, 3)
    return decode_face(encoded(image, kind, **options), face_format).pixels


def exif(orientation: int) -> bytes:
    """Write the tags by hand, big-endian, so that the test does not lean on Pillow."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)


# Exact values


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_target_size_is_untouched(kind: str) -> None:
    pixels = noise(9, 7, 3)
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(colors(Image.fromarray(pixels), kind, **options), pixels)


def test_path_and_bytes_agree(tmp_path: Path) -> None:
    content = encoded(Image.fromarray(noise(20, 30, 3)), "JPEG")
    (tmp_path / "face.jpg").write_bytes(content)
    face_format = FaceFormat(8, 8, 3)
    from_path = decode_face(tmp_path / "face.jpg", face_format)
    assert np.array_equal(from_path.pixels, decode_face(content, face_format).pixels)
    assert from_path.pixels.flags.owndata or from_path.pixels.flags.writeable


def test_gray_is_itu_601() -> None:
    image = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))
    assert gray(image).tolist() == [[76, 150, 29]]


def test_gray_becomes_three_equal_channels() -> None:
    assert colors(Image.fromarray(np.array([[10, 20]], np.uint8))).tolist() == [
        [[10, 10, 10], [20, 20, 20]]
    ]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled(kind: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    assert gray(Image.fromarray(values), kind).tolist() == [[0, 0, 1, 1, 128, 255]]


def test_every_multiple_of_257_is_exact() -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(gray(Image.fromarray(levels * 257)), levels)


def test_big_endian_tiff_is_scaled() -> None:
    image = Image.frombytes("I;16B", (3, 1), struct.pack(">3H", 0, 25700, 65535))
    assert gray(image, "TIFF").tolist() == [[0, 100, 255]]


def test_integers_are_scaled_and_others_refused() -> None:
    assert gray(Image.fromarray(np.array([[0, 51400]], np.int32)), "TIFF").tolist() == [[0, 200]]
    for value in (-1, 65536):
        with pytest.raises(BadImageError, match="outside 0 to 65535"):
            gray(Image.fromarray(np.array([[0, value]], np.int32)), "TIFF")


def test_white_is_zero() -> None:
    image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    assert gray(image, "TIFF", tiffinfo={262: 0}).tolist() == [[255, 0]]


def test_sixteen_bit_transparency() -> None:
    image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    assert gray(image, transparency=65535).tolist() == [[0, 128]]


def test_floats_are_refused() -> None:
    with pytest.raises(BadImageError, match="float"):
        gray(Image.new("F", (2, 2), 0.5), "TIFF")


def test_one_bit() -> None:
    image = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    assert gray(image).tolist() == [[0, 255, 0]]
    assert colors(image, "TIFF")[0, 1].tolist() == [255, 255, 255]


def test_palette() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    assert colors(image).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert colors(image, transparency=0).tolist() == [[[128, 128, 128], [200, 100, 50]]]
    half = colors(image, transparency=bytes([255, 0]))
    assert half.tolist() == [[[10, 20, 30], [128, 128, 128]]]


def test_alpha_is_composited_on_mid_gray() -> None:
    image = Image.fromarray(np.array([[[200, 100, 0, 255], [200, 100, 0, 0]]], np.uint8))
    assert colors(image).tolist() == [[[200, 100, 0], [128, 128, 128]]]
    layers = np.array([[[40, 255], [40, 0], [28, 128]]], np.uint8)
    # 28 * 128 / 255 + 128 * 127 / 255 = 77.8
    assert gray(Image.fromarray(layers, "LA")).tolist() == [[40, 128, 78]]


def test_key_colors_are_transparent() -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert colors(image, transparency=(1, 2, 3)).tolist() == [[[128] * 3, [4, 5, 6]]]
    plain = Image.fromarray(np.array([[7, 9]], np.uint8))
    assert gray(plain, transparency=7).tolist() == [[128, 9]]


def test_cmyk() -> None:
    inks = np.array([[[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]]], np.uint8)
    image = Image.fromarray(inks, "CMYK")
    assert colors(image, "TIFF").tolist() == [[[0, 255, 255], [0, 0, 0], [255, 255, 255]]]
    flat = Image.new("CMYK", (16, 16), (0, 0, 0, 255))
    assert colors(flat, "JPEG").max() <= 2


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels = colors(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (pixels == [255, 0, 0]).all()


# Orientation


TURNED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation(kind: str, orientation: int) -> None:
    upright = np.array(TURNED[orientation], np.uint8) * 40
    stored = np.array(TURNED[1], np.uint8) * 40
    cell = 8 if kind == "JPEG" else 1  # flat JPEG blocks keep their value
    image = Image.fromarray(np.kron(stored, np.ones((cell, cell), np.uint8)))
    options: dict[str, Any] = {"exif": exif(orientation)}
    if kind == "TIFF":
        options = {"tiffinfo": {274: orientation}}
    elif kind == "WEBP":
        options["lossless"] = True
    content = encoded(image, kind, **options)
    face = decode_face(content, FaceFormat(upright.shape[0] * cell, upright.shape[1] * cell, 1))
    assert np.abs(face.pixels[::cell, ::cell, 0].astype(int) - upright).max() <= (cell > 1)
    assert face.crop == (0, 0, upright.shape[1] * cell, upright.shape[0] * cell)


def test_damaged_tags_of_a_jpeg_do_not_matter() -> None:
    image = Image.fromarray(noise(16, 16, 3))
    damaged = exif(6)[:20] + b"\xff" * 30
    whole = colors(image, "JPEG")
    assert np.array_equal(colors(image, "JPEG", exif=damaged), whole)
    assert np.array_equal(colors(image, "JPEG", exif=exif(99)), whole)


def test_imagemagick_profile_turns_a_png() -> None:
    from PIL.PngImagePlugin import PngInfo

    profile = PngInfo()
    block = exif(3)
    profile.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    assert gray(Image.fromarray(np.array([[1, 2]], np.uint8)), pnginfo=profile).tolist() == [[2, 1]]


# Crop and resize


def test_largest_centred_area() -> None:
    content = encoded(Image.fromarray(noise(10, 21, 3)))
    assert decode_face(content, FaceFormat(5, 5, 3)).crop == (5.5, 0, 15.5, 10)
    assert decode_face(content, FaceFormat(5, 20, 3)).crop == pytest.approx((0, 2.375, 21, 7.625))


def test_box_of_the_target_size_is_a_slice() -> None:
    pixels = noise(20, 30, 3)
    face = decode_face(encoded(Image.fromarray(pixels)), FaceFormat(6, 5, 3), (7, 8, 12, 14))
    assert np.array_equal(face.pixels, pixels[8:14, 7:12])
    assert face.crop == (7, 8, 12, 14)


def test_constant_stays_constant_and_halving_by_hand() -> None:
    flat = encoded(Image.new("L", (97, 61), 123))
    assert (decode_face(flat, FaceFormat(7, 9, 1)).pixels == 123).all()
    # Triangle of radius 2 round 0.5 + 2i: weights 3, 3, 1 at the edge (cut off), 1, 3, 3, 1 inside.
    image = Image.fromarray(np.array([[0, 80, 160, 240]] * 2, np.uint8))
    face = decode_face(encoded(image), FaceFormat(1, 2, 1))
    assert face.pixels[..., 0].tolist() == [[round((3 * 80 + 160) / 7), round((80 + 1200) / 7)]]


def test_box_is_grown_and_clamped() -> None:
    content = encoded(Image.fromarray(noise(20, 30, 3)))
    grown = decode_face(content, FaceFormat(4, 4, 3, margin=0.5), (10, 10, 14, 12))
    assert grown.crop == (8, 9, 16, 13)
    assert decode_face(content, FaceFormat(4, 4, 3), (-5, 10, 99, 99)).crop == (0, 10, 30, 20)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((30, 0, 40, 10), "no pixel"),
        ((-9, 0, 0, 10), "no pixel"),
        ((5, 5, 5, 9), "empty"),
        ((9, 5, 5, 9), "empty"),
        ((0, 0, float("nan"), 9), "not four numbers"),
        ((0, 0, 9), "not four numbers"),
    ],
)
def test_bad_boxes(box: tuple[float, ...], reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        decode_face(encoded(Image.fromarray(noise(20, 30, 3))), FaceFormat(4, 4, 3, 1.0), box)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    target=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    channels=st.sampled_from([1, 3]),
)
def test_mirrored_input_gives_the_mirrored_face(
    size: tuple[int, int], target: tuple[int, int], channels: int
) -> None:
    pixels = noise(*size, 3)
    face_format = FaceFormat(*target, channels)
    face = decode_face(encoded(Image.fromarray(pixels), compress_level=0), face_format)
    mirrored = decode_face(encoded(Image.fromarray(pixels[:, ::-1].copy())), face_format)
    assert face.pixels.shape == (*target, channels)
    # Weights are rounded where they are computed, so a value may differ by one step.
    difference = face.pixels.astype(int) - mirrored.pixels[:, ::-1]
    assert np.abs(difference).max() <= 1
    left, top, right, bottom = face.crop
    assert mirrored.crop == pytest.approx((size[1] - right, top, size[1] - left, bottom))


# Bad images


def assert_face_or_reason(content: bytes) -> None:
    reason = "none"
    try:
        shape = decode_face(content, FaceFormat(8, 8, 3)).pixels.shape
    except BadImageError as error:
        shape, reason = (8, 8, 3), error.reason
    assert shape == (8, 8, 3)
    assert reason.strip()
    assert "\n" not in reason


def test_bad_sources(tmp_path: Path) -> None:
    face_format = FaceFormat(4, 4, 1)
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    cases: list[tuple[Path | bytes, str]] = [
        (tmp_path / "none.png", "no such file"),
        (tmp_path, "not a file"),
        (tmp_path / "pipe.png", "not a file"),
        (tmp_path / "empty.png", "zero bytes"),
        (Path("nul\0.png"), "no such file|cannot be read"),
        (b"", "zero bytes"),
        (b"hello, I am no image", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ]
    for source, reason in cases:
        with pytest.raises(BadImageError, match=reason):
            decode_face(source, face_format)


def test_too_large_is_refused_before_decoding() -> None:
    def header(width: int, height: int) -> bytes:
        return f"P5 {width} {height} 255 ".encode()

    for width, height in ((8001, 8000), (10_000, 10_000), (60_000, 60_000)):
        with pytest.raises(BadImageError, match="too large: more than 64,000,000 pixels"):
            decode_face(header(width, height), FaceFormat(4, 4, 1))
    with pytest.raises(BadImageError, match="too large: more than 3 pixels"):
        decode_face(header(2, 2) + bytes(4), FaceFormat(2, 2, 1), max_pixels=3)


KINDS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM")


@pytest.mark.parametrize("kind", KINDS)
def test_truncated(kind: str) -> None:
    content = encoded(Image.fromarray(noise(24, 24, 3)), kind)
    for share in (0.1, 0.4, 0.7):
        with pytest.raises(BadImageError):
            decode_face(content[: int(len(content) * share)], FaceFormat(8, 8, 3))


@pytest.mark.parametrize("kind", [*KINDS, "tagged JPEG", "packed TIFF", "animated PNG", "MPO"])
def test_damage_raises_nothing_else(kind: str) -> None:
    image, options = Image.fromarray(noise(16, 16, 3)), dict[str, Any]()
    if kind == "tagged JPEG":
        options = {"exif": exif(6)}
    elif kind == "packed TIFF":
        options = {"compression": "tiff_lzw"}
    elif kind in ("animated PNG", "MPO"):
        options = {"save_all": True, "append_images": [Image.new("RGB", (16, 16))]}
    content = encoded(image, kind.split()[-1], **options)
    dice = random.Random(kind)  # noqa: S311
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 8)):
            # Headers hold most of what can go wrong, so half of the damage goes there.
            damaged[dice.randrange(dice.choice((64, len(damaged))))] = dice.randrange(256)
        if dice.random() < 0.2:
            del damaged[dice.randrange(len(damaged)) :]
        assert_face_or_reason(bytes(damaged))


@given(
    prefix=st.sampled_from(
        [b"", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"P6"]
    ),
    rest=st.binary(max_size=80),
)
def test_random_bytes_raise_nothing_else(prefix: bytes, rest: bytes) -> None:
    assert_face_or_reason(prefix + rest)


def test_errors_travel_between_processes() -> None:
    with pytest.raises(DataError) as caught:
        decode_face(b"", FaceFormat(1, 1, 1))
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert isinstance(copy, BadImageError)
    assert copy.reason == "zero bytes"


@pytest.mark.parametrize(
    "values", [(0, 4, 1), (4, 0, 1), (4, 4, 2), (4, 4, 1, -0.1), (4, 4, 1, float("nan"))]
)
def test_settings_out_of_range(values: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError):
        FaceFormat(*values)
