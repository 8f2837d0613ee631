"""What a search is: its options, its space, and what must stay the same while it goes on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facebias.errors import ConfigError
from facebias.files import write_text
from facebias.runs.same_config import listed
from facebias.runs.search.space import Space
from facebias.runs.sweeps.plan import Job, changes, comparable, read_plan

SEARCH = "search.json"
SAMPLERS = ("tpe", "random")
_OTHER_NAME = "choose another sweep=NAME"


@dataclass(frozen=True)
class SearchOptions:
    """How a search is done.

    Attributes:
        trials: in all, 1 or more.
        sampler: "tpe" or "random".
        seed: of the sampler, 0 or more.
    """

    trials: int
    sampler: str
    seed: int

    def check(self) -> None:
        """Refuse what is out of range, and a search without Optuna.

        Raises:
            ConfigError: names the key or the package.
        """
        for name, right, expected in (
            ("trials", self.trials >= 1, "1 or more"),
            ("sampler", self.sampler in SAMPLERS, f"one of {', '.join(SAMPLERS)}"),
            ("seed", self.seed >= 0, "0 or more"),
        ):
            if not right:
                key, found = f"hydra.sweeper.{name}", getattr(self, name)
                raise ConfigError(f"{key} is {found!r}", expected, f"correct {key}")
        if find_spec("optuna") is None:
            raise ConfigError(
                "optuna is not installed", "the extra `search`", "pip install 'facebias[search]'"
            )


def definition(space: Space, options: SearchOptions, corner: Job) -> dict[str, Any]:
    """Return what must stay the same while a search goes on, as JSON would give it back.

    Args:
        space: what is searched.
        options: how; the number of trials may change.
        corner: a job with the first value of each dimension.
    """
    search = {
        "sampler": options.sampler,
        "seed": options.seed,
        "repeats": [list(repeat) for repeat in space.repeats],
        "space": {dimension.key: str(dimension) for dimension in space.dimensions},
    }
    return comparable(corner.changed(dry_run=False)) | {"search": search}


def begin_or_go_on(folder: Path, now: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write what a search begins with, or hold it against what it was begun with.

    Args:
        folder: of the search.
        now: its definition; `threads` may be null.
        threads: of each process, where the definition leaves them open.

    Returns:
        What it was begun with.

    Raises:
        ConfigError: if it was begun otherwise: which keys differ.
    """
    file = folder / SEARCH
    if not file.is_file():
        return _begin(file, now | {"threads": now["threads"] or threads})
    try:
        before = dict(json.loads(file.read_text(encoding="utf-8")))
        differing = list(changes(before, now))
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"{file} cannot be read: {error!r}", "what a search was begun with", _OTHER_NAME
        ) from error
    if differing:
        raise _otherwise(file, differing)
    return before


def _begin(file: Path, now: dict[str, Any]) -> dict[str, Any]:
    if read_plan(file.parent) is not None:
        raise ConfigError(
            f"{file.parent} holds a sweep that is no search", "a folder of its own", _OTHER_NAME
        )
    # Not write_json, which turns infinity into null.
    write_text(file, json.dumps(now, indent=2) + "\n")
    return now


def _otherwise(file: Path, differing: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"the search in {file.parent} was begun otherwise:\n{listed(differing)}",
        f"the search of {file}; hydra.sweeper.trials may differ, and what changes no result",
        f"{_OTHER_NAME}, or give the command that began this one",
    )
