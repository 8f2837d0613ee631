"""What a run ran with: versions, commit, seeds, device, threads."""

import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import facebias

_PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "timm",
    "captum",
    "albumentations",
    "hydra-core",
    "omegaconf",
    "numpy",
    "pandas",
    "pillow",
    "wandb",
)


def environment(config: DictConfig) -> dict[str, Any]:
    """Return what a reader needs to repeat a run.

    Args:
        config: the checked configuration of the run.
    """
    import torch

    asked = config.trainer.accelerator if "trainer" in config else "cpu"
    cuda = asked in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return {
        "command": sys.argv,
        "facebias": facebias.__version__,
        "commit": _commit(),
        "seed": config.get("seed"),
        "data_seed": config.data.seed if "data" in config else None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(_gpu(config)) if cuda else _processor(),
        "gpu": _gpu(config) if cuda else None,
        "threads": config.get("threads") or torch.get_num_threads(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _gpu(config: DictConfig) -> int:
    """Return the number of the first GPU that a configuration asks for."""
    devices = config.trainer.get("devices")
    return int(devices[0]) if OmegaConf.is_list(devices) else 0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the processor's name."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit of the checkout that runs, with "+changes" where it was edited."""
    git, folder = shutil.which("git"), Path(__file__).parent
    if git is None or not (folder.parent.parent / ".git").exists():
        return None

    def ask(*words: str) -> str:
        return subprocess.run(  # noqa: S603 - git, found on the path, with fixed words
            [git, *words], cwd=folder, capture_output=True, text=True, check=False
        ).stdout.strip()

    head = ask("rev-parse", "--verify", "--quiet", "HEAD")
    if not head:
        return None
    return head + ("+changes" if ask("status", "--porcelain", "-uno") else "")
