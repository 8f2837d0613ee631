import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facebias.data.follow import follow_points
from facebias.data.images import FaceFormat
from facebias.data.prepare import store_faces
from facebias.data.readers.generated import read_generated_folder
from facebias.data.readers.tables import read_table
from facebias.errors import DataError
from facebias.faces.regions import PARTS, ZONES
from facebias.report.face_regions import region_source, regions_of_faces
from tests.generated_folder import generated_rows, write_folder

FIVE = [10.0, 12, 22, 12, 16, 18, 11, 25, 21, 25]


def test_masks_come_before_landmarks_and_these_before_a_template(
    caplog: pytest.LogCaptureFixture,
) -> None:
    masks = pd.DataFrame({"regions": ["a.png"], "regions_top": [0], "landmarks": [FIVE]})
    assert region_source(masks) == "masks"
    assert region_source(masks[["landmarks"]]) == "landmarks"
    assert region_source(pd.DataFrame({"landmarks": [None, None]})) == "template"
    assert region_source(pd.DataFrame({"id": ["a"]})) == "template"
    with caplog.at_level(logging.WARNING):
        assert region_source(pd.DataFrame({"landmarks": [None, FIVE]})) == "landmarks"
    assert "1 of 2 faces have no landmarks" in caplog.text


def test_the_masks_of_generated_faces_follow_their_images(tmp_path: Path) -> None:
    rows = generated_rows(4)
    rows["regions_top"] = np.arange(4) * 32
    folder = write_folder(tmp_path / "faces", rows, size=32)
    codes = np.zeros((4 * 32, 32), np.uint8)
    codes[2 * 32 + 8 : 2 * 32 + 16, 4:20] = PARTS.index("left eye")
    Image.fromarray(codes).save(folder / "regions" / "000000.png")
    table = read_generated_folder(folder, "valence", ("negative", "neutral", "positive"))
    _, store = store_faces(table, FaceFormat(64, 64, 3), None, 0)
    chosen = table.rows.iloc[[2, 0]]
    found = regions_of_faces(folder, chosen, store.crops[[2, 0]], (64, 64), "masks")
    eyes = found.masks[:, ZONES.index("eyes")]
    assert (found.source, found.names) == ("masks", ZONES)
    assert eyes[0, 16:32, 8:40].all()
    assert eyes.sum() == found.face.sum() == 16 * 32


def test_a_template_serves_faces_of_which_nothing_is_known() -> None:
    rows, crops = pd.DataFrame({"id": ["a", "b"]}), np.full((2, 4), np.nan)
    found = regions_of_faces(Path(), rows, crops, (48, 48), "template")
    assert (found.source, len(found.masks)) == ("template", 1)
    with pytest.raises(DataError, match="no landmarks"):
        regions_of_faces(Path(), rows, crops, (48, 48), "landmarks")


def test_the_regions_of_london_follow_crop_and_resize(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    london = real_data("london")
    points = pd.read_csv(london / "landmarks.csv").head(6)
    boxes = [[70, 50, 190, 200]] * len(points)
    faces = points.assign(label="neutral")
    faces[["left", "top", "right", "bottom"]] = boxes
    faces.to_csv(tmp_path / "faces.csv", index=False)
    pairs = [[f"x{number}", f"y{number}"] for number in range(189)]
    table = read_table(
        str(tmp_path / "faces.csv"),
        str(london),
        ["neutral"],
        columns={"source": "file"},
        landmarks=pairs,
    )
    _, store = store_faces(table, FaceFormat(64, 48, 3), None, 0)
    found = regions_of_faces(table.root, table.rows, store.crops, (64, 48), "landmarks")
    pupils = follow_points(table.rows["landmarks"], store.crops, (64, 48))
    for face, placed in enumerate(pupils):
        assert placed is not None
        for x, y in placed[:2].astype(int):
            assert found.masks[face, found.names.index("eyes"), y, x]
            assert store.faces[face][y, x].mean() < store.faces[face][y + 8, x].mean()
