"""How Lightning writes and reads checkpoints: whole files, in plain words where that fails."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from facebias.files import whole_file
from facebias.runs.checkpoints import BROKEN, broken


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, beside the one that it replaces.

    Lightning writes it to the folder for temporary files and moves it; between file systems that
    is a copy, which a kill or a full disk cuts short.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,  # noqa: ANN401 - as Lightning declares it
    ) -> None:
        """Write a checkpoint, and wait until the disk has it.

        Raises:
            RunError: if it cannot be written, such as on a full disk.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with whole_file(Path(path)) as temporary, temporary.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, place: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            RunError: if it is broken.
        """
        try:
            return super().load_checkpoint(path, map_location, weights_only)
        except BROKEN as error:
            raise broken(Path(path), error) from error
