"""Which values of a destination are its own: not what dvidsync wrote last, nor what came with the copy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO, TypeVar

from dvidsync_dagster.differences.digest import hashed
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.errors import RefusalReason
from dvidsync_dagster.log.written import WrittenValues
from dvidsync_dagster.plan.outcome import Refusal

Key = TypeVar("Key")
_PIECE = 1 << 20

ReadIn = Callable[[str, Collection[Key]], Mapping[Key, int]]
"""The hashes of values in a version of the destination, 0 for what is not there."""


def hash_of(content: bytes | None) -> int:
    """Of a value; 0 for none."""
    return hashed(content) or 1 if content else 0


def hash_of_file(content: IO[bytes]) -> int:
    """Of what is left of a file, as `hash_of`."""
    digest = blake2b(digest_size=8)
    size = 0
    while piece := content.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    return int.from_bytes(digest.digest(), "little") or 1 if size else 0


def own_value(part: int, what: str) -> Refusal:
    """A part of a command that is not done as the destination changed what it would write."""
    return Refusal(part, f"the destination has changed {what} itself", RefusalReason.OWN_EDIT)


@dataclass(frozen=True, slots=True)
class OwnValues:
    """The values of one instance.

    Args:
        instance: the source's name of it.
        repo: the source's.
        written: what was noted.
    """

    instance: str
    repo: RepoInfo
    written: WrittenValues

    def among(
        self,
        version: str,
        there: Mapping[Key, int],
        coming: Mapping[Key, int],
        *,
        name: Callable[[Key], bytes],
        read_in: ReadIn[Key],
        forced: bool,
    ) -> set[Key]:
        """The keys that must not be written. All others are noted: they may be written now.

        Args:
            there, coming: hashes of what the destination has and is to have, of the same keys; 0 for nothing.
            name: a key as bytes.
            read_in: reads such hashes in another version of the destination.
            forced: all may be written.
        """
        places = {key: hashed(name(key)) for key in there}
        own: set[Key] = set()
        if not forced:
            differing = [key for key in there if there[key] != coming[key]]
            lineage = _lineage(self.repo, version)
            noted = self.written.noted(self.instance, lineage, [places[key] for key in differing])
            unknown = []
            for key in differing:
                if places[key] not in noted:
                    unknown.append(key)
                elif not noted[places[key]].allows(there[key]):
                    own.add(key)
            own |= self._own_among(version, {key: there[key] for key in unknown}, read_in)
        allowed = [key for key in there if key not in own]
        self.written.note(
            self.instance,
            version,
            {places[key]: there[key] for key in allowed},
            {places[key]: coming[key] for key in allowed},
        )
        return own

    def _own_among(self, version: str, there: Mapping[Key, int], read_in: ReadIn[Key]) -> set[Key]:
        """Values that dvidsync never wrote came with the copy, or from the version before; or are own."""
        if not there:
            return set()
        met = self.written.met
        if version in met.versions:
            whole = (self.instance, version) in met.noted
            return {key for key, value in there.items() if value} if whole else set()
        parents = self.repo.versions[version].parents if version in self.repo.versions else ()
        left = dict(there)
        for parent in parents:
            before = read_in(parent, list(left)) if left else {}
            left = {key: value for key, value in left.items() if before.get(key, 0) != value}
        return set(left)


def _lineage(repo: RepoInfo, version: str) -> list[str]:
    """A version and those that it was made from, the nearest first."""
    found, waiting = [], [version]
    while waiting:
        here = waiting.pop(0)
        if here not in found:
            found.append(here)
            waiting += repo.versions[here].parents if here in repo.versions else ()
    return found
