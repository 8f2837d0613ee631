"""How every verb starts: Hydra composes, the schema is checked, errors are told in plain words."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from facebias.config import check, conf_folder, register_resolvers, unknown_key
from facebias.errors import ConfigError, FacebiasError, RunError

_TERMINATED = 128 + signal.SIGTERM
_OF_SUBMITIT = (("hydra/launcher", "submitit_slurm"), ("hydra/launcher", "submitit_local"))


def run_verb(config_name: str, schema: type, verb: Callable[[DictConfig], object]) -> None:
    """Compose `conf/<config_name>.yaml` with the command line, check it, and run the verb.

    A wrong configuration or bad data ends with exit code 2 and a message, an interruption with 130
    (SIGINT) or 143 (SIGTERM), any other error with its traceback and 1. `HYDRA_FULL_ERROR=1` shows
    the traceback of every error. In a sweep, a job that fails does not stop the others.

    Args:
        config_name: file in conf/ without its suffix.
        schema: dataclass that describes the configuration.
        verb: what to run; it gets the checked, resolved configuration.
    """
    register_resolvers()
    task = _Task(schema, verb, os.environ.get("HYDRA_FULL_ERROR") == "1")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that errors reach the lines below
    start = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=config_name)
    try:
        with _exit_on_sigterm():
            start(task)()
    except (KeyboardInterrupt, SystemExit) as end:
        _leave(end)
    except Exception as error:
        if task.full_errors or task.bug or not _is_told(error):
            raise
        _tell(_translated(error, config_name))  # Hydra raises many kinds before a job begins
        task.failed = True
    if task.failed:
        sys.exit(2)


class _Task:
    """What Hydra runs for each job; a planned sweep runs the verb in its own way.

    Attributes:
        failed: a job ended with an error that a user can mend.
        bug: a job ended with any other error.
    """

    def __init__(
        self, schema: type, verb: Callable[[DictConfig], object], full_errors: bool
    ) -> None:
        self.schema, self.verb, self.full_errors = schema, verb, full_errors
        self.failed = self.bug = False

    def __call__(self, config: DictConfig) -> None:
        try:
            self.verb(_checked(config, self.schema))
            _remove_run(Path(HydraConfig.get().runtime.output_dir))  # of a dry run
        except FacebiasError as error:
            _remove_run(Path(HydraConfig.get().runtime.output_dir))  # of what never began
            if self.full_errors:
                raise
            _tell(error, _job())
            self.failed = True
        except Exception:
            self.bug = True
            raise


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Leave by an exception when SIGTERM comes, so that what is open is closed, workers too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(end: KeyboardInterrupt | SystemExit) -> None:
    """Leave as a program that a signal has ended, or as the exit that was meant."""
    if isinstance(end, KeyboardInterrupt) or isinstance(end.__context__, KeyboardInterrupt):
        print("facebias: interrupted", file=sys.stderr, flush=True)
        sys.exit(130)
    # Lightning's own is told by its name, to import nothing.
    if end.code == _TERMINATED or type(end).__name__ == "SIGTERMException":
        print("facebias: terminated", file=sys.stderr, flush=True)
        sys.exit(_TERMINATED)
    raise end


def _tell(error: FacebiasError, job: str = "") -> None:
    print(f"facebias: {job}{error}", file=sys.stderr, flush=True)


def _job() -> str:
    """Return which job of a sweep this is; nothing where there is one only."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode is not RunMode.MULTIRUN:
        return ""
    return f"job {hydra_config.job.num} ({' '.join(hydra_config.overrides.task)}): "


def _checked(config: DictConfig, schema: type) -> DictConfig:
    """Check a configuration; a wrong one leaves no run folder."""
    try:
        return check(config, schema)
    except ConfigError:
        _remove_run(Path(HydraConfig.get().runtime.output_dir))
        raise


def _remove_run(folder: Path) -> None:
    """Remove the empty folders that Hydra made for a run that did not begin.

    Those above its parent too, as far as they lie below the current folder.
    """
    above = [path for path in folder.parents[1:] if Path.cwd() in path.parents]
    for path in (folder, folder.parent, *above):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _is_told(error: Exception) -> bool:
    """Tell whether an error before a job is one of the command's, and not a bug of ours.

    Hydra and launchers raise ValueError and RuntimeError too (`--resolve` alone, no Slurm here).
    """
    if isinstance(error, FacebiasError | HydraException | OmegaConfBaseException):
        return True
    if isinstance(error, YAMLError | OSError):
        return True
    place = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)][-1]
    return type(error) in (ValueError, RuntimeError) and not place.startswith("facebias.")


def _translated(error: Exception, config_name: str) -> FacebiasError:
    """Put an error that Hydra met into the form of our own."""
    if isinstance(error, FacebiasError):  # of the plan of a sweep
        return error
    text = str(error).strip()
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return RunError(
            f"{error.filename or 'a folder'}: {error.strerror or error}",
            "files and folders that can be read and written",
            "choose another folder of results with paths.outputs=FOLDER",
        )
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _unknown_option(error, text)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"{error.override!r} cannot be read: {text.splitlines()[0]}",
            "KEY=VALUE, GROUP=OPTION, or +KEY=VALUE for a key that is not there yet",
            "put quotes around it: 'KEY=\"a value\"', 'KEY=[a, b]', 'KEY={a: 1}'",
        )
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown and not unknown[1].startswith("hydra."):
        return _unknown_override(unknown[1], config_name)
    return _of_hydras_own(error, text)


def _of_hydras_own(error: Exception, text: str) -> ConfigError:
    """Return the error for an override of Hydra's own keys: a launcher's, say."""
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        return ConfigError(
            f"there is no key {unknown[1]!r}",
            "a key of Hydra's that the chosen launcher or sweeper has",
            "choose that first (hydra/launcher=joblib, say); --cfg hydra shows every key",
        )
    merged = re.search(r"Error merging override (\S+)", text)
    if merged:
        why = str(error.__cause__ or "").partition("\n")[0]
        return ConfigError(
            f"{merged[1]} does not fit" + (f": {why}" if why else ""),
            "a value of the key's kind",
            "correct it; --cfg hydra shows Hydra's keys as they are",
        )
    twice = re.search(r"Multiple values for (hydra/\w+)", text)
    if twice:
        return ConfigError(text.splitlines()[0], "one option", f"write {twice[1]}=... without +")
    return ConfigError(text)


def _unknown_option(error: MissingConfigException, text: str) -> ConfigError:
    """Return the error for an option that a group does not have."""
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or ())
    if not options:
        return ConfigError(text)
    near = get_close_matches(option, options, n=3, cutoff=0.5)
    if (group, option) in _OF_SUBMITIT:
        todo = "pip install 'facebias[slurm]', which brings it"
    elif near:
        todo = f"did you mean {' or '.join(near)}?"
    else:
        todo = "see --help, or add YAML files of your own with --config-dir FOLDER"
    return ConfigError(
        f"the group {group!r} has no option {option!r}", f"one of {', '.join(options)}", todo
    )


def _unknown_override(key: str, config_name: str) -> ConfigError:
    """Return the error for an overridden key that does not exist: its first wrong part."""
    node, right = _composed(config_name), ""
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in node:
            break
        node, right = OmegaConf.select(node, part), f"{right}{part}."
    if f"{key}." == right:  # it exists, and something below it does not
        return ConfigError(f"{key} takes no new keys here", todo=f"write +{key}=... instead")
    known = [str(name) for name in node] if isinstance(node, DictConfig) else []
    return unknown_key(right + key.removeprefix(right).split(".")[0], known)


def _composed(config_name: str) -> DictConfig:
    """Compose a configuration with the groups that the command line chose, and no more."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            return compose(config_name, _chosen_groups())
        except (HydraException, OmegaConfBaseException):  # a sweep, or options of the user's own
            return compose(config_name)


def _chosen_groups() -> list[str]:
    chosen = [re.match(r"\+?(\w+)=", argument) for argument in sys.argv[1:]]
    return [match.string for match in chosen if match and (conf_folder() / match[1]).is_dir()]
