"""The server's work on a frame of the live page, part by part, and how many a second that makes.

python -m tests.benchmarks.live [repeats]

Processor time of one thread of torch, so that what else the machine does plays a small part; a
core that has nothing else to do gives as many frames a second. The browser's work is not in it.
"""

import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import torch
from PIL import Image

from facebias.cam.explain import class_maps
from facebias.data.face_finder import FaceFinder
from facebias.data.images import FaceFormat, cut_face, decode_image
from facebias.live.frames import MAX_PIXELS, METHOD, Cut, FrameReader
from facebias.models.explained import network_layers
from facebias.runs.assemble import assemble_classifier
from tests.portraits import photo
from tests.trained import compose_train

# The model's option, side and channels of a face, longer side of the camera's frames.
_MODELS = (("cnn3", 48, 1, 320), ("efficientnet_lite0", 224, 3, 640))
_CLASSES = 4
_QUALITY = 85  # of the browser's JPEG


def frame(longest: int) -> bytes:
    """Return a frame as the page sends it: a rendered face in front of one colour."""
    picture = photo([(190, 112, 256)], (640, 480))
    small = picture.resize((longest, longest * 3 // 4), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=_QUALITY)
    return file.getvalue()


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time, which other processes disturb less than the clock."""
    start = time.process_time()
    work()
    return time.process_time() - start


def parts(name: str, side: int, channels: int, longest: int) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name; the last is the whole."""
    shape = (f"model={name}", f"data.height={side}", f"data.channels={channels}")
    with tempfile.TemporaryDirectory() as folder:
        config = compose_train(Path(folder), Path(folder), *shape)
    model = assemble_classifier(config, torch.ones(_CLASSES), training=False).eval()
    form, content, finder = FaceFormat(side, side, channels), frame(longest), FaceFinder()
    cut = Cut(form, None, 0.1, "")
    reader = FrameReader(model, [f"label {number}" for number in range(_CLASSES)], cut)
    picture = decode_image(content, max_pixels=MAX_PIXELS)
    crop = cut.crop(finder.find(picture)[0].box, picture.size)
    face = cut_face(picture, replace(form, margin=0.0), crop).pixels
    images = torch.from_numpy(face).permute(2, 0, 1)[None]
    layer = network_layers(model, images, "auto", METHOD)
    return {
        "decode": lambda: decode_image(content, max_pixels=MAX_PIXELS),
        "find": lambda: finder.find(picture),
        "cut": lambda: cut_face(picture, form, crop),
        "answer and map": lambda: class_maps(model, images, "predicted", layer=layer),
        "all, JSON included": lambda: json.dumps(reader.read(content)),
    }


def main() -> None:
    """Print milliseconds of each part, and frames a second."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for name, side, channels, longest in _MODELS:
        work = parts(name, side, channels, longest)
        taken: dict[str, list[float]] = {part: [] for part in work}
        for _ in range(repeats + 3):
            for part, run in work.items():
                taken[part].append(seconds(run))
        print(f"{name}, {side} px, frames of {longest} x {longest * 3 // 4}")
        for part, times in taken.items():
            middle = statistics.median(times[3:])
            rate = f", {1 / middle:5.1f} frames/s" if part.startswith("all") else ""
            print(f"  {part:20} {1000 * middle:6.1f} ms{rate}")


if __name__ == "__main__":
    main()
