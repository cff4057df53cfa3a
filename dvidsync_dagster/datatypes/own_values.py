"""Whether items that are copied are, at a destination, what the source had there before.

A destination does not tell who changed a key, a neuron or an element. But what it must have is known: what
the source had when the item was last looked at, in this version or in the parent. Of an item that was never
looked at it is what the source has in the parent version, which is committed. Whatever else is there, people
made it.

What a version had when the destination was met, before the first run, may be either's. Where nothing shows
whose it is, the configuration says what becomes of it: the source is followed, and what was there is kept
aside; or it is left alone, as if people had made it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from dvidsync_dagster.log.digests import NOTHING, Possible

if TYPE_CHECKING:
    from dvidsync_dagster.log.kept_digests import Digests

K = TypeVar("K")

NOT_THE_SOURCES = "it is the destination's own work: what is there is not what the source had"
MAY_BE_OWN = (
    "it may be the destination's own work: nothing tells whose is what was there before the first run "
    "(`on_doubt: conflict`)"
)
"""Why an item is left alone."""

LeftAlone = Mapping[K, str]
"""Items that are not written, and why."""

_MOST_BYTES = 64 << 20

_BACK = 10
"""Versions."""

InVersion = Callable[[str, Sequence[K]], Mapping[K, int]]
"""Asks the source for the digests of items in one version."""


def first_of(times: Mapping[K, Sequence[int]], key: K) -> int:
    """When the source changed an item first (ns since 1970); 0 if that is not known."""
    return min(times.get(key, ()), default=0)


@dataclass(frozen=True, slots=True)
class Both:
    """An item on both sides, by digests of what is there.

    Args:
        item: what tells it apart: a digest too.
        since: when the source changed it first since it was last looked at (ns since 1970), 0 if that is
            not known.
    """

    item: int
    source: int
    destination: int
    since: int = 0


@dataclass(frozen=True, slots=True)
class Evidence(Generic[K]):
    """Where to look for whose an item is, if what is known does not tell.

    Args:
        there: what the destination has of an item, as it is kept aside.
        shows_people: whether what the destination has shows that people made it.
        changes: how often the source changed an item in the batch; 0 if that is not known.
        tells_deletes: the source announces each delete.
        named: the items that are meant by what the log calls them.
    """

    at_source: InVersion[K]
    there: Callable[[K], bytes]
    shows_people: Callable[[K], bool] = lambda _: False
    changes: Callable[[K], int] = lambda _: 0
    tells_deletes: bool = False
    named: Callable[[Collection[str]], Collection[object]] = lambda texts: texts


KeepAside = Callable[[str, str, Mapping[str, bytes]], None]
"""Takes, of a version and an instance, what is about to be replaced, by item."""

ChangedBefore = Callable[[str, str], Collection[str] | None]
"""What the source changed in a version of an instance before the first event of the run, as the log calls it;
None if the log does not go back to when the version was made, or in a root the instance."""


class OwnValues:
    """What is known of the items of a destination. It is asked by several threads.

    Args:
        parents: of a version at the source.
        checks: what is people's is not written; else all is.
        leaves_out: what is not taken is left out for good, and not tried again.
        follows_doubtful: what nothing shows to be people's is written; else it is not.
        keep_aside: takes what is about to be replaced, and may be people's.
        copied_from: the copy was made at this time or later (ns since 1970); None if that is not known.
        changed_before: asked where nothing else tells.
    """

    def __init__(
        self,
        parents: Callable[[str], Sequence[str]],
        *,
        checks: bool = True,
        leaves_out: bool = True,
        follows_doubtful: bool = True,
        keep_aside: KeepAside = lambda _version, _instance, _values: None,
        copied_from: int | None = None,
        changed_before: ChangedBefore = lambda _version, _instance: None,
    ) -> None:
        self.digests: Digests | None = None
        """None: nothing is known, and all is written."""
        self.parents = parents
        self.checks = checks
        self._leaves_out = leaves_out
        self.follows_doubtful = follows_doubtful
        self._keep_aside = keep_aside
        self.copied_from = copied_from
        self.changed_before = changed_before
        self.told_up_to = 0
        """All that the source announced up to then (ns since 1970) is in the batch, or was in one before."""
        self.all_is_told = False
        """The same up to the run's start."""

    @property
    def most_bytes(self) -> int:
        """Of an instance in a version that are read when the destination is first met. Of more nothing is
        known: who leaves alone what is doubtful reads all."""
        return _MOST_BYTES if self.follows_doubtful else sys.maxsize

    def about_to_make(self, version: str, instance: str = "") -> None:
        """A version that is made has what its parent has, an instance (where one is named) nothing."""
        if self.digests is not None:
            self.digests.make(("", instance) if instance else (version, ""))

    def about_to_write(
        self, version: str, instance: str, items: Mapping[K, Both], evidence: Evidence[K]
    ) -> LeftAlone[K]:
        """Which items are people's, and must not be written. All others that differ are going to be."""
        digests = self.digests
        if digests is None:
            return {}
        differing = {key: both for key, both in items.items() if both.source != both.destination}
        own: LeftAlone[K] = {}
        if self.checks:
            own, replaced = self._left_alone(digests, version, instance, differing, evidence)
            if replaced:
                self._keep_aside(version, instance, {str(key): evidence.there(key) for key in replaced})
        changes = {
            both.item: (both.destination, both.source) for key, both in differing.items() if key not in own
        }
        if changes:
            digests.begin(version, instance, changes)
        return own

    def written(
        self,
        version: str,
        instance: str,
        items: Mapping[K, Both],
        *,
        own: Collection[K],
        refused: Collection[K],
    ) -> None:
        """What became of items: of those that are not people's, some were `refused` by the destination."""
        if self.digests is not None:
            unsure = {*refused, *(() if self._leaves_out else own)}
            now = {both.item: both.source for key, both in items.items() if key not in unsure}
            self.digests.done(version, instance, now)

    def _left_alone(
        self,
        digests: Digests,
        version: str,
        instance: str,
        items: Mapping[K, Both],
        evidence: Evidence[K],
    ) -> tuple[LeftAlone[K], Collection[K]]:
        """Those that are not written, and those that are, although they may be people's."""
        own, doubtful = self._own(digests, version, instance, items, evidence)
        left_alone = dict.fromkeys(own, NOT_THE_SOURCES)
        if not self.follows_doubtful:
            return left_alone | dict.fromkeys(doubtful, MAY_BE_OWN), ()
        return left_alone, [key for key in doubtful if items[key].destination != NOTHING]

    def _own(
        self,
        digests: Digests,
        version: str,
        instance: str,
        items: Mapping[K, Both],
        evidence: Evidence[K],
    ) -> tuple[set[K], Collection[K]]:
        """Those that are people's, and those of which nothing tells whose they are."""
        own: set[K] = set()
        unknown: list[K] = []
        was_made = self._was_made(digests, version)
        parent = self._parent(version) if was_made else None
        for key, both in items.items():
            known = self._known(digests, version, instance, both)
            # The source has in a parent what it had there: where nothing else tells, it is asked.
            if known is None and parent is not None and digests.tells(parent, instance, both.item):
                known = self._known(digests, parent, instance, both)
            if known is None:
                unknown.append(key)
            elif both.destination not in known:
                own.add(key)
        if parent is not None:
            own |= self._made_by_people(parent, items, unknown, evidence.at_source)
        if was_made:
            return own, ()
        unsure = {
            key
            for key, both in items.items()
            if key not in own and not digests.tells(version, instance, both.item)
        }
        taken_over = self._taken_over(version, items, unsure, evidence.at_source)
        deleted = self._perhaps_deleted(version, instance, items, taken_over, evidence)
        unsure = unsure - taken_over | deleted
        shown = {key for key in unsure if items[key].destination != NOTHING and evidence.shows_people(key)}
        shown = shown | self._changed_once(version, instance, items, unsure - shown, evidence)
        return own | shown, unsure - shown

    def _taken_over(
        self, version: str, items: Mapping[K, Both], unsure: Collection[K], at_source: InVersion[K]
    ) -> set[K]:
        """Those that are what the version has from its parent: nobody made them there. Without one parent
        that is known only of what is not there."""
        parent = self._parent(version)
        if not unsure or parent is None:
            return {key for key in unsure if items[key].destination == NOTHING}
        there = at_source(parent, list(unsure))
        return {key for key in unsure if items[key].destination == there[key]}

    def _perhaps_deleted(
        self,
        version: str,
        instance: str,
        items: Mapping[K, Both],
        taken_over: Collection[K],
        evidence: Evidence[K],
    ) -> set[K]:
        """Those that are not there, and that the source had changed in the version before the run begins:
        they may have come with the copy, and people may have deleted them."""
        if self.follows_doubtful:
            return set()
        absent = {key for key in taken_over if items[key].destination == NOTHING}
        before = self.changed_before(version, instance) if absent else None
        named = set() if before is None else set(evidence.named(before))
        return {key for key in absent if key in named}

    def _changed_once(
        self,
        version: str,
        instance: str,
        items: Mapping[K, Both],
        unsure: Collection[K],
        evidence: Evidence[K],
    ) -> set[K]:
        """Those that the source changed once since it made the version: the copy has what they were before,
        or are now; or people's."""
        once: set[K] = set()
        if self.all_is_told and len(self.parents(version)) <= 1:
            told = {key for key in unsure if evidence.tells_deletes or items[key].destination != NOTHING}
            once = {key for key in told if evidence.changes(key) == 1}
        before = self.changed_before(version, instance) if once else None
        return set() if before is None else once - set(evidence.named(before))

    def _was_made(self, digests: Digests, version: str) -> bool:
        return digests.was_made(version)

    def _known(self, digests: Digests, version: str, instance: str, both: Both) -> Possible | None:
        return digests.get(version, instance, both.item, both.since)

    def _made_by_people(
        self, version: str | None, items: Mapping[K, Both], unknown: Sequence[K], at_source: InVersion[K]
    ) -> set[K]:
        """Those of the items that are not as at the source in a version. What the source does not have there
        it can have deleted without a word: then the version before that counts."""
        own: set[K] = set()
        for _ in range(_BACK):
            if not unknown or version is None:
                break
            there = at_source(version, unknown)
            other = [key for key in unknown if items[key].destination != there[key]]
            own.update(key for key in other if there[key] != NOTHING)
            unknown = [key for key in other if there[key] == NOTHING]
            version = self._parent(version)
        return own.union(unknown)

    def _parent(self, version: str) -> str | None:
        parents = self.parents(version)
        return parents[0] if len(parents) == 1 else None
