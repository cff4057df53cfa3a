"""Digests of what a run brought to a destination, kept beside its quarantine.

A server does not tell who wrote a value. So runs remember what the source had last, by version, instance and
item: 64 bits of a hash each, in files whose names begin with the checkpoint's `values`. Where two files tell
of one item, the later one counts. A run writes to these files before it writes to the destination. If it is
killed in between, two digests are known of an item, and the destination has one of the two.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.quarantine import quarantine_uri

if TYPE_CHECKING:
    from dvidsync_dagster.log.kept_digests import Digests

Place = tuple[str, str]
"""A version and an instance. If one of the two is "", the other was made since anything is kept."""

Possible = tuple[int, ...]
"""The digests of which an item has one. There are two while it is not known whether a write was done."""

NOTHING = 0
"""The digest of what is not there."""


@dataclass(frozen=True, slots=True)
class Met:
    """What a destination has of an instance in a version when it is met, by item.

    Args:
        there: the digests of what the destination has.
        differing: the digests of what the source has, where that is something else.
    """

    place: Place
    there: Mapping[int, int]
    differing: Mapping[int, int] = field(default_factory=dict)


def digests_of(config: SyncConfig, destination: str, name: str) -> Digests:
    """What is kept of a destination under a name; new ones if nothing is.

    Raises:
        ConfigurationError: no such kind of store.
        LogError: it cannot be read.
    """
    # Arrays take time to load, and most runs write nothing.
    from dvidsync_dagster.log.kept_digests import Digests

    folder = _folder(config, destination)
    known = Digests(folder, name)
    if name:
        known.read()
    return known if not known.is_new else Digests(folder, uuid.uuid4().hex[:16])


@dataclass(frozen=True, slots=True)
class KeptDigests:
    """What is kept of one destination, for a run.

    Args:
        note: says something once per run.
    """

    config: SyncConfig
    destination: str
    note: Callable[[str], None]

    def are_lost(self, name: str) -> bool:
        """Whether nothing is kept anymore under a name that a checkpoint has."""
        try:
            names = _folder(self.config, self.destination).names()
        except LogError:
            return False  # whoever reads them tells of it
        return not any(each.startswith(f"{name}-") for each in names)

    def open(self, name: str) -> Digests:
        """Raises as `digests_of`."""
        found = digests_of(self.config, self.destination, name)
        if name and found.name != name:
            self.note(
                f"nothing is kept anymore of the values that earlier runs brought: `quarantine` names "
                f"another folder now, or it was emptied ({quarantine_uri(self.config)}). What people changed "
                f"here so far can be taken for the source's, and replaced. The table of conflicts and the "
                f"records that were set aside are not at hand either: move them here from the other folder"
            )
        return found


def last_digests_of(config: SyncConfig, destination: str) -> Digests | None:
    """What is kept of a destination, under whatever name; None if nothing is. Raises as `digests_of`."""
    names = _folder(config, destination).names()
    return digests_of(config, destination, names[-1].partition("-")[0]) if names else None


def _folder(config: SyncConfig, destination: str) -> Folder:
    return Folder(quarantine_uri(config), "quarantine", config.repo, destination, "values")
