"""The settings of runs as flat keys, and what differs between several runs."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from facebias.runs.same_config import SAME_RESULTS

# Where files lie, how much hardware is used, and what is repeated, not chosen.
REPEATED = ("seed", "fold", "data.fold")
_WITHOUT_EFFECT = (
    *("paths", "logger", "sweep", *SAME_RESULTS),
    # They watch.
    *("callbacks.answers", "callbacks.cam", "callbacks.predictions"),
)
# The first ones that tell runs apart name them.
_SPEAKING = ("bias.variant", "bias.dose", "model.name", "data.bag", "name")


def bias_name(variant: str) -> str:
    """Return what tables and pages call a bias.

    >>> bias_name("positive"), bias_name("none")
    ('positive', 'no bias')
    """
    return "no bias" if variant == "none" else variant


def flat_settings(
    config: DictConfig, free: Collection[str] = (), endings: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the values of a configuration by their dotted keys; lists are values.

    Args:
        config: of a run. Its own folder, which stands in many places, is written RUN.
        free: keys that are left out with all below them.
        endings: keys that end so are left out too.
    """
    found = _flat(OmegaConf.to_container(config), "", frozenset(free), endings)
    run = str(config.paths.run)
    return {
        key: value.replace(run, "RUN") if isinstance(value, str) else value for key, value in found
    }


def _flat(
    node: Any,  # noqa: ANN401
    key: str,
    free: frozenset[str],
    endings: tuple[str, ...],
) -> Iterator[tuple[str, Any]]:
    if key in free or (endings and key.endswith(endings)):
        return
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _flat(child, f"{key}.{name}" if key else str(name), free, endings)
    else:
        yield key, node


def differing_settings(configs: Sequence[DictConfig]) -> list[dict[str, Any]]:
    """Return for each run the settings that not all have in common, but for seed and fold.

    Args:
        configs: of the runs.

    Returns:
        For each run the same keys; a setting that it lacks is None, a list is JSON text.
    """
    settings = [flat_settings(config, (*REPEATED, *_WITHOUT_EFFECT)) for config in configs]
    keys = sorted({key for each in settings for key in each})
    differing = [key for key in keys if len({_text(each.get(key)) for each in settings}) > 1]
    return [{key: _cell(each.get(key)) for key in differing} for each in settings]


def telling_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return few keys that tell apart all that can be told apart; speaking ones come first.

    Args:
        settings: as `differing_settings` returns them.
    """
    keys = list(settings[0]) if settings else []
    ordered = [*(key for key in _SPEAKING if key in keys), *sorted(set(keys) - set(_SPEAKING))]
    kept: list[str] = []
    for key in ordered:
        if _parts(settings, [*kept, key]) > _parts(settings, kept):
            kept.append(key)
    return kept


def _parts(settings: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> int:
    """Count the different runs, seen by these keys alone."""
    return len({tuple(_text(each[key]) for key in keys) for each in settings})


def _text(found: Any) -> str:  # noqa: ANN401
    return json.dumps(found, sort_keys=True)


def _cell(found: Any) -> Any:  # noqa: ANN401
    return _text(found) if isinstance(found, list) else found
