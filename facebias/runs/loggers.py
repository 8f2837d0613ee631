"""Loggers that need a decision of their own."""

import netrc
import os
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.loggers import WandbLogger


def wandb_logger(
    save_dir: str,
    name: str,
    project: str = "facebias",
    group: str | None = None,
    tags: Sequence[str] = (),
) -> WandbLogger:
    """Return a W&B logger: online where the user is logged in, else offline.

    `WANDB_MODE` decides where it is set. Offline runs are sent later with `wandb sync`.

    Args:
        save_dir: folder of the run.
        name: of the run.
        project: of W&B.
        group: runs that belong together.
        tags: such as variant and seed.
    """
    offline = os.environ.get("WANDB_MODE", "online" if _logged_in() else "offline") != "online"
    return WandbLogger(
        save_dir=save_dir, name=name, project=project, group=group, tags=list(tags), offline=offline
    )


def _logged_in() -> bool:
    """Tell whether W&B has a key: in the environment, or in the file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        file = netrc.netrc(os.environ.get("NETRC", str(Path.home() / ".netrc")))
    except (OSError, netrc.NetrcParseError):
        return False
    return file.authenticators("api.wandb.ai") is not None
