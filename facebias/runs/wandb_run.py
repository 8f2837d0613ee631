"""A run in W&B: grouped and tagged, by epochs, one and the same when a training goes on."""

import logging
import os
import secrets
import shlex
from collections.abc import Mapping, Sequence
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger

from facebias.files import write_text

log = logging.getLogger(__name__)
_said_by_wandb = logging.getLogger(f"{__name__}.said")
_said_by_wandb.setLevel(logging.WARNING)  # where a run lies, we say ourselves

ID_FILE = "wandb_run_id.txt"
_LONGEST_TAG = 64  # characters; W&B refuses longer ones
_START_TIMEOUT, _END_TIMEOUT = 60.0, 120.0  # seconds that a run waits for W&B
Mode = Literal["online", "offline", "disabled"]
_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # of W&B's own service


class RunWandbLogger(WandbLogger):
    """W&B's logger of one run.

    W&B's own console output, its copy of ours, and what it collects of the machine (host, user,
    command, paths, installed packages) are switched off; `environment.json` of the run folder has
    the versions.

    Args:
        folder: of the run; it keeps the id of the W&B run.
        name: of the run.
        project: of W&B.
        group: runs that belong together; None: as `describe` says.
        tags: beside those of `describe`.
        job_type: of W&B.
        mode: "online", "offline" or "disabled".
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        project: str,
        group: str | None,
        tags: Sequence[str],
        job_type: str,
        mode: Mode,
    ) -> None:
        super().__init__(
            name=name, save_dir=folder, project=project, group=group, job_type=job_type, mode=mode
        )
        self._folder, self._mode = folder, mode
        self._tags = list(tags)
        self._wandb_init["tags"] = [_short(tag) for tag in self._tags]
        del self._wandb_init["anonymous"]  # W&B warns of it, even where it is None

    def describe(self, config: Mapping[str, Any], group: str, labels: Mapping[str, object]) -> None:
        """Say what the run is, before it starts in W&B.

        Args:
            config: what is shown of the configuration.
            group: runs that belong together, where the logger was not given one.
            labels: become tags, such as "seed: 0".
        """
        tags = [*(f"{name}: {label}" for name, label in labels.items()), *self._tags]
        self._wandb_init |= {
            "config": dict(config),
            "group": self._wandb_init["group"] or group,
            "tags": [_short(tag) for tag in tags],
        }

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401 - as Lightning declares it
        """The W&B run; it starts on first use, or goes on where the folder knows its id."""
        if self._experiment is None:
            self._experiment = self._start()
        return self._experiment

    def _start(self) -> Any:  # noqa: ANN401
        if self._mode != "online":
            os.environ["WANDB_ERROR_REPORTING"] = "false"  # W&B's process asks a name server else
        import wandb

        settings = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            init_timeout=_START_TIMEOUT,
            login_timeout=_START_TIMEOUT,
            finish_timeout=_END_TIMEOUT,
        )
        # What it would print goes to our log: an upload that fails is told there too.
        wandb.setup(wandb.Settings(mode=self._mode))
        wandb.termsetup(wandb.Settings(silent=True), _said_by_wandb)
        # A run of its own beside others of the process: jobs of a sweep follow one another.
        own = {"id": _run_id(self._folder), "reinit": "create_new", "settings": settings}
        run = wandb.init(**(self._wandb_init | own))
        run.define_metric("epoch")
        for split in ("train", "validation"):
            run.define_metric(f"{split}/*", step_metric="epoch")
        if self._mode != "disabled":
            place = run.url if self._mode == "online" else f"offline, in {_place(run)}"
            log.info("W&B: run %s, %s", run.id, place)
        return run

    def finalize(self, status: str) -> None:
        """End the run in W&B where it has failed; training and prediction end with success."""
        super().finalize(status)
        if status == "failed":
            self._finish(exit_code=1)

    def end(self) -> None:
        """End the run in W&B: everything was shown."""
        self._finish(exit_code=0)

    def _finish(self, exit_code: int) -> None:
        run, self._experiment = self._experiment, None
        if run is None:
            return
        run.finish(exit_code=exit_code)
        if self._mode == "offline":
            parts = shlex.quote(str(_place(run).parent)) + "/offline-run-*"
            log.info("W&B: send the run with: wandb sync %s", parts)


def wandb_logger(
    save_dir: str,
    name: str,
    project: str = "facebias",
    group: str | None = None,
    tags: Sequence[str] = (),
    job_type: str = "train",
) -> RunWandbLogger:
    """Return a W&B logger: online where the user is logged in, else offline.

    `WANDB_MODE` decides where it is set. Offline runs are sent later with `wandb sync`.

    Args:
        save_dir: folder of the run.
        name: of the run.
        project: of W&B.
        group: runs that belong together; None: those of the sweep, or of the same name.
        tags: beside variant, dose, remedy, seeds and fold.
        job_type: of W&B.
    """
    return RunWandbLogger(Path(save_dir), name, project, group, tags, job_type, _mode())


def _mode() -> Mode:
    match os.environ.get("WANDB_MODE"):
        case "disabled":
            return "disabled"
        case "online":
            return "online"
        case None | "":
            return "online" if _logged_in() else "offline"
    return "offline"  # such as "dryrun", its old name


def _logged_in() -> bool:
    """Tell whether W&B has a key: in the environment, or in the file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        file = netrc(os.environ.get("NETRC", str(Path.home() / ".netrc")))
    except (OSError, NetrcParseError):
        return False
    server = os.environ.get("WANDB_BASE_URL")
    hosts = _HOSTS if server is None else (urlsplit(server).netloc,)
    return any(file.authenticators(host) is not None for host in hosts)


def _run_id(folder: Path) -> str:
    """Return the id that the run folder knows; a new one is written down."""
    file = folder / ID_FILE
    if not file.is_file():
        write_text(file, secrets.token_hex(4) + "\n")
    return file.read_text(encoding="utf-8").strip()


def _place(run: Any) -> Path:  # noqa: ANN401
    return Path(run.settings.sync_dir).absolute()


def _short(tag: str) -> str:
    """Shorten a tag that W&B would refuse."""
    return tag if len(tag) <= _LONGEST_TAG else tag[: _LONGEST_TAG - 3] + "..."
