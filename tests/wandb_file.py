"""Reads the file of an offline W&B run: records of protocol buffers in LevelDB's log format."""

import json
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined] # made by protoc

_BLOCK, _HEAD = 32768, struct.Struct("<IHB")  # checksum, length, kind
_WHOLE, _LAST = 1, 4  # kinds that end a record; those of first and middle parts are 2 and 3


def read_records(folder: Path) -> list[Any]:
    """Return the records of the only W&B run below a run folder, which was ended.

    W&B's own process may write the last of them shortly after the end.
    """
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    for _ in range(200):
        records = [Record.FromString(content) for content in _contents(file.read_bytes())]
        if any(record.HasField("exit") for record in records):
            return records
        time.sleep(0.1)
    raise AssertionError(f"{file} has no end")


def items(found: Iterable[Any]) -> dict[str, Any]:
    """Return keys and values of a history row, a summary or a configuration."""
    return {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in found}


def _contents(data: bytes) -> Iterator[bytes]:
    assert data.startswith(b":W&B")
    place, content = 7, b""  # after the name, a magic number and a version
    while place + _HEAD.size <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEAD.size:
            place += left
            continue
        _, length, kind = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        if place + length > len(data):  # still being written
            return
        content += data[place : place + length]
        place += length
        if kind in (_WHOLE, _LAST):
            yield content
            content = b""
