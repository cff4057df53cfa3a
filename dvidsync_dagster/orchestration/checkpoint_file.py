"""The checkpoint file of the first dvidsync: read where Dagster has no checkpoint, then kept as a copy."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvidsync_dagster.errors import CheckpointError
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json, from_offsets
from dvidsync_dagster.log.topics import parse_topic

_CHECKPOINTS = "checkpoints"


def read_checkpoint_file(path: Path, root: str) -> Checkpoint | None:
    """What the file says of the repo `root`, or None if there is no file or it does not speak of it.

    Two forms: ``{topic: next offset}`` of 2017, and ours, ``{"checkpoints": {ROOT: …}}``.

    Raises:
        CheckpointError: the file cannot be read.
    """
    content = _read(path)
    if _CHECKPOINTS not in content:
        return _from_offsets(path, content, root)
    checkpoints = content[_CHECKPOINTS]
    if not isinstance(checkpoints, dict):
        raise _unreadable(path, "`checkpoints` holds no named fields")
    return checkpoint_from_json(checkpoints[root]) if root in checkpoints else None


def write_checkpoint_file(path: Path, root: str, checkpoint: Checkpoint) -> None:
    """Keep a copy of the repo's checkpoint; those of other repos in the file stay.

    Readers see the old or the new file, never half of one.

    Raises:
        CheckpointError: the file cannot be read or written.
    """
    try:
        with _locked(path):
            content = _read(path)
            known = content.get(_CHECKPOINTS)
            checkpoints = dict(known) if isinstance(known, dict) else _converted(path, content)
            checkpoints[root] = checkpoint_json(checkpoint)
            fresh = path.with_name(f".{path.name}.new")
            with fresh.open("w", encoding="utf-8") as file:
                json.dump({_CHECKPOINTS: checkpoints}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror}. Make its folder writable, or remove `log`."
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two repos of one configuration share the file."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, error.strerror or "input/output error") from None
    except (ValueError, RecursionError):
        raise _unreadable(path, "it is not JSON") from None
    if not isinstance(content, dict):
        raise _unreadable(path, "it holds no named fields")
    return content


def _from_offsets(path: Path, offsets: dict[str, Any], root: str) -> Checkpoint | None:
    names = {topic: parse_topic(topic) for topic in offsets}
    if None in names.values():
        raise _unreadable(path, "it is neither {topic: next offset} nor a copy of a checkpoint")
    positions = from_offsets({t: offsets[t] for t, name in names.items() if name and name.root == root})
    return Checkpoint(epoch=0, positions=positions) if positions else None


def _converted(path: Path, offsets: dict[str, Any]) -> dict[str, Any]:
    """The old form in ours, so that a repo which has not run yet finds its offsets."""
    roots = {name.root for topic in offsets if (name := parse_topic(topic)) is not None}
    found = {root: _from_offsets(path, offsets, root) for root in sorted(roots)}
    return {root: checkpoint_json(checkpoint) for root, checkpoint in found.items() if checkpoint is not None}


def _unreadable(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be used as a checkpoint: {found}. Correct it, or move it away to start again."
    )
