"""Which classes a configuration may name, and which keywords they take: read, never imported.

A `_target_` runs code that the configuration chooses, so it may name public classes of listed
namespaces only. A prefix such as `torch` is no boundary: `torch.load` and `torch.hub.load`
execute files.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path

from facebias.errors import ConfigError

# A class of one of these namespaces may be named: `<namespace>.<ClassName>`, nothing below it.
NAMESPACES = (
    "torch.nn",
    "torch.optim",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.strategies",
    "torchmetrics",
    "torchmetrics.classification",
    "albumentations",
)
# These may be named in full.
NAMES = ("lightning.pytorch.Trainer",)

# They call a function that is given to them, or read code or pickles from a file.
_EXECUTING = frozenset({"Lambda", "LambdaCallback", "ReplayCompose"})


def check_target(target: str, own: frozenset[str], key: str) -> None:
    """Refuse a target outside of the listed namespaces.

    Args:
        target: the dotted name after `_target_`.
        own: the public targets of facebias itself.
        key: where it stands in the configuration, for the message.

    Raises:
        ConfigError: if a configuration may not name this target.
    """
    namespace, _, name = target.rpartition(".")
    is_class = name[:1].isupper() and name.isidentifier() and name not in _EXECUTING
    if target in own or target in NAMES or (namespace in NAMESPACES and is_class):
        return
    raise ConfigError(
        f"{key}._target_ names {target!r}, which a configuration may not run",
        "a class of " + ", ".join(NAMESPACES) + ", or one of facebias's own in conf/",
        "name one of these classes; code of your own is called from Python, not from YAML",
    )


@cache
def keywords(target: str) -> frozenset[str] | None:
    """Return the keywords that a class takes, read from its source without importing it.

    Importing torch takes seconds; a misspelt keyword is told before.

    Args:
        target: dotted name of a class, such as `torch.optim.AdamW`.

    Returns:
        The names of its constructor's arguments; None where they cannot be read (`**kwargs`,
        compiled code).

    Raises:
        ConfigError: if the package has no such class.

    >>> {"lr", "momentum"} <= keywords("torch.optim.SGD")
    True
    """
    namespace, _, name = target.rpartition(".")
    found = _find_class(namespace, name, frozenset())
    if found is None:
        raise ConfigError(
            f"{namespace} has no class {name!r}",
            "the name of an installed class",
            "check its spelling and the installed version",
        )
    return _constructor_keywords(*found)


def _module_file(module: str) -> Path | None:
    """Return the source file of a module; the import system would import its parents."""
    root, *parts = module.split(".")
    spec = importlib.util.find_spec(root)
    if spec is None or not spec.has_location or spec.origin is None:  # frozen or built in
        return None
    folder = Path(spec.origin).parent
    if not parts:
        return Path(spec.origin)
    for candidate in (
        folder.joinpath(*parts, "__init__.py"),
        folder.joinpath(*parts).with_suffix(".py"),
    ):
        if candidate.is_file():
            return candidate
    return None


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def _find_class(
    module: str, name: str, seen: frozenset[str]
) -> tuple[str, ast.Module, ast.ClassDef] | None:
    """Follow re-exports from a module to the definition of a class."""
    file = _module_file(module)
    if file is None or module in seen:
        return None
    tree = _parse(file)
    stars = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, tree, node
        if isinstance(node, ast.ImportFrom):
            source = _import_source(module, file, node)
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _find_class(source, alias.name, seen | {module})
                if alias.name == "*":
                    stars.append(source)
    for source in stars:
        found = _find_class(source, name, seen | {module})
        if found is not None:
            return found
    return None


def _import_source(module: str, file: Path, node: ast.ImportFrom) -> str:
    """Return the absolute name of the module that a `from ... import` names."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _constructor_keywords(
    module: str, tree: ast.Module, node: ast.ClassDef
) -> frozenset[str] | None:
    """Return the keywords of a class's constructor, its own or the first inherited one."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            if item.args.kwarg is not None:
                return None
            names = [argument.arg for argument in (*item.args.args, *item.args.kwonlyargs)]
            return frozenset(names) - {"self"}
    for base in node.bases:
        if isinstance(base, ast.Name):
            found = _find_class(module, base.id, frozenset())
            if found is not None and found[2] is not node:
                return _constructor_keywords(*found)
    return None
