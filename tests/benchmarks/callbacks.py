"""What share of a training run's processor time measuring the groups takes.

python -m tests.benchmarks.callbacks

The recipe of `emotions_cnn3` (48 x 48 gray, 40 epochs, two attributes) on as many generated faces
as that set has, of three valences, one of each person. The hooks of the callbacks are timed within
one run, from prepared faces to the page.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from facebias.callbacks.cam import CamCallback
from facebias.callbacks.fairness import FairnessCallback
from facebias.callbacks.predictions import PredictionsCallback
from facebias.config import check, conf_folder, register_resolvers
from facebias.runs.assemble import assemble_faces
from facebias.schemas import Train
from facebias.train import train

_FACES = 1_600
_MEASURED = (FairnessCallback, PredictionsCallback, CamCallback)


def load_config(folder: Path) -> DictConfig:
    """Compose the run."""
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose(
            "train",
            [
                "+experiment=emotions_cnn3",
                "data=faces",
                f"data.reader.n={_FACES}",
                "~data.reader.attributes.skin_tone",
                "data.reader.faces_per_identity=1",
                "data.height=48",
                "data.channels=1",
                f"paths.run={folder}/run",
                f"paths.cache={folder}/cache",
                "~callbacks.progress",
                "+trainer.enable_progress_bar=false",
            ],
        )
    return check(config, Train)


def time_hooks(spent: dict[str, float]) -> None:
    """Add up the processor time of every hook of the measured callbacks.

    Args:
        spent: seconds by callback and hook; filled while a run goes on.
    """
    for kind in _MEASURED:
        for name in [name for name in vars(kind) if name.startswith("on_")]:
            setattr(kind, name, _timed(getattr(kind, name), f"{kind.__name__}.{name}", spent))


def _timed(hook: Callable[..., None], name: str, spent: dict[str, float]) -> Callable[..., None]:
    def timed(self: pl.Callback, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        start = time.process_time()
        hook(self, *arguments, **named)
        spent[name] += time.process_time() - start

    return timed


def main() -> None:
    """Print the shares."""
    spent: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as temporary:
        config = load_config(Path(temporary))
        assemble_faces(config)  # rendering and storing them is no part of a training
        time_hooks(spent)
        start = time.process_time()
        train(config)
        whole = time.process_time() - start
    print(f"a run of {config.trainer.max_epochs} epochs: {whole:.1f} s of processor time, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    for kind in _MEASURED:
        own = sum(each for name, each in spent.items() if name.startswith(f"{kind.__name__}."))
        print(f"  {kind.__name__:<40} {own:7.2f} s {own / whole:7.2%}")
    for name, each in sorted(spent.items(), key=lambda item: -item[1])[:5]:
        print(f"    {name:<38} {each:7.2f} s {each / whole:7.2%}")


if __name__ == "__main__":
    main()
