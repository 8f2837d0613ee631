"""Maps against a forward pass without gradients, pytorch-grad-cam and torch-cam, in one run.

python -m tests.benchmarks.cam [repeats]
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import timm
import torch
from pytorch_grad_cam import GradCAM, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torchcam import methods as torch_cam

from facebias.cam.explain import class_maps
from facebias.cam.layers import find_layer, named_layer

_BATCH, _SIDE, _CLASSES = 32, 112, 7


def forward(model: nn.Module, images: Tensor) -> None:
    """Answer without gradients: the yardstick."""
    with torch.no_grad():
        model(images)


def by_grad_cam(peer: type, model: nn.Module, layer: str, images: Tensor, targets: Tensor) -> None:
    """Explain with pytorch-grad-cam."""
    goals = [ClassifierOutputTarget(int(target)) for target in targets]
    with peer(model, [named_layer(model, layer)]) as cam:
        cam(images, goals)


def by_torch_cam(peer: type, model: nn.Module, layer: str, images: Tensor, targets: Tensor) -> None:
    """Explain with torch-cam."""
    with peer(model, layer) as cam:
        cam(targets.tolist(), model(images))


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time, which other processes disturb less than the clock."""
    start = time.process_time()
    work()
    return time.process_time() - start


def contenders(model: nn.Module, images: Tensor) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    layer, targets = find_layer(model, images), torch.zeros(len(images), dtype=torch.int64)
    last = images.contiguous(memory_format=torch.channels_last)
    work: dict[str, Callable[[], object]] = {
        "forward": lambda: forward(model, images),
        "forward, channels last": lambda: forward(model, last),
    }
    for method, ours, theirs in (
        ("layer_cam", LayerCAM, torch_cam.LayerCAM),
        ("grad_cam", GradCAM, torch_cam.GradCAM),
    ):
        asked = (model, layer, images, targets)
        work[method] = partial(class_maps, model, images, targets, layer=layer, method=method)
        work[f"{method}, pytorch-grad-cam"] = partial(by_grad_cam, ours, *asked)
        work[f"{method}, torch-cam"] = partial(by_torch_cam, theirs, *asked)
    return work


def main() -> None:
    """Print images/s of each, and its share of the forward pass in either layout."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    torch.manual_seed(0)
    model = timm.create_model("efficientnet_b2", pretrained=False, num_classes=_CLASSES).eval()
    work = contenders(model, torch.randn(_BATCH, 3, _SIDE, _SIDE))
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats + 1):  # one after the other, so that a busy spell hits all
        for name, run in work.items():
            taken[name].append(seconds(run))
    middle = {name: statistics.median(times[1:]) for name, times in taken.items()}
    print(f"efficientnet_b2, {_SIDE} px, batches of {_BATCH}, {torch.get_num_threads()} threads")
    for name, time_of in middle.items():
        plain, last = middle["forward"] / time_of, middle["forward, channels last"] / time_of
        print(f"{name:30} {_BATCH / time_of:7.1f} images/s  {plain:5.2f}  {last:5.2f}")


if __name__ == "__main__":
    main()
