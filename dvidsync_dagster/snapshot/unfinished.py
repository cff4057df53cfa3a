"""What a run leaves of a table's log that was stopped while it made the table's first commit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from dvidsync_dagster.snapshot.store import Stored

_TEMPORARY = re.compile(r"_commit_[0-9a-f-]+\.json\.tmp|.*#\d+")
"""What delta-rs and object_store write beside a commit before it has its name."""
_FIRST = f"{0:020d}.json"


def is_unfinished(log: Sequence[str], read: Callable[[str], Stored | None]) -> bool:
    """Whether a log holds no more than the beginning of a first commit, so that it is no table for anybody.

    Args:
        log: names of all objects in the table's ``_delta_log``.
        read: an object by its name. What it raises is raised.
    """
    commits = [name for name in log if not _TEMPORARY.fullmatch(_last(name))]
    if [_last(name) for name in commits] not in ([], [_FIRST]):
        return False
    stored = read(commits[0]) if commits else None
    return stored is None or _is_cut_off(stored.content)


def _is_cut_off(commit: bytes) -> bool:
    """Whether a first commit ends too early. One that is damaged elsewhere is not taken for such."""
    *lines, last = commit.rstrip(b"\n").split(b"\n")
    told: set[str] = set()
    try:
        for line in lines:
            told.update(json.loads(line))
    except (ValueError, TypeError):
        return False
    try:
        told.update(json.loads(last))
    except (ValueError, TypeError):
        return True
    return not {"protocol", "metaData"} <= told


def _last(name: str) -> str:
    return name.rpartition("/")[2]
