"""Folders of generated faces as `python -m facebias.faces` lays them out, with drawn faces in."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tests.drawn_faces import DrawnFace

# What a drawn face shows, and what a generated one would call that.
SHOWN = {
    "happy": ("happy", "positive"),
    "surprised": ("surprise", "positive"),
    "neutral": ("neutral", "neutral"),
    "focused": ("anger", "negative"),
}
GROUPS = {
    "gender": ("female", "male"),
    "age": ("child", "adult", "older"),
    "skin_tone": ("light", "medium", "dark"),
}
TURNS = ("happy", "neutral", "focused", "surprised", "neutral", "focused")  # valences equal


def generated_rows(n: int, faces_per_identity: int = 4) -> pd.DataFrame:
    """Return the table of `n` faces, valences and groups in turn."""
    shown = [SHOWN[TURNS[number % len(TURNS)]] for number in range(n)]
    names = [f"{number:06d}" for number in range(n)]
    people = np.arange(n) // faces_per_identity
    rows = {
        "id": names,
        "identity": [f"person{person:05d}" for person in people],
        "expression": [expression for expression, _ in shown],
        "valence": [valence for _, valence in shown],
        **{name: np.array(groups)[people % len(groups)] for name, groups in GROUPS.items()},
        "source": [f"images/{name}.png" for name in names],
        "regions": "regions/000000.png",
        "regions_top": 0,
    }
    return pd.DataFrame(rows)


def with_twins(rows: pd.DataFrame, factor: str, value: str) -> pd.DataFrame:
    """Return faces and a twin of each, changed in one factor."""
    names = rows["id"] + f"_{factor}={value}"
    changed = rows.assign(id=names, pair=rows["id"], pair_factor=factor, pair_value=value)
    changed = changed.assign(source="images/" + names + ".png")
    own = rows.assign(pair=rows["id"], pair_factor=None, pair_value=None)
    return pd.concat([own, changed], ignore_index=True)


def write_folder(folder: Path, rows: pd.DataFrame, size: int = 32) -> Path:
    """Write the images and the table of faces; twins are drawn anew."""
    labels = {expression: label for label, (expression, _) in SHOWN.items()}
    for part in ("images", "regions"):
        (folder / part).mkdir(parents=True)
    for number, row in enumerate(rows.to_dict(orient="records")):
        face = DrawnFace(labels[row["expression"]], row["gender"], "young", number).draw(size)
        face.convert("RGB").save(folder / row["source"])
    Image.new("P", (size, size)).save(folder / "regions" / "000000.png")
    plan = {"n": len(rows), "size": size}
    content: Mapping[str, Any] = {"plan": plan, "written": {"faces": len(rows)}}
    (folder / "faces.json").write_text(json.dumps(content))
    rows.to_parquet(folder / "faces.parquet", index=False)
    return folder
