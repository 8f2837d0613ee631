"""The rules of the house: who imports whom, what is named how, what is documented."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import facebias

PACKAGE = Path(facebias.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
CORE = ("faces", "fairness", "cam", "data")
VERBS = {path.stem for path in PACKAGE.glob("*.py") if "run_verb(" in path.read_text()}
# The verbs `python -m facebias.faces`, `.cam` and `.live`.
MAINS = tuple(PACKAGE / name / "__main__.py" for name in ("faces", "cam", "live"))
# Beside its own room: a reader may have the faces made that it reads.
DOORS = {"data/readers/generated.py": ("generate", "population", "render", "writer")}
PICTURES = "pictures.py"  # on which pages of several rooms are drawn
FRAMEWORKS = {"lightning", "pytorch_lightning", "hydra", "omegaconf"}


def _imports(file: Path, package: Path = PACKAGE) -> Iterator[str]:
    """Yield the absolute name of every module that a file imports, inside functions too."""
    parents = [package.name, *file.relative_to(package).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _below(module: str, *places: str) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def _core_files() -> list[Path]:
    files = [file for file in FILES if file.relative_to(PACKAGE).parts[0] in (*CORE, PICTURES)]
    return [file for file in files if file not in MAINS]


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "house" / "room" / "module.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import a.b\nfrom . import c\nfrom ..other import d\ndef late():\n    from e.f import g\n",
        encoding="utf-8",
    )
    found = set(_imports(file, tmp_path / "house"))
    assert found == {"a.b", "house.room.c", "house.other.d", "e.f.g"}


@pytest.mark.parametrize("file", _core_files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_core_knows_no_framework_and_nobody_but_its_own_room(file: Path) -> None:
    room = file.relative_to(PACKAGE).parts[0]
    doors = DOORS.get(file.relative_to(PACKAGE).as_posix(), ())
    further = [f"facebias.faces.{door}" for door in doors]
    common = ("facebias.errors", "facebias.files", "facebias.pictures")
    own = (f"facebias.{room}", *common, *further)
    found = set(_imports(file))
    if file != PACKAGE / "data" / "datamodule.py":
        assert not {module for module in found if _below(module, *FRAMEWORKS)}
    assert not {name for name in found if _below(name, "facebias") and not _below(name, *own)}


def test_fairness_needs_torch_only_to_accumulate() -> None:
    users = {
        file.name
        for file in (PACKAGE / "fairness").rglob("*.py")
        if any(_below(module, "torch", "torchmetrics") for module in _imports(file))
    }
    assert users == {"accumulate.py"}


def test_nobody_imports_a_verb() -> None:
    assert "train" in VERBS
    verbs = {f"facebias.{verb}" for verb in VERBS} | {
        "facebias.commandline",
        "facebias.faces.__main__",
        "facebias.cam.__main__",
        "facebias.live.__main__",
    }
    for file in FILES:
        if file.stem not in VERBS and file not in MAINS:
            assert not {module for module in _imports(file) if _below(module, *verbs)}, file


def test_configuration_is_checked_before_anything_heavy_is_imported() -> None:
    light = {"config", "schemas", "targets", "commandline", "files", "errors"}
    for name in light:
        modules = set(_imports(PACKAGE / f"{name}.py"))
        own = {module.split(".")[1] for module in modules if _below(module, "facebias")}
        heavy = {
            module for module in modules if _below(module, "torch", "lightning", "numpy", "pandas")
        }
        assert own <= light, name
        assert not heavy, name


def test_importing_facebias_loads_nothing_heavy() -> None:
    code = "import sys, facebias; print(*sorted(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = set(done.stdout.split())
    assert "facebias" in loaded
    assert not loaded & {"torch", "lightning", "numpy", "pandas", "hydra", "omegaconf"}


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "base"}
    names = {path.stem for path in PACKAGE.rglob("*") if path.suffix == ".py" or path.is_dir()}
    assert not names & drawers


def _undocumented(file: Path) -> list[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    public = list(_public(tree))
    public += [
        inner for node in public if isinstance(node, ast.ClassDef) for inner in _public(node)
    ]
    missing = [node.name for node in public if not ast.get_docstring(node)]
    return missing if ast.get_docstring(tree) else ["the module", *missing]


def _public(
    node: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for item in node.body:
        match item:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                if not item.name.startswith("_"):
                    yield item


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_what_is_public_is_documented(file: Path) -> None:
    assert _undocumented(file) == []


def test_a_missing_docstring_is_found(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""Doc."""\nclass A:\n    def f(self): ...\n    def _g(self): ...\n')
    assert _undocumented(file) == ["A", "f"]
