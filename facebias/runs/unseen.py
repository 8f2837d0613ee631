"""Faces that no configuration describes yet: how they are read, and what would train on them."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig, OmegaConf

from facebias.config import check
from facebias.data.readers.guess import guess_reader
from facebias.data.statistics import PixelStatistics
from facebias.data.table import FaceTable
from facebias.errors import ConfigError
from facebias.files import write_text
from facebias.report.card import CardSettings
from facebias.runs.assemble import assemble_normalise
from facebias.schemas import Check

OPTION = "guessed"
"""The `data` option that a card leaves of a guess, below `conf/` of its folder."""

_ONE_CLASS = "face"


def with_guess(config: DictConfig) -> tuple[DictConfig, Sequence[str]]:
    """Complete a configuration that names faces only.

    Args:
        config: a checked `facebias.schemas.Check`.

    Returns:
        The configuration with a reader for its `faces`, checked, and what was found there; as it
        was, and nothing, if it has a reader of its own.

    Raises:
        ConfigError: if it names both.
        DataError: if there is nothing that looks like faces.
    """
    if config.faces is None:
        return config, ()
    if config.data.root is not None:
        raise ConfigError(
            f"faces={config.faces} beside data.root={config.data.root}",
            "faces=FOLDER, for which a reader is guessed, or data=NAME with data.root=FOLDER",
            "leave one of them out",
        )
    guess = guess_reader(Path(config.faces))
    plain: Any = OmegaConf.to_container(config)
    plain["data"] |= guess.data
    return check(OmegaConf.create(plain), Check), guess.said


def labelled(table: FaceTable) -> FaceTable:
    """Return the faces; where there are no classes, as one, so that they can be split and shown."""
    if table.classes:
        return table
    return replace(table, rows=table.rows.assign(label=_ONE_CLASS), classes=(_ONE_CLASS,))


def normalised_by(
    config: DictConfig, statistics: PixelStatistics
) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """Return the normalisation of a training as a function of arrays (B, H, W, C)."""
    normalise = assemble_normalise(config, statistics)

    def normalised(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        seen = normalise(torch.from_numpy(faces).permute(0, 3, 1, 2))
        return np.asarray(seen.permute(0, 2, 3, 1).numpy())

    return normalised


def card_settings(
    config: DictConfig, folder: Path, said: Sequence[str], *, is_labelled: bool
) -> CardSettings:
    """Return what a card says beside the faces; a guess is left as a `data` option.

    Args:
        config: a checked `facebias.schemas.Check`, complete.
        folder: of the card.
        said: what was found, of a guess.
        is_labelled: whether the faces have classes.
    """
    root = config.data.root
    settings = CardSettings(
        title=Path(root).name if root else config.data.reader._target_.rpartition(".")[2],
        labelled=is_labelled,
        normalise=config.data.normalise,
        seed=config.data.seed,
        reading=OmegaConf.to_yaml(config.data),
    )
    if config.faces is None:
        return settings
    option = folder / "conf" / "data" / f"{OPTION}.yaml"
    write_text(option, _option(config.data))
    place = shlex.quote(str((folder / "conf").absolute()))
    command = f"python -m facebias.train --config-dir {place} data={OPTION}"
    return replace(settings, guessed=tuple(said), command=command, reading=_option(config.data))


def _option(data: DictConfig) -> str:
    """Return a guess as a file of the group `data`, on top of what every data set has."""
    guessed = {key: data[key] for key in ("root", "reader", "height", "width", "channels")}
    return "defaults:\n  - _every\n\n" + OmegaConf.to_yaml(OmegaConf.create(guessed))
