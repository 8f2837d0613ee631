"""What the model answers to one picture."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facebias.cam.explain import class_maps, resize_maps
from facebias.data.images import BadImageError, FaceFormat, decode_face
from facebias.errors import DataError, ModelError
from facebias.live.frames import FrameReader
from facebias.predict import predict
from facebias.runs.trained import TrainedRun
from tests.portraits import SIZE, photo
from tests.trained import compose_predict


def as_png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def scene() -> bytes:
    return as_png(photo())


def test_probabilities_are_those_that_predict_gives_the_same_crop(
    reader: FrameReader, run: TrainedRun, scene: bytes, tmp_path: Path
) -> None:
    answer = reader.read(scene)
    face = decode_face(scene, FaceFormat(64, 64, 1), answer["crop"]).pixels
    (tmp_path / "faces").mkdir()
    Image.fromarray(face.squeeze()).save(tmp_path / "faces" / "crop.png")
    config = compose_predict(tmp_path, run.folder, tmp_path / "faces", "callbacks.cam=null")
    row = pd.read_parquet(predict(config) / "predictions.parquet").iloc[0]
    expected = [row[f"p_{name}"] for name in run.classes]
    assert answer["probabilities"] == pytest.approx(expected, abs=1e-6)
    assert run.classes[answer["predicted"]] == row["predicted"]
    assert answer["explained"] == answer["predicted"]
    assert sum(answer["probabilities"]) == pytest.approx(1)


def test_the_map_is_layer_cam_of_the_crop_for_the_class_that_is_asked_for(
    reader: FrameReader, run: TrainedRun, scene: bytes
) -> None:
    model, found = run.model(), {}
    for number in range(len(run.classes)):
        answer = reader.read(scene, number)
        face = decode_face(scene, FaceFormat(64, 64, 1), answer["crop"]).pixels
        images = torch.from_numpy(face).permute(2, 0, 1)[None]
        maps = class_maps(model, images, torch.tensor([number])).values
        found[number] = answer["map"]["values"]
        expected = 255 * resize_maps(maps, (64, 64)).ravel()
        assert answer["explained"] == number
        assert (answer["map"]["width"], answer["map"]["height"]) == (64, 64)
        assert np.abs(np.array(found[number]) - expected).max() <= 0.5 + 1e-3
    assert len({tuple(values) for values in found.values()}) > 1


def test_the_largest_of_several_faces_is_used(reader: FrameReader) -> None:
    several = photo([(10, 30, 160), (200, 60, 260)])
    answer = reader.read(as_png(several))
    assert len(answer["faces"]) == 2
    left, _, right, _ = answer["faces"][0]
    assert (left + right) / 2 == pytest.approx(330, abs=30)
    assert answer["crop"][0] <= left < right <= answer["crop"][2]
    alone = reader.read(as_png(photo([(-900, 0, 16), (200, 60, 260)])))
    assert answer["probabilities"] == pytest.approx(alone["probabilities"], abs=0.02)


def test_no_face_is_an_answer_of_its_own(reader: FrameReader) -> None:
    answer = reader.read(as_png(Image.new("RGB", (320, 240), (92, 118, 140))))
    assert answer == {"size": (320, 240), "faces": []}


def test_two_faces_get_two_answers(reader: FrameReader) -> None:
    first = reader.read(as_png(photo([(120, 60, SIZE)])))["probabilities"]
    other = reader.read(as_png(photo([(-900, 0, 16), (120, 60, SIZE)])))["probabilities"]
    assert np.abs(np.subtract(first, other)).max() > 0.1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (b"\xff\xd8\xff\xe0 no picture", "damaged|not an image"),
        (as_png(Image.new("L", (4000, 1001))), "too large"),
    ],
)
def test_a_picture_that_cannot_be_read_says_why(
    reader: FrameReader, content: bytes, reason: str
) -> None:
    with pytest.raises(BadImageError, match=reason):
        reader.read(content)


@pytest.mark.parametrize("number", [-1, 4, 254])
def test_a_map_for_a_class_that_is_not_there_is_refused(
    reader: FrameReader, scene: bytes, number: int
) -> None:
    with pytest.raises(DataError, match=f"class {number}"):
        reader.read(scene, number)


def test_a_model_that_answers_no_numbers_is_told(
    run: TrainedRun, reader: FrameReader, scene: bytes
) -> None:
    model = run.model()
    with torch.no_grad():
        next(reversed(list(model.parameters()))).fill_(float("nan"))
    with pytest.raises(ModelError, match="no numbers"):
        FrameReader(model, run.classes, reader.cut).read(scene)


def test_a_map_that_is_undefined_is_none(
    run: TrainedRun, reader: FrameReader, scene: bytes
) -> None:
    model = run.model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    answer = FrameReader(model, run.classes, reader.cut).read(scene)
    assert answer["map"] is None
    assert answer["probabilities"] == pytest.approx([0.25] * 4)
