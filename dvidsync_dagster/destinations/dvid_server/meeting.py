"""What a destination has when it is met, beside what the source has then: by that, what people changed before
is told from what is still to be copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dvidsync_dagster.datatypes.server_side import Servers, ServerSide
from dvidsync_dagster.destinations.dvid_server.planner import Sides
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.repo import RepoInfo, read_server_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.log.digests import NOTHING, Met

ANNOUNCED_SECONDS = 1.0
"""A change is at the source some time before its message is made."""


def items_met(servers: Servers, sides: Sides, there: RepoInfo) -> Iterator[Met]:
    """All items in versions that can still be changed, of instances that are not too large.

    Args:
        there: the repo at the destination.
    """
    for version in there.versions.values():
        for name, instance in servers.repo.instances.items():
            both = version.uuid in servers.repo.versions and servers.at_destination(name) in there.instances
            if both and not version.locked and servers.followed(name):
                side = _Both(servers, sides[instance.typename], name)
                found = side.at_destination(version.uuid)
                if found is not None:
                    yield Met((version.uuid, name), found, side.differing(version.uuid, found))


def changes_at_source(source: Transport) -> int:
    """All changes with a later key (ns since 1970) come after what was read of the source until now."""
    return read_server_info(source).clock + int(ANNOUNCED_SECONDS * 1e9)


class _Both:
    """One instance at both servers."""

    def __init__(self, servers: Servers, side: ServerSide, name: str) -> None:
        self._servers = servers
        self._side = side
        self._name = name

    def at_destination(self, version: str) -> Mapping[int, int] | None:
        name = self._servers.at_destination(self._name)
        return self._side.digests(DvidSide(self._servers.destination, version, name))

    def differing(self, version: str, there: Mapping[int, int]) -> dict[int, int]:
        """What the source has, by item, where it is not what is there."""
        here = self._side.digests(DvidSide(self._servers.source, version, self._name))
        if here is None:
            return {}
        items = there.keys() | here.keys()
        found = {item: here.get(item, NOTHING) for item in items}
        found = {item: now for item, now in found.items() if now != there.get(item, NOTHING)}
        gone = [item for item, now in found.items() if now == NOTHING]
        if gone and not self._side.announces_deletes:
            taken_over = self._taken_over(version)
            for item in gone:
                # Nobody there wrote it in this version: the source can have deleted it since.
                if taken_over.get(item) == there[item]:
                    del found[item]
        return found

    def _taken_over(self, version: str) -> Mapping[int, int]:
        """What the version has from its parent."""
        parents = self._servers.repo.parents(version)
        return (self.at_destination(parents[0]) or {}) if len(parents) == 1 else {}
