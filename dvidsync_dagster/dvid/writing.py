"""Which versions a client may change. What is not allowed is refused here, before it is sent."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from dvidsync_dagster.dvid.paths import version_in
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ForeignVersion

_BRANCH = "branch"


class Writes(Protocol):
    """What may be changed. Asked before each change, by any thread."""

    @property
    def whose(self) -> str:
        """Whose versions may be changed, for messages."""
        ...

    def allows(self, version: str, endpoint: str) -> bool:
        """Whether a version may be changed by a request to `endpoint`. Raises ServerError."""
        ...


class Nothing:
    """Nothing is changed: the source's client."""

    whose = "nobody"

    def allows(self, _version: str, _endpoint: str) -> bool:
        return False


class SourcesVersions:
    """The versions that the source has. It is asked again for those that it did not have.

    Args:
        source: open.
        root: the repo.
        known: versions that it is known to have.
    """

    whose = "the source"

    def __init__(self, source: Transport, root: str, known: Collection[str] = ()) -> None:
        self._source = source
        self._root = root
        self._known = frozenset(known)

    def allows(self, version: str, _endpoint: str) -> bool:
        if version not in self._known:
            self._known = frozenset(read_repo_info(self._source, self._root).versions)
        return version in self._known


class OwnVersions:
    """The destination's own versions. A branch can begin at any: a version is not changed by its children.

    Args:
        versions: those that are its own.
    """

    whose = "the destination itself"

    def __init__(self, versions: Collection[str] = ()) -> None:
        self.versions = frozenset(versions)

    def allows(self, version: str, endpoint: str) -> bool:
        return endpoint == _BRANCH or version in self.versions


def refuse_foreign(writes: Writes, method: str, path: str) -> None:
    """Raises ForeignVersion if a change is not allowed."""
    version, endpoint = version_in(path)
    if not writes.allows(version, endpoint):
        raise ForeignVersion(f"{method} {path}", version, writes.whose)
