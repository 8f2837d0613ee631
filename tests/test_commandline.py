"""The command line: exit codes, messages without traceback, and what a failure leaves behind."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from omegaconf import DictConfig

from facebias.commandline import _translated, run_verb
from facebias.errors import DataError
from facebias.runs.folder import open_run
from facebias.schemas import Train

Verb = Callable[[DictConfig], object]


@dataclass
class Ended:
    """How a command ended."""

    code: int
    error: str
    configs: list[DictConfig]

    @property
    def lines(self) -> list[str]:
        return self.error.splitlines()


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Return a function that runs a verb as the command line would, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str, verb: Verb | None = None) -> Ended:
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        return run_as_it_is(*arguments, verb=verb)

    def run_as_it_is(*arguments: str, verb: Verb | None = None) -> Ended:
        configs: list[DictConfig] = []

        def keep(config: DictConfig) -> None:
            configs.append(config)
            if verb is not None:
                verb(config)

        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0"))
        try:
            run_verb("train", Train, keep)
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Ended(code, capsys.readouterr().err, configs)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    GlobalHydra.instance().clear()


def _fails_with(error: Exception) -> Verb:
    def verb(config: DictConfig) -> None:
        raise error

    return verb


def test_a_right_configuration_reaches_the_verb(command: Callable[..., Ended]) -> None:
    ended = command("data.root=/faces", "seed=3", "dry_run=off")
    (config,) = ended.configs
    assert (ended.code, ended.error) == (0, "")
    assert (config.seed, config.dry_run, config.data.reader.root) == (3, False, "/faces")
    assert Path(config.paths.run).is_absolute()
    assert not Path(config.paths.run).exists()  # a verb that writes nothing leaves nothing
    assert Path(config.paths.run).parts[-3:-1] == ("outputs", "train")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data.channels=null"], ["data.channels is None"]),
        (["data.roots=1"], ["there is no key 'data.roots'", "did you mean data.root?"]),
        (["dat.root=1"], ["there is no key 'dat'", "did you mean data or"]),
        (["modle=cnn3"], ["there is no key 'modle'", "did you mean model"]),
        (["+trainer.max_epoch=1", "data.root=x"], ["did you mean trainer.max_epochs"]),
        (["model=timm", "model.nam=x"], ["did you mean model.name?"]),
        (["+experiment=emotions_male_only", "bias.atribute=x"], ["did you mean bias.attribute"]),
        (["-m", "model=timm,cnn1", "model.drpout=0"], ["did you mean model.dropout?"]),
        (["model=cnnn3"], ["the group 'model' has no option 'cnnn3'", "did you mean cnn3"]),
        (["+experiment=emotions_cnn33"], ["no option 'emotions_cnn33'", "mean emotions_cnn3"]),
        (["-m", "model=cnn1,cnnn3"], ["the group 'model' has no option 'cnnn3'"]),
        (["data=emotions"], ["data.root is not set", "add data.root=... to the command"]),
        (["a b"], ["'a b' cannot be read", "KEY=VALUE"]),
        (["seed"], ["'seed' cannot be read", "KEY=VALUE"]),
        (["name=${seed"], ["'name=${seed' cannot be read"]),
        (["seed=", "data.root=x"], ["seed is ''", "type int"]),
        (["seed=three", "data.root=x"], ["seed is 'three'", "type int"]),
        (["data.height=1", "data.root=x"], ["data.height is 1", "from 8 to 1024"]),
        (["data=3"], ["Config group override must be a string or a list"]),
        (["logger=null"], ["Config group override must be a string or a list"]),
        (["model=[cnn1"], ["'model=[cnn1' cannot be read"]),
        (["-m", "hydra.launcher.n_jobs=2"], ["no key 'hydra.launcher.n_jobs'", "hydra/launcher="]),
        (
            ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=two"],
            ["hydra.launcher.n_jobs=two does not fit: Value 'two'", "What to do: "],
        ),
        (["-m", "+hydra/launcher=joblib"], ["Expected: one option", "without +"]),
        (["--config-dir", "nowhere"], ["nowhere' not found"]),
        (["--config-name", "trane"], ["Cannot find primary config 'trane'"]),
        (["--resolve"], ["--resolve flag"]),
    ],
    ids=" ".join,
)
def test_a_wrong_command_ends_with_two_and_a_message(
    command: Callable[..., Ended], arguments: list[str], says: list[str]
) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.configs) == (2, [])
    assert ended.error.startswith("facebias: ")
    assert "Traceback" not in ended.error
    for part in says:
        assert part in ended.error


def test_a_wrong_configuration_leaves_no_run_folder(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    assert command("data.root=x", "seed=three").code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_verb_that_fails_before_it_writes_leaves_no_folder(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    assert command("data.root=x", verb=_fails_with(DataError("no folder"))).code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_a_folder_elsewhere_leaves_none_below_outputs(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    def writes(config: DictConfig) -> None:
        Path(config.paths.run).mkdir(parents=True)

    assert command("data.root=x", "paths.run=mine/run", verb=writes).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_launchers_that_are_not_installed_name_the_extra() -> None:
    error = MissingConfigException("", "hydra/launcher/submitit_slurm", ["basic", "joblib"])
    assert "pip install 'facebias[slurm]'" in _translated(error, "train").todo


def test_a_wrong_configuration_removes_nothing_of_the_users(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "empty.log").touch()
    assert command("data.root=x", "seed=three", "hydra.run.dir=mine").code == 2
    assert (tmp_path / "mine" / "empty.log").exists()


def test_an_error_that_the_user_can_mend_is_told_without_traceback(
    command: Callable[..., Ended],
) -> None:
    error = DataError("there is no folder", "a folder", "make it")
    ended = command("data.root=x", verb=_fails_with(error))
    assert ended.code == 2
    assert ended.lines == [
        "facebias: there is no folder",
        "Expected: a folder",
        "What to do: make it",
    ]


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), OSError("disk"), ValueError("bug")])
def test_any_other_error_of_a_verb_is_raised(
    command: Callable[..., Ended], error: Exception
) -> None:
    with pytest.raises(type(error), match=str(error)):
        command("data.root=x", verb=_fails_with(error))


@pytest.mark.parametrize("bug", [KeyError("bug"), TypeError("bug"), ValueError("bug")])
def test_a_bug_before_a_job_is_raised(
    command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    def fail(error: Exception) -> None:
        raise error

    ours = FunctionType(fail.__code__, {"__name__": "facebias.runs"}, closure=fail.__closure__)
    monkeypatch.setattr("facebias.runs.sweeps.run.sweep_folder", lambda _: ours(bug))
    with pytest.raises(type(bug), match="bug"):
        command("-m", "data.root=x", "seed=1,2")


@pytest.mark.parametrize("below", ["results", "results/deep"])
@pytest.mark.parametrize("sweep", [[], ["-m", "seed=1,2"]])
def test_a_file_in_place_of_the_output_folder_is_told(
    command: Callable[..., Ended], tmp_path: Path, below: str, sweep: list[str]
) -> None:
    (tmp_path / "results").write_text("a file")
    ended = command(*sweep, "data.root=x", f"paths.outputs={below}")
    assert (ended.code, ended.configs) == (2, [])
    assert "Traceback" not in ended.error
    assert below in ended.lines[0]
    assert "paths.outputs=FOLDER" in ended.lines[-1]
    assert (tmp_path / "results").read_text() == "a file"


def test_a_file_in_place_of_the_run_folder_itself_is_told(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("a file")
    ended = command("data.root=x", "hydra.run.dir=results")
    assert ended.code == 2
    assert "File exists" in ended.lines[0]


def _fails_in(seed: int, error: Exception) -> Verb:
    def verb(config: DictConfig) -> None:
        if config.seed == seed:
            raise error

    return verb


@pytest.mark.parametrize("failing", [1, 3])
def test_a_failing_job_does_not_stop_the_others_and_is_named(
    command: Callable[..., Ended], failing: int
) -> None:
    verb = _fails_in(failing, DataError("too few faces"))
    ended = command("-m", "seed=1,2,3", "data.root=x", verb=verb)
    assert [config.seed for config in ended.configs] == [1, 2, 3]
    assert ended.code == 2
    told = [line for line in ended.lines if line.startswith("facebias:")]
    assert told == [f"facebias: job {failing - 1} (seed={failing}): too few faces"]


def test_a_wrong_value_in_one_job_is_refused_before_any_runs(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = command("-m", "seed=1,-2,3", "data.root=x")
    assert (ended.code, ended.configs) == (2, [])
    assert "facebias: job 1 (seed=-2): seed is -2" in ended.lines
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seeds", ["1,2", "2,1"])
def test_neither_a_bug_nor_a_message_hides_the_other(
    command: Callable[..., Ended], seeds: str
) -> None:
    def verb(config: DictConfig) -> None:
        raise DataError("too few faces") if config.seed == 2 else ZeroDivisionError("a bug")

    ended = command("-m", f"seed={seeds}", "data.root=x", verb=verb)
    assert ended.code == 1
    assert "(seed=2): too few faces" in ended.error
    assert "ZeroDivisionError: a bug" in ended.lines


def _open(config: DictConfig) -> None:
    with open_run(Path(config.paths.run), config):
        pass


def test_jobs_of_a_sweep_have_folders_of_their_own(command: Callable[..., Ended]) -> None:
    ended = command("-m", "seed=1,2", "data.root=x", verb=_open)
    folders = {Path(config.paths.run) for config in ended.configs}
    assert ended.code == 0
    assert {folder.name for folder in folders} == {"0_train_seed1", "1_train_seed2"}
    assert len({folder.parent for folder in folders}) == 1


def test_a_users_own_files_join(command: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "model").mkdir()
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - emotions_cnn3\n  - override /model: tiny\n  - _self_\n"
        "name: own\ndata: {root: /own, batch_size: 8}\n"
    )
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text("defaults: [cnn1]\nfilters: [4]\n")
    ended = command("--config-dir", "mine", "+experiment=own")
    (config,) = ended.configs
    assert (config.name, config.data.root, config.data.batch_size) == ("own", "/own", 8)
    assert (config.model.filters, config.data.normalise) == ([4], "image")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# @package _global_\nname: [unclosed\n", "own.yaml"),
        ("# @package _global_\ndata: {root: /x, rooot: /x}\n", "rooot"),
        ("# @package _global_\nname: ${nothing}\ndata: {root: /x}\n", "nothing"),
        (
            "# @package _global_\ndata: {root: /x}\n"
            "model: {_target_: torch.hub.load, repo_or_dir: x}\n",
            "model._target_ names 'torch.hub.load', which a configuration may not run",
        ),
    ],
)
def test_a_users_own_file_is_checked_as_any_other(
    command: Callable[..., Ended], tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text(text)
    ended = command("--config-dir", "mine", "+experiment=own")
    assert (ended.code, ended.configs) == (2, [])
    assert says in ended.error
    assert "Traceback" not in ended.error


def _process(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    left = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=left | environment,
    )


_VERB = """
from facebias.commandline import _translated, run_verb
from facebias.errors import DataError
from facebias.schemas import Train
def verb(config):
    raise DataError("mend it") if config.seed == 1 else ZeroDivisionError("a bug")
run_verb("train", Train, verb)
"""


def test_processes_end_with_the_right_code(tmp_path: Path) -> None:
    arguments = ("data.root=x", f"paths.outputs={tmp_path}")
    mendable = _process(_VERB, *arguments, "seed=1")
    assert (mendable.returncode, mendable.stderr) == (2, "facebias: mend it\n")
    bug = _process(_VERB, *arguments, "seed=2")
    assert bug.returncode == 1
    assert "Traceback (most recent call last)" in bug.stderr
    assert bug.stderr.endswith("ZeroDivisionError: a bug\n")
    shown = _process(_VERB, *arguments, "seed=1", HYDRA_FULL_ERROR="1")
    assert shown.returncode == 1
    assert "Traceback (most recent call last)" in shown.stderr
    assert "DataError: mend it" in shown.stderr


_MODULES = """
import runpy, sys
try:
    runpy.run_module("facebias.train", run_name="__main__", alter_sys=True)
except SystemExit as ended:
    heavy = {"torch", "lightning", "numpy", "pandas", "albumentations"} & set(sys.modules)
    print("ended with", ended.code, "and", sorted(heavy), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["model=cnnn3"], 2), (["data.root=x", "+optimizer.rate=1"], 2)],
)
def test_help_and_wrong_configurations_do_not_wait_for_torch(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    ended = _process(_MODULES, *arguments, f"paths.outputs={tmp_path}")
    assert ended.stderr.splitlines()[-1] == f"ended with {code} and []"
    assert "Traceback" not in ended.stderr
    if "--help" in arguments:
        assert "python -m facebias.train +experiment=emotions_cnn3" in ended.stdout
        assert "$APP_CONFIG_GROUPS" not in ended.stdout
