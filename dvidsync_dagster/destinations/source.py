"""What a destination is told of the source that it follows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from dvidsync_dagster.dvid.repo import RepoInfo, ServerInfo
from dvidsync_dagster.dvid.transport import Transport


@dataclass(frozen=True, slots=True)
class Source:
    """The source at the start of a run.

    Args:
        client: open; it is only read.
        info: what it says of itself.
        repo: its repo, read after that.
        counters: its counters of ids, by instance, as they stood then.
        followed: whether an instance (by name) is one of those that are followed.
        changed_before: by version and instance, the items that it changed before what the run follows, as the
            log calls them; None if the log does not go back to when the version was made.
    """

    client: Transport
    info: ServerInfo
    repo: RepoInfo
    counters: Mapping[str, int]
    followed: Callable[[str], bool]
    changed_before: Callable[[str, str], Collection[str] | None] = lambda _version, _instance: None
