"""Whether a run that is started again has the configuration that it was begun with."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from facebias.errors import RunError

# They say where things lie and how they are shown or loaded; the results are the same. A training
# or a sweep that goes on keeps the threads that it began with.
SAME_RESULTS = (
    "threads",
    "paths.outputs",
    "paths.cache",
    "data.reader.cache",
    "data.store",
    "data.workers",
    "callbacks.progress",
    "trainer.enable_progress_bar",
)
"""Keys that change no result."""

_ONE_OF_SEVERAL = "trainer.devices"  # a sweep gives a job one GPU, another one at each start
_LISTED = 12
_ABSENT = "(not there)"


def changed_keys(file: Path, config: DictConfig) -> dict[str, tuple[Any, Any]]:
    """Return the keys that differ from those a run was begun with, with the old and new value.

    Keys that cannot change a result are passed over. The run folder may be written in another way,
    as long as it is the same one.

    Args:
        file: `config.yaml` of the run folder.
        config: the checked configuration that it is started with now.

    Raises:
        RunError: if the file cannot be read.
    """
    return differing(_values_of(_load(file), file.parent), _values_of(config, file.parent))


def deciding_values(config: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration that can change a result, by dotted key.

    Args:
        config: of plain dicts, lists and values.
    """
    found = {key: value for key, value in leaves(config) if not _same_results(key)}
    devices = found.get(_ONE_OF_SEVERAL)
    if isinstance(devices, list):  # which GPUs, not how many
        found[_ONE_OF_SEVERAL] = len(devices)
    return found


def differing(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two sets of values, by key: the old one and the new one."""
    return {
        key: (old.get(key, _ABSENT), new.get(key, _ABSENT))
        for key in sorted(old.keys() | new.keys())
        if old.get(key, _ABSENT) != new.get(key, _ABSENT)
    }


def listed(lines: Sequence[str]) -> str:
    """Return the lines of a message, indented; of very many the first."""
    shown = [f"  {line}" for line in lines[:_LISTED]]
    more = len(lines) - len(shown)
    return "\n".join([*shown, f"  and {more} more"] if more else shown)


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield every value of a nested configuration by its dotted key.

    Args:
        node: of plain dicts, lists and values; a list is a value.
        key: of the node itself.
    """
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, node


def other_config(folder: Path, changed: dict[str, tuple[Any, Any]]) -> RunError:
    """Return the error of a run that is started again with another configuration."""
    lines = [f"{key}: {old} -> {new}" for key, (old, new) in changed.items()]
    return RunError(
        f"{folder} holds a run that was begun with another configuration:\n{listed(lines)}",
        "the same configuration, to go on from its last finished epoch",
        "repeat the command that began it (environment.json has it), or choose another folder "
        "with paths.run=FOLDER",
    )


def _load(file: Path) -> DictConfig:
    try:
        config = OmegaConf.load(file)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise RunError(
            f"{file} cannot be read: {error}",
            "the configuration that the run was begun with",
            "choose another folder with paths.run=FOLDER, or move this one away",
        ) from error
    return config if isinstance(config, DictConfig) else DictConfig({})


def _values_of(config: DictConfig, folder: Path) -> dict[str, Any]:
    """Return the deciding values by dotted key, the run folder written in one way."""
    plain: Any = OmegaConf.to_container(config)
    found = deciding_values(plain)
    run = found.get("paths.run")
    if not isinstance(run, str):
        return found
    # A relative one was relative to a folder that is not known any more.
    place = Path(run).resolve() if Path(run).is_absolute() else folder.resolve()
    return {
        key: f"{place}{value.removeprefix(run)}"
        if isinstance(value, str) and (value == run or value.startswith(f"{run}/"))
        else value
        for key, value in found.items()
    }


def _same_results(key: str) -> bool:
    return any(key == known or key.startswith(f"{known}.") for known in SAME_RESULTS)
