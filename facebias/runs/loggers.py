"""Loggers of a run: made from the configuration, and none of them can stop it."""

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import DictConfig
from torch import nn

from facebias.config import build
from facebias.errors import ConfigError
from facebias.runs.wandb_run import RunWandbLogger

log = logging.getLogger(__name__)

# They write the run's own files, which its report reads.
_OWN_FILES = ("facebias.runs.metrics_file.MetricsFile", "lightning.pytorch.loggers.CSVLogger")
_EXTRAS = ("tensorboard",)  # of facebias, named as the logger is
_Result = TypeVar("_Result")


class SafeLogger(Logger):
    """A logger that a run does not depend on.

    The first exception of the logger within, such as for a lost connection, a full disk or quota,
    or a missing login, is warned of, and the run goes on without that logger. What it draws from
    random generators, the training does not see.

    Args:
        name: its key in the configuration, for the warning.
        make: makes the logger within.

    Raises:
        ConfigError: if a package is missing, or a value is wrong.
    """

    def __init__(self, name: str, make: Callable[[], Logger]) -> None:
        super().__init__()
        self._key = name
        self._within: Logger = DummyLogger()
        made = self.attempt(lambda _: _made(name, make))
        self._within = self._within if made is None else made

    def attempt(self, work: Callable[[Any], _Result]) -> _Result | None:
        """Do something with the logger within.

        Args:
            work: takes it. After an exception it takes Lightning's logger that does nothing.

        Returns:
            What the work returns; None if it failed.

        Raises:
            ConfigError: if the work does.
        """
        try:
            with _dice_kept():
                return work(self._within)
        except ConfigError:
            raise
        except Exception as error:  # any of them: a run of days is worth more than its logger
            self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        words = " ".join(str(error).split())
        log.warning(
            "logger %s failed, and the run goes on without it: %s: %s",
            *(self._key, type(error).__name__, words),
        )
        self._within = DummyLogger()

    @property
    def experiment(self) -> Any:  # noqa: ANN401 - each library has its own
        """What the logger within writes to; it is opened on first use."""
        found = self.attempt(lambda within: getattr(within, "experiment", None))
        return DummyLogger().experiment if found is None else found

    @property
    def name(self) -> str | None:
        """Name of the logger within."""
        return self.attempt(lambda within: within.name)

    @property
    def version(self) -> str | int | None:
        """Version of the logger within."""
        return self.attempt(lambda within: within.version)

    @property
    def save_dir(self) -> str | None:
        """Folder of the logger within."""
        return self.attempt(lambda within: within.save_dir)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Pass metrics on."""
        self.attempt(lambda within: within.log_metrics(metrics, step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Pass hyperparameters on."""
        self.attempt(lambda within: within.log_hyperparams(params, *args, **kwargs))

    def log_graph(self, model: nn.Module, input_array: torch.Tensor | None = None) -> None:
        """Pass the network on."""
        self.attempt(lambda within: within.log_graph(model, input_array))

    def save(self) -> None:
        """Have the logger within write what it holds back."""
        self.attempt(lambda within: within.save())

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Pass a checkpoint on."""
        self.attempt(lambda within: within.after_save_checkpoint(checkpoint_callback))

    def finalize(self, status: str) -> None:
        """Tell the logger within that a stage of the run is over."""
        self.attempt(lambda within: within.finalize(status))


def assemble_loggers(config: DictConfig) -> list[Logger]:
    """Build the loggers of a configuration; all but those of the run's own files cannot stop it.

    Args:
        config: a checked `facebias.schemas.Train`, or another one without `logger`.

    Raises:
        ConfigError: if the package of a logger is missing, or a value is wrong.
    """
    nodes = config.get("logger", {})
    return [_logger(str(name), node, config) for name, node in nodes.items() if node is not None]


def _logger(name: str, node: DictConfig, config: DictConfig) -> Logger:
    if node["_target_"] in _OWN_FILES:
        logger: Logger = build(node)
        return logger

    def make() -> Logger:
        made: Logger = build(node)
        if isinstance(made, RunWandbLogger):
            made.describe(public_config(config), config.sweep or config.name, run_labels(config))
        return made

    return SafeLogger(name, make)


def _made(name: str, make: Callable[[], Logger]) -> Logger:
    """Make a logger, and tell what its configuration lacks from what its service lacks."""
    try:
        return make()
    except ModuleNotFoundError as error:
        package = error.name or str(error)
        raise ConfigError(
            f"logger {name} needs a package that is not installed: {package}",
            "the extra of the same name" if name in _EXTRAS else "the package of that logger",
            f"pip install 'facebias[{name}]'" if name in _EXTRAS else f"install it: {package}",
        ) from error
    except ConfigError as error:
        if isinstance(error.__cause__, ValueError):  # so services refuse a login
            raise error.__cause__ from error
        raise


def run_labels(config: DictConfig) -> dict[str, str | int | float]:
    """Return what tells a run from others of its study: variant, dose, remedy, seeds, fold.

    Args:
        config: a checked `facebias.schemas.Train`.
    """
    strengths = ("dose", "cramers_v", "factor", "rate")  # each bias has at most one of them
    remedy = config.remedy["_target_"].rpartition(".")[2]
    return {
        "variant": config.bias.variant,
        **{name: config.bias[name] for name in strengths if config.bias.get(name) is not None},
        "remedy": "none" if remedy == "NoRemedy" else remedy,
        "seed": config.seed,
        "data.seed": config.data.seed,
        "fold": config.fold,
    }


_PRIVATE = ("paths", "logger")
_PLACES = ("root", "file", "folder", "cache", "weights", "dirpath", "save_dir", "default_root_dir")
_SECRETS = ("api_key", "apikey", "password", "secret", "token")


def public_config(config: DictConfig) -> dict[str, Any]:
    """Return a configuration without places on this machine and without secrets.

    Args:
        config: resolved.

    >>> from omegaconf import OmegaConf
    >>> public_config(OmegaConf.create({"seed": 0, "data": {"root": "faces", "width": 48}}))
    {'seed': 0, 'data': {'width': 48}}
    """
    public: dict[str, Any] = _public(config)
    return public


def _public(node: Any) -> Any:  # noqa: ANN401 - any value of a configuration
    if isinstance(node, Mapping):
        named = {str(name): child for name, child in node.items()}
        return {name: _public(child) for name, child in named.items() if _is_public(name, child)}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_public(child) for child in node if _is_public("", child)]
    return node


def _is_public(name: str, node: Any) -> bool:  # noqa: ANN401
    if name in _PRIVATE or any(secret in name.lower() for secret in _SECRETS):
        return False
    if not isinstance(node, str):
        return True
    return name not in _PLACES and not Path(node).is_absolute() and not node.startswith("~")


@contextmanager
def _dice_kept() -> Iterator[None]:
    """Leave the random generators as they were."""
    python, numbers, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
        torch.set_rng_state(tensors)
