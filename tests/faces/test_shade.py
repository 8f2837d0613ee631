import numpy as np
import pytest

from facebias.faces.factors import FaceFactors
from facebias.faces.regions import PARTS
from facebias.faces.render import render_face
from facebias.faces.shade import LOOK, Look, develop


def brightness(factors: FaceFactors, *parts: str) -> float:
    face = render_face(factors, 64)
    chosen = np.isin(face.regions, [PARTS.index(part) for part in parts])
    return float(face.image[chosen].mean())


def test_a_look_is_stored_as_it_is_declared() -> None:
    assert LOOK.names == tuple(Look.__annotations__)
    shapes = {name: LOOK[name].shape for name in LOOK.names}
    assert shapes["skin"] == shapes["light"] == shapes["left_eye"] == (3,)
    assert shapes["window"] == (4,)
    assert shapes["age"] == shapes["seed"] == ()
    assert LOOK["age"] == np.float32
    assert LOOK["seed"] == np.int32
    assert LOOK["skin"].base == np.float32
    assert LOOK.itemsize == 4 * sum(max(1, *shape, 0) for shape in shapes.values())


@pytest.mark.parametrize("step", [1, 2, 3])
def test_pixels_are_the_mean_light_and_the_most_frequent_part(step: int) -> None:
    random = np.random.default_rng(step)
    size = 5
    light = random.uniform(-0.2, 1.2, (size * step, size * step, 3)).astype(np.float32)
    parts = random.integers(0, 4, light.shape[:2]).astype(np.uint8)
    image, most = develop(light, parts, size, np.arange(256, dtype=np.uint8))
    blocks = light.reshape(size, step, size, step, 3).astype(np.float64)
    expected = np.clip(blocks.mean((1, 3)), 0, 1) * 255
    assert np.abs(image - expected).max() <= 0.5001
    votes = parts.reshape(size, step, size, step).swapaxes(1, 2).reshape(size, size, -1)
    counts = (votes[..., None] == np.arange(4)).sum(2)
    assert (
        np.take_along_axis(counts, most[..., None].astype(int), 2)[..., 0] == counts.max(2)
    ).all()


def test_light_comes_from_its_side_and_throws_shadows() -> None:
    for azimuth in (60.0, -60.0):
        factors = FaceFactors(key_azimuth=azimuth, ambient=0.3)
        left, right = brightness(factors, "left cheek"), brightness(factors, "right cheek")
        assert (left > 1.3 * right) if azimuth > 0 else (right > 1.3 * left)
    above, level = FaceFactors(key_elevation=70.0), FaceFactors(key_elevation=0.0)
    assert brightness(above, "neck") < 0.75 * brightness(level, "neck")


@pytest.mark.parametrize(
    ("factor", "low", "high", "part"),
    [("ambient", 0.2, 0.8, "neck"), ("key_light", 0.5, 1.5, "forehead")],
)
def test_more_light_is_brighter(factor: str, low: float, high: float, part: str) -> None:
    row = FaceFactors().record()
    dim, bright = (FaceFactors.from_record(row | {factor: value}) for value in (low, high))
    assert brightness(bright, part) > 1.2 * brightness(dim, part)


def test_colours_are_where_they_belong() -> None:
    def mean(part: str, **values: object) -> list[float]:
        face = render_face(FaceFactors.from_record(FaceFactors().record() | values), 64)
        colour: list[float] = face.image[face.regions == PARTS.index(part)].mean(0).tolist()
        return colour

    red, blue = mean("clothes", clothes="#ff0000"), mean("clothes", clothes="#0000ff")
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60
    assert mean("hair", hair_colour="blond")[0] > mean("hair", hair_colour="black")[0] + 60
    assert mean("hair", grey=1.0)[2] > mean("hair", grey=0.0)[2] + 40
    assert mean("left eye", eye_colour="blue")[2] > mean("left eye", eye_colour="dark brown")[2] + 5
    made_up, bare = mean("lower lip", make_up=1.0), mean("lower lip", make_up=0.0)
    assert made_up[0] - made_up[1] > bare[0] - bare[1] + 10
    assert mean("chin and jaw", stubble=1.0)[0] < mean("chin and jaw", stubble=0.0)[0] - 10
    assert mean("forehead", warmth=1.0)[2] < mean("forehead", warmth=-1.0)[2]
