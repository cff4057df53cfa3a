"""What a repo announces of itself, versions and instances, as if it were a data type."""

from __future__ import annotations

from collections.abc import Collection

from dvidsync_dagster.datatypes.contract import DataType
from dvidsync_dagster.datatypes.repo.decoding import decode
from dvidsync_dagster.datatypes.repo.side import RepoSide
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.event import Announcement
from dvidsync_dagster.events.message import Message


class RepoType(DataType):
    """The repo's own topic.

    Args:
        sorts_anew: data types whose instances must be told to sort what they have by a new labelmap.
    """

    typename = "repo"

    def __init__(self, sorts_anew: Collection[str]) -> None:
        self._sorts_anew = sorts_anew

    def decode(self, message: Message, instance: Instance | None) -> Announcement | None:
        event = decode(message)
        return None if event is None else Announcement(event)

    def server_side(self, servers: Servers) -> RepoSide:
        return RepoSide(servers, self._sorts_anew)
