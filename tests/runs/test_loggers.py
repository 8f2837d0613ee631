from pathlib import Path

import pandas as pd
import pytest

from facebias.errors import ConfigError
from facebias.runs import loggers
from facebias.train import train
from tests.trained import compose_train


@pytest.mark.parametrize(
    ("environment", "netrc", "offline"),
    [
        ({}, "", True),
        ({"WANDB_API_KEY": "x" * 40}, "", False),
        ({"WANDB_API_KEY": "x" * 40, "WANDB_MODE": "offline"}, "", True),
        ({"WANDB_MODE": "online"}, "", False),
        ({}, "machine api.wandb.ai login user password secret\n", False),
        ({}, "machine example.org login user password secret\n", True),
        ({}, "not a netrc file", True),
    ],
)
def test_wandb_is_offline_unless_logged_in(
    environment: dict[str, str],
    netrc: str,
    offline: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "netrc").write_text(netrc)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    made = {}
    monkeypatch.setattr(loggers, "WandbLogger", lambda **options: made.update(options))
    loggers.wandb_logger(str(tmp_path), "run")
    assert made["offline"] is offline


def test_wandb_gets_curves_and_the_fairness_table(tmp_path: Path, faces_root: Path) -> None:
    folder = train(compose_train(tmp_path, faces_root, "logger=wandb", "trainer.max_epochs=1"))
    assert list(folder.glob("wandb/offline-run-*/*.wandb"))
    assert list(folder.glob("wandb/offline-run-*/files/media/table/test/fairness*.json"))
    assert (folder / "metrics.csv").is_file()


def test_tensorboard_gets_curves(tmp_path: Path, faces_root: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    config = compose_train(tmp_path, faces_root, "logger=tensorboard", "trainer.max_epochs=1")
    folder = train(config)
    assert list(folder.glob("tensorboard/**/events.out.tfevents.*"))


def test_a_missing_logger_package_names_the_extra(
    tmp_path: Path, faces_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning.pytorch.loggers import tensorboard

    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("no tensorboard", name="tensorboard")

    monkeypatch.setattr(tensorboard.TensorBoardLogger, "__init__", missing)
    with pytest.raises(ConfigError, match=r"facebias\[tensorboard\]"):
        train(compose_train(tmp_path, faces_root, "logger=tensorboard"))


def test_the_curves_can_be_read_back(tmp_path: Path, faces_root: Path) -> None:
    folder = train(compose_train(tmp_path, faces_root, "trainer.max_epochs=2"))
    metrics = pd.read_csv(folder / "metrics.csv")
    for split in ("train", "validation"):
        for name in ("loss", "accuracy", "macro_f1", "micro_recall", "auroc"):
            assert metrics[f"{split}/{name}"].notna().sum() == 2
    for attribute in ("gender", "age"):
        worst = metrics[f"validation/worst_{attribute}_accuracy"].dropna()
        assert worst.between(0, 1).all()
