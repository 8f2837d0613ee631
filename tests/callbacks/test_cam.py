"""Maps of the same faces while a network learns, which it must not notice."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facebias.callbacks.cam import CamCallback
from facebias.callbacks.predictions import PredictionsCallback
from facebias.errors import ConfigError, ModelError
from facebias.train import train
from tests.drawn_faces import CLASSES
from tests.forked_ranks import run_in_ranks
from tests.runs.ranks.test_equal_one import made_model, made_module, made_trainer
from tests.trained import compose_train

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*no logger configured"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log.*sync_dist=True"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]
EVERY = ("trainer.max_epochs=4", "callbacks.cam.every_n_epochs=2", "callbacks.cam.per_group=2")


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    weights: dict[str, torch.Tensor] = saved["state_dict"]
    return weights


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> Path:
    """A training with maps after every second epoch."""
    return train(compose_train(tmp_path_factory.mktemp("every"), faces_root, *EVERY))


def test_every_second_epoch_has_the_same_faces(learned: Path) -> None:
    files = sorted(path.name for path in (learned / "cam" / "epochs").iterdir())
    assert files == ["0002.npz", "0002.png", "0004.npz", "0004.png"]
    stored = []
    for name in ("0002.npz", "0004.npz"):
        with np.load(learned / "cam" / "epochs" / name, allow_pickle=False) as found:
            stored.append({key: found[key] for key in found.files})
    assert (stored[0]["id"] == stored[1]["id"]).all()
    assert (stored[0]["maps"] != stored[1]["maps"]).any()
    faces = pd.read_parquet(learned / "split.parquet").set_index("id").loc[stored[0]["id"]]
    assert set(faces["split"]) == {"validation"}
    assert faces["label"].value_counts().to_dict() == dict.fromkeys(CLASSES, 2)
    assert ((stored[1]["probability"] >= 0.25) & (stored[1]["probability"] <= 1)).all()
    with Image.open(learned / "cam" / "epochs.png") as picture:
        assert picture.height > 8 * 128


def test_training_does_not_notice(learned: Path, faces_root: Path, tmp_path: Path) -> None:
    other = train(compose_train(tmp_path, faces_root, *EVERY[:1], "callbacks.cam=null"))
    mine, theirs = weights_of(learned), weights_of(other)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    rows = [pd.read_csv(folder / "metrics.csv") for folder in (learned, other)]
    pd.testing.assert_frame_equal(*rows, check_exact=True)


class Watched(CamCallback):
    """Notes what an epoch's maps leave changed of the model and the generators."""

    changed: list[str]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before = self.state(pl_module)
        super().on_train_epoch_end(trainer, pl_module)
        after = self.state(pl_module)
        self.changed = [name for name in before if not self.same(before[name], after[name])]

    @staticmethod
    def state(model: pl.LightningModule) -> dict[str, Any]:
        gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        return {
            "weights": [value.clone() for value in model.state_dict().values()],
            "gradients": gradients,
            "modes": [module.training for module in model.modules()],
            "frozen": [p.requires_grad for p in model.parameters()],
            "hooks": [len(module._forward_hooks) for module in model.modules()],
            "torch": [torch.get_rng_state()],
            "numpy": [torch.from_numpy(np.random.get_state()[1].astype(np.int64))],  # type: ignore[index]
        }

    @staticmethod
    def same(one: list[Any], other: list[Any]) -> bool:
        return all(
            torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
            for a, b in zip(one, other, strict=True)
        )


@pytest.mark.parametrize("method", ["grad_cam", "score_cam", "integrated_gradients"])
def test_the_model_and_all_generators_are_left_as_found(method: str, tmp_path: Path) -> None:
    torch.manual_seed(7)
    layer = "auto" if method == "integrated_gradients" else "2"
    watched = Watched(str(tmp_path), method, layer, per_group=1, every_n_epochs=1)
    trainer = made_trainer(tmp_path, PredictionsCallback(str(tmp_path)), watched)
    trainer.fit(made_model(torch.nn.Dropout(0.2)), datamodule=made_module(20, 12, batch_size=10))
    assert watched.changed == []
    assert len(list((tmp_path / "cam" / "epochs").glob("*.npz"))) == 2


@pytest.mark.slow
def test_what_an_earlier_start_left_is_removed_when_it_begins_anew(
    faces_root: Path, tmp_path: Path
) -> None:
    epochs = tmp_path / "run" / "cam" / "epochs"
    epochs.mkdir(parents=True)
    (epochs / "0009.npz").write_bytes(b"of another training")
    options = ("trainer.max_epochs=1", "callbacks.cam.every_n_epochs=1")
    folder = train(compose_train(tmp_path, faces_root, *options))
    assert sorted(path.name for path in (folder / "cam" / "epochs").iterdir()) == [
        "0001.npz",
        "0001.png",
    ]


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        (("callbacks.cam.method=cam",), ModelError, "CAM is not defined"),
        (
            ("callbacks.cam.method=occlusion", "callbacks.cam.layer=blocks.0"),
            ConfigError,
            "looks at no layer",
        ),
        (
            ("callbacks.cam.method=grad_cam", "callbacks.cam.layer=stages"),
            ConfigError,
            "several layers",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_explained_is_refused_before_training(
    overrides: tuple[str, ...], error: type[Exception], says: str, faces_root: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        train(compose_train(tmp_path, faces_root, *overrides))
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_layer_cam_fuses_stages_and_shows_no_epochs_unasked(
    faces_root: Path, tmp_path: Path
) -> None:
    two = ("model=cnn1", "model.filters=[8,8]", "model.kernels=[3,3]")
    options = ("trainer.max_epochs=1", "callbacks.cam.layer=stages", *two)
    folder = train(compose_train(tmp_path, faces_root, *options))
    with np.load(folder / "cam" / "maps.npz", allow_pickle=False) as stored:
        assert stored["maps"].shape[1:] == (48, 48)
    assert not list((folder / "cam").glob("epochs*"))


def learned_in_ranks(folder: Path) -> dict[str, Any]:
    module, model = made_module(144, 41, batch_size=48), made_model()
    cam = CamCallback(str(folder), layer="1", per_group=3, every_n_epochs=1)
    trainer = made_trainer(folder, PredictionsCallback(str(folder)), cam)
    trainer.fit(model, datamodule=module)
    trainer.predict(model, datamodule=module, return_predictions=False)
    return {"weights": torch.cat([p.detach().flatten() for p in model.parameters()])}


@pytest.mark.slow
def test_two_processes_write_once_what_one_writes(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    one = run_in_ranks(1, learned_in_ranks, folders[0])
    two = run_in_ranks(2, learned_in_ranks, folders[1])
    assert torch.equal(two[0]["weights"], two[1]["weights"])
    torch.testing.assert_close(one[0]["weights"], two[0]["weights"], rtol=0, atol=1e-6)
    files = [sorted(p.relative_to(f) for p in f.rglob("*") if p.is_file()) for f in folders]
    assert files[0] == files[1]
    assert len(files[0]) > 6
    for name in ("cam/epochs/0001.npz", "cam/epochs/0002.npz", "cam/maps.npz"):
        found = [np.load(folder / name, allow_pickle=False) for folder in folders]
        assert (found[0]["id"] == found[1]["id"]).all()
        assert np.allclose(found[0]["maps"], found[1]["maps"], atol=2e-3, equal_nan=True)
