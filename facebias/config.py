"""Configuration: where it lies, how it is checked, and the one place that instantiates targets."""

import dataclasses
import functools
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facebias import schemas
from facebias.errors import ConfigError
from facebias.targets import check_target, keywords

# Keywords of Hydra's instantiate, allowed beside any target.
_INSTANTIATE = frozenset({"_target_", "_partial_", "_args_", "_convert_", "_recursive_"})


def conf_folder() -> Path:
    """Return the folder of the YAML files: in the installed package, or the checkout's own."""
    package = Path(__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def register_resolvers() -> None:
    """Give YAML files four functions.

    `${unique:}` is six letters that differ in every process; `${absolute:PATH}` is a path that
    means the same in every working directory, and null for null; `${better:METRIC}` is min for a
    loss and max for any other metric; `${given:NAME,OTHER}` is the name, or the other for null.
    """
    OmegaConf.register_new_resolver("unique", _unique, replace=True)
    OmegaConf.register_new_resolver("absolute", _absolute, replace=True)
    OmegaConf.register_new_resolver("better", better, replace=True)
    OmegaConf.register_new_resolver("given", _given, replace=True)


def better(metric: str) -> str:
    """Return `min` for a loss, and `max` for any other metric."""
    return "min" if metric.endswith("loss") else "max"


def _given(name: str | None, other: str) -> str:
    return other if name is None else name


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())


@functools.cache
def _unique() -> str:
    return secrets.token_hex(3)


def check(config: DictConfig, schema: type) -> DictConfig:
    """Hold every key of a composed configuration against its schema.

    Args:
        config: as Hydra composed it, from files and command line.
        schema: the dataclass of the whole, such as `facebias.schemas.Train`.

    Returns:
        The configuration resolved, completed and read-only: no interpolation is left, a key that
        was deleted has its default, and every value has the type that its schema says.

    Raises:
        ConfigError: for an unknown key (with the nearest right ones), a value of a wrong type or
            out of range, a missing value, a target that may not be named, or a fold that does
            not exist.
    """
    try:
        node: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise _unresolved(error) from error
    if not isinstance(node, dict):
        raise ConfigError("the configuration is a list", "a mapping of keys to values")
    _refuse_interpolations(node, "")
    _check_node(node, schema, "")
    _check_fold(node.get("data"))
    resolved = OmegaConf.create(node)
    OmegaConf.set_readonly(resolved, True)
    return resolved


def _unresolved(error: OmegaConfBaseException) -> ConfigError:
    """Say which value is missing behind an interpolation, or what is wrong with it."""
    message = str(error).strip().splitlines()[0]
    missing = re.search(r"Missing mandatory value: (\S+)", message)
    if missing:
        return _not_set(missing[1], "a value")
    return ConfigError(
        f"{error.full_key or 'the configuration'}: {message}",
        "a value, or an interpolation such as ${seed} that leads to one",
        "correct this key",
    )


def _refuse_interpolations(node: Any, key: str) -> None:  # noqa: ANN401
    """Refuse what was escaped: resolved once more, it could become a node that nobody checked."""
    for path, found in _values(node, key):
        if isinstance(found, str) and "${" in found:
            raise ConfigError(f"{path} is {found!r}", "a value without ${", f"correct {path}")


def _values(found: Any, key: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield a node and every value below it, each with its dotted key."""
    yield key, found
    for name, child in _children(found):
        yield from _values(child, f"{key}.{name}" if key else str(name))


def _children(found: Any) -> Iterable[tuple[Any, Any]]:  # noqa: ANN401
    if isinstance(found, dict):
        return found.items()
    return enumerate(found) if isinstance(found, list) else ()


def _not_set(key: str, expected: str) -> ConfigError:
    return ConfigError(f"{key} is not set", expected, f"add {key}=... to the command")


def build(node: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any class may be built
    """Instantiate the `_target_` of a node, if a configuration may name it.

    Args:
        node: a checked node of the configuration; with `_partial_: true` the result is a
            function that waits for the rest.
        args: passed on to the target.
        kwargs: passed on to the target, beside the node's own.

    Raises:
        ConfigError: if the target, or one nested in it, may not be named or refuses its values.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    plain: Any = OmegaConf.to_container(OmegaConf.create(node), resolve=True)
    _refuse_interpolations(plain, "build")
    _check_target_node(plain, "build")
    try:
        # Completed here, so that models and tables do not pass through OmegaConf.
        factory = instantiate({**plain, "_partial_": True}, _convert_="all")
        if plain.get("_partial_"):
            return functools.partial(factory, *args, **kwargs)
        return factory(*args, **kwargs)
    except InstantiationException as error:  # of a nested node; Hydra wraps its cause
        cause = error.__cause__ or error
        if isinstance(cause, (TypeError, ValueError, InstantiationException)):
            raise _refused(plain["_target_"], cause) from error
        raise cause from error
    except (TypeError, ValueError) as error:
        raise _refused(plain["_target_"], error) from error
    except Exception as error:
        # Lightning's own, told by name: importing it takes seconds.
        if type(error).__name__ == "MisconfigurationException":
            raise _refused(plain["_target_"], error) from error
        raise


def _refused(target: str, error: Exception) -> ConfigError:
    return ConfigError(f"{target}: {error}", "values that it takes", "correct this node")


def _check_node(node: dict[str, Any], schema: type, key: str) -> None:
    """Check one mapping against the dataclass of its place; complete it and convert its values."""
    fields = {field.name: field for field in dataclasses.fields(schema)}
    _refuse_unknown(node, fields, key)
    for field in fields.values():
        node.setdefault(field.name, _default(field))
    types = get_type_hints(schema)
    nested = {
        name
        for name, field in fields.items()
        if {"target", "targets"} & set(field.metadata) or dataclasses.is_dataclass(types[name])
    }
    # Plain values first: nodes often repeat them, and the error should name the original.
    for name in (name for name in fields if name not in nested):
        node[name] = _checked_leaf(node[name], schema, fields[name], key)
    for name in (name for name in fields if name in nested):
        path = f"{key}.{name}" if key else name
        if "target" in fields[name].metadata:
            _check_target_node(node[name], path)
        elif "targets" in fields[name].metadata:
            _check_target_nodes(node[name], path)
        else:
            _check_node(node[name], types[name], path)


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401
    """Return the value of a key that is not there; `???` where it must be."""
    if field.default is not dataclasses.MISSING or field.default_factory is dataclasses.MISSING:
        return field.default
    default = field.default_factory()
    return {} if dataclasses.is_dataclass(default) else default


def _checked_leaf(found: Any, schema: type, field: dataclasses.Field[Any], key: str) -> Any:  # noqa: ANN401
    """Check what is missing, types by OmegaConf's structured configurations, and ranges.

    Returns:
        The value in the type of its field: `off` and `no` are False, also from a command line.
    """
    path = f"{key}.{field.name}" if key else field.name
    wrong = ConfigError(f"{path} is {found!r}", _describe(schema, field.name), f"correct {path}")
    for place, inner in _values(found, path):
        if inner == "???":
            raise _not_set(place, _describe(schema, field.name))
        if isinstance(inner, dict) and "_target_" in inner:  # it would be run
            raise wrong
    convert = _convert_once if isinstance(found, str | int | None) else _convert
    try:
        converted = convert(schema, field.name, found)
    except OmegaConfBaseException as error:
        raise wrong from error
    _check_range(converted, field.metadata, path)
    return converted


def _convert(schema: type, name: str, found: Any) -> Any:  # noqa: ANN401
    """Return a value in the type of its field."""
    merged = OmegaConf.merge(_typed(schema, name), {name: found})
    plain = OmegaConf.to_container(merged)
    return plain[name] if isinstance(plain, dict) else found


# A comparison checks the configurations of many runs, which are alike. Typed: 1 is not True.
_convert_once = functools.lru_cache(maxsize=None, typed=True)(_convert)


@functools.cache
def _typed(schema: type, name: str) -> Any:  # noqa: ANN401 - a class that is made here
    """Return a structured configuration of one field: that of a whole schema is slow to merge."""
    hint = get_type_hints(schema)[name]
    one = dataclasses.make_dataclass(schema.__name__, [(name, hint, MISSING)])
    return OmegaConf.structured(one)


def _check_range(found: Any, limits: Mapping[str, Any], path: str) -> None:  # noqa: ANN401
    """Check a value, or each value of a list or mapping."""
    many = found.values() if isinstance(found, dict) else found
    for one in many if isinstance(many, Iterable) and not isinstance(many, str) else [found]:
        choices, low, high = limits.get("choices"), limits.get("low"), limits.get("high")
        if choices and one is not None and one not in choices:  # null where the type allows it
            near = get_close_matches(str(one), [str(choice) for choice in choices], n=1)
            hint = f"did you mean {near[0]}?" if near else f"correct {path}"
            raise ConfigError(f"{path} is {one!r}", "one of " + ", ".join(map(str, choices)), hint)
        if isinstance(one, (int, float)) and (
            (low is not None and not one >= low) or (high is not None and not one <= high)
        ):  # so that NaN is out of range
            span = f"at least {low}" if high is None else f"from {low} to {high}"
            raise ConfigError(f"{path} is {one!r}", f"a number {span}", f"correct {path}")
        prefix = limits.get("prefix")
        if prefix and not str(one).startswith(prefix):
            expected = f"a name that begins with {prefix}"
            raise ConfigError(f"{path} is {one!r}", expected, f"correct {path}")


def _check_fold(data: Any) -> None:  # noqa: ANN401
    """Refuse a fold that the data is not split into."""
    if isinstance(data, dict) and "folds" in data and data["fold"] >= data["folds"]:
        raise ConfigError(
            f"fold={data['fold']} of data.folds={data['folds']}",
            f"a fold from 0 to {data['folds'] - 1}",
            "correct fold, or raise data.folds",
        )


def _describe(schema: type, name: str) -> str:
    """Say what type a field has, in words that YAML writers know."""
    hint = get_type_hints(schema)[name]
    named = hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)
    return f"a value of type {named}".replace("None", "null")


def _check_target_nodes(nodes: Any, key: str) -> None:  # noqa: ANN401
    """Check a mapping of name to target node; null stands for one that is switched off."""
    if not isinstance(nodes, dict):
        raise ConfigError(f"{key} is {nodes!r}", "a mapping of names to nodes", f"correct {key}")
    for name, node in nodes.items():
        if node is not None:
            _check_target_node(node, f"{key}.{name}")


def _check_target_node(node: Any, key: str) -> None:  # noqa: ANN401
    """Check a node with a `_target_`, and those nested in its values."""
    if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
        raise ConfigError(f"{key} is {node!r}", "a node with a _target_", f"choose one for {key}")
    target = node["_target_"]
    check_target(target, frozenset(schemas.TARGETS), key)
    values = {name: found for name, found in node.items() if name not in _INSTANTIATE}
    if target in schemas.TARGETS:
        if "_args_" in node:
            raise unknown_key(f"{key}._args_", get_type_hints(schemas.TARGETS[target]))
        _check_node(values, schemas.TARGETS[target], key)
        node.update(values)
        return
    known = keywords(target)
    if known is not None:
        _refuse_unknown(values, known, key)
    _check_nested(node, key)


def _check_nested(found: Any, key: str) -> None:  # noqa: ANN401
    """Check every target below a value whose shape another library defines."""
    for name, child in _children(found):
        path = f"{key}.{name}"
        if child == "???":
            raise _not_set(path, "a value")
        if isinstance(child, dict) and "_target_" in child:
            _check_target_node(child, path)
        else:
            _check_nested(child, path)


def _refuse_unknown(node: Any, known: Iterable[str], key: str) -> None:  # noqa: ANN401
    """Refuse keys that are not known, and name the nearest that are."""
    if not isinstance(node, dict):
        raise ConfigError(f"{key} is {node!r}", "a mapping of keys to values", f"correct {key}")
    for name in node:
        if name not in set(known):
            place = f"{key}.{name}" if key else str(name)
            raise unknown_key(place, list(known))


def unknown_key(key: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a key that does not exist.

    Args:
        key: dotted, as it was given.
        known: the names that its place knows.
    """
    place, _, name = key.rpartition(".")
    names = sorted(map(str, known))
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    prefix = f"{place}." if place else ""
    return ConfigError(
        f"there is no key {key!r}",
        f"one of {', '.join(names)}" + (f" below {place}" if place else ""),
        "did you mean " + " or ".join(prefix + match for match in near) + "?"
        if near
        else "see --help, or --cfg job for the whole configuration",
    )
