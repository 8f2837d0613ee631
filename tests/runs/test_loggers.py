import logging
import random
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf

from facebias.errors import ConfigError
from facebias.runs.loggers import SafeLogger, assemble_loggers, public_config, run_labels
from facebias.train import train
from tests.trained import compose_train

METHODS = (
    *("experiment", "name", "version", "save_dir", "log_metrics", "log_hyperparams", "log_graph"),
    *("save", "after_save_checkpoint", "finalize"),
)


class Recorder(Logger):
    """Notes which of its methods was used; one of them raises."""

    def __init__(self, broken: str) -> None:
        super().__init__()
        self.broken, self.used = broken, list[str]()

    def _note(self, name: str) -> None:
        self.used.append(name)
        if name == self.broken:
            random.seed(1)
            np.random.seed(1)
            torch.manual_seed(1)
            raise ConnectionResetError("the line\nis dead")

    @property
    def experiment(self) -> None:
        self._note("experiment")

    @property
    def name(self) -> str:
        self._note("name")
        return "name"

    @property
    def version(self) -> str:
        self._note("version")
        return "version"

    @property
    def save_dir(self) -> None:
        self._note("save_dir")

    def log_metrics(self, *_: object, **__: object) -> None:
        self._note("log_metrics")

    def log_hyperparams(self, *_: object, **__: object) -> None:
        self._note("log_hyperparams")

    def log_graph(self, *_: object, **__: object) -> None:
        self._note("log_graph")

    def save(self) -> None:
        self._note("save")

    def after_save_checkpoint(self, *_: object) -> None:
        self._note("after_save_checkpoint")

    def finalize(self, status: str) -> None:
        self._note("finalize")


class Logging(BoringModel):
    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters({"seed": 0})

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", 1.0)


def fit(folder: Path, logger: Logger) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        limit_train_batches=2,
        limit_val_batches=0,
        logger=logger,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(Logging())


def touch_all(logger: SafeLogger) -> None:
    for name in METHODS:
        found = getattr(logger, name)
        if callable(found):
            found(*{"save": (), "log_graph": (BoringModel(),)}.get(name, ({},)))


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not")
@pytest.mark.parametrize("broken", METHODS)
def test_a_training_ends_whichever_method_of_its_logger_raises(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = Recorder(broken)
    logger = SafeLogger("mine", lambda: inner)
    fit(tmp_path, logger)
    touch_all(logger)  # what this training had no use for
    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert warning.getMessage() == (
        "logger mine failed, and the run goes on without it: ConnectionResetError: the line is dead"
    )
    assert inner.used[-1] == broken
    assert inner.used.count(broken) == 1


def test_a_sound_logger_gets_every_call(tmp_path: Path) -> None:
    inner = Recorder("nothing")
    logger = SafeLogger("mine", lambda: inner)
    touch_all(logger)
    assert [name for name in METHODS if name not in inner.used] == []
    assert (logger.name, logger.version) == ("name", "version")


def draw(_: object) -> tuple[float, float, float]:
    return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: S311 - no secret


@pytest.mark.parametrize("broken", ["save", "nothing"])
def test_a_logger_draws_from_no_generator_of_the_training(broken: str) -> None:
    logger = SafeLogger("mine", lambda: Recorder(broken))
    calls: list[Callable[[], object]] = [lambda: None, logger.save, lambda: logger.attempt(draw)]
    draws = []
    for call in calls:
        random.seed(7)
        np.random.seed(7)
        torch.manual_seed(7)
        call()
        draws.append(draw(None))
    assert draws[0] == draws[1] == draws[2]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("login")])
def test_a_logger_that_cannot_be_made_is_warned_of(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def make() -> Logger:
        raise error

    touch_all(SafeLogger("mine", make))
    assert [str(error) in each.getMessage() for each in caplog.records] == [True]


def test_a_refused_login_is_warned_of_and_a_wrong_value_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refused(cause: Exception) -> Callable[[], Logger]:
        def make() -> Logger:
            raise ConfigError("Comet: no") from cause

        return make

    SafeLogger("comet", refused(ValueError("an API key is not configured")))
    assert "an API key is not configured" in caplog.text
    with pytest.raises(ConfigError, match="Comet"):
        SafeLogger("comet", refused(TypeError("unexpected keyword")))


@pytest.mark.parametrize(
    ("name", "words"),
    [("tensorboard", r"facebias\[tensorboard\]"), ("mine", "install it: mlflow")],
)
def test_a_missing_package_is_an_error_that_names_what_to_install(name: str, words: str) -> None:
    def make() -> Logger:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    with pytest.raises(ConfigError, match=words):
        SafeLogger(name, make)


def test_a_broken_logger_changes_nothing_of_a_run_and_is_in_its_log(
    tmp_path: Path, faces_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    logging.getLogger().setLevel(logging.WARNING)
    folder = train(
        compose_train(tmp_path, faces_root, "logger=tensorboard", "trainer.max_epochs=1")
    )
    assert (folder / "run.log").read_text().count("logger tensorboard failed") == 1
    assert (folder / "report.html").is_file()
    assert pd.read_csv(folder / "metrics.csv")["validation/loss"].notna().sum() == 1


def test_the_files_of_the_run_itself_are_no_optional_logger(
    tmp_path: Path, faces_root: Path
) -> None:
    (own,) = assemble_loggers(compose_train(tmp_path, faces_root))
    assert not isinstance(own, SafeLogger)


def test_labels_tell_a_run_from_others_of_its_study(tmp_path: Path, faces_root: Path) -> None:
    overrides = ("data=faces", "data.root=null", "bias=positive", "remedy=undersample", "seed=3")
    config = compose_train(tmp_path, faces_root, *overrides, "data.seed=5", "fold=2")
    assert run_labels(config) == {
        **{"variant": "positive", "dose": 0.6, "remedy": "Undersample"},
        **{"seed": 3, "data.seed": 5, "fold": 2},
    }
    plain = run_labels(compose_train(tmp_path, faces_root))
    assert "dose" not in plain
    assert plain["remedy"] == "none"


def test_a_shown_configuration_has_no_places_of_the_machine_and_no_secrets(
    tmp_path: Path, faces_root: Path
) -> None:
    shown = public_config(compose_train(tmp_path, faces_root, "logger=[wandb,tensorboard]"))
    text = OmegaConf.to_yaml(shown)
    assert str(tmp_path) not in text
    assert str(faces_root) not in text
    assert shown["trainer"]["max_epochs"] == 3
    assert shown["callbacks"]["best"]["monitor"] == "validation/loss"
    secret = OmegaConf.create(
        {"a": {"API_KEY": "x", "my_token": "x", "seeds": [0, "~/x", "/x"], "rate": 0.1}}
    )
    assert public_config(secret) == {"a": {"seeds": [0], "rate": 0.1}}


def test_the_curves_can_be_read_back(tmp_path: Path, faces_root: Path) -> None:
    folder = train(compose_train(tmp_path, faces_root, "trainer.max_epochs=2"))
    metrics = pd.read_csv(folder / "metrics.csv")
    for split in ("train", "validation"):
        for name in ("loss", "accuracy", "macro_f1", "micro_recall", "auroc"):
            assert metrics[f"{split}/{name}"].notna().sum() == 2
    for attribute in ("gender", "age"):
        worst = metrics[f"validation/worst_{attribute}_accuracy"].dropna()
        assert worst.between(0, 1).all()
