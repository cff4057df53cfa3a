"""Whether items that are copied are, at a destination, what the source had there before.

A destination does not tell who changed a key, a neuron or an element. But what it must have is known: what
the source had when the item was last looked at, in this version or in the parent. Of an item that was never
looked at it is what the source has in the parent version, which is committed. Whatever else is there, people
made it.

What a version had when the destination was met, before the first run, may be either's. Where nothing shows
that people made it, it is followed, and what was there is kept aside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from dvidsync_dagster.log.digests import NOTHING, Now

if TYPE_CHECKING:
    from dvidsync_dagster.log.kept_digests import Digests

K = TypeVar("K")

NOT_THE_SOURCES = "it is the destination's own work: what is there is not what the source had"
"""Why an item is left alone."""

MAX_BYTES_FOUND = 64 << 20
"""Of an instance and a version that are read when a destination is first met. Of more nothing is known."""

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
        named: the items that are meant by what the log calls them.
    """

    at_source: InVersion[K]
    there: Callable[[K], bytes]
    shows_people: Callable[[K], bool] = lambda _: False
    changes: Callable[[K], int] = lambda _: 0
    named: Callable[[Collection[str]], Collection[object]] = lambda texts: texts


KeepAside = Callable[[str, str, Mapping[str, bytes]], None]
"""Takes, of a version and an instance, what is about to be replaced, by item."""

ChangedBefore = Callable[[str, str], Collection[str] | None]
"""What the source changed in a version of an instance before the first event of the run, as the log calls it;
None if the log does not go back to when the version was made."""


class OwnValues:
    """What is known of the items of a destination. It is asked by several threads.

    Args:
        parents: of a version at the source.
        checks: what is people's is not written; else all is.
        leaves_out: what is not taken is left out for good, and not tried again.
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
        keep_aside: KeepAside = lambda _version, _instance, _values: None,
        copied_from: int | None = None,
        changed_before: ChangedBefore = lambda _version, _instance: None,
    ) -> None:
        self.digests: Digests | None = None
        """None: nothing is known, and all is written."""
        self._parents = parents
        self.checks = checks
        self._leaves_out = leaves_out
        self._keep_aside = keep_aside
        self.copied_from = copied_from
        self._changed_before = changed_before
        self.told_up_to = 0
        """All that the source announced up to then (ns since 1970) is in the batch, or was in one before."""
        self.all_is_told = False
        """The same up to the run's start."""

    def about_to_make(self, version: str, instance: str = "") -> None:
        """A version that is made has what its parent has, an instance (where one is named) nothing."""
        if self.digests is not None:
            self.digests.make(("", instance) if instance else (version, ""))

    def about_to_write(
        self, version: str, instance: str, items: Mapping[K, Both], evidence: Evidence[K]
    ) -> set[K]:
        """Which items are people's, and must not be written. All others that differ are going to be."""
        digests = self.digests
        if digests is None:
            return set()
        differing = {key: both for key, both in items.items() if both.source != both.destination}
        own: set[K] = set()
        if self.checks:
            own, unsure = self._own(digests, version, instance, differing, evidence)
            if unsure:
                self._keep_aside(version, instance, {str(key): evidence.there(key) for key in unsure})
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
        # What is not there is nobody's.
        unsure = {
            key
            for key, both in items.items()
            if both.destination != NOTHING
            and key not in own
            and not digests.tells(version, instance, both.item)
        }
        taken_over = self._taken_over(version, items, unsure, evidence.at_source)
        unsure = unsure - taken_over
        shown = {key for key in unsure if evidence.shows_people(key)}
        shown = shown | self._changed_once(version, instance, unsure - shown, evidence)
        return own | shown, unsure - shown

    def _taken_over(
        self, version: str, items: Mapping[K, Both], unsure: Collection[K], at_source: InVersion[K]
    ) -> set[K]:
        """Those that are what the version has from its parent: nobody made them there."""
        parent = self._parent(version)
        if not unsure or parent is None:
            return set()
        there = at_source(parent, list(unsure))
        return {key for key in unsure if items[key].destination == there[key]}

    def _changed_once(
        self, version: str, instance: str, unsure: Collection[K], evidence: Evidence[K]
    ) -> set[K]:
        """Those that the source changed once since it made the version: the copy has what they were before,
        or are now; or people's."""
        is_told = self.all_is_told and self._parent(version) is not None
        once = {key for key in unsure if evidence.changes(key) == 1} if is_told else set()
        before = self._changed_before(version, instance) if once else None
        return set() if before is None else once - set(evidence.named(before))

    def _was_made(self, digests: Digests, version: str) -> bool:
        return digests.was_made(version)

    def _known(self, digests: Digests, version: str, instance: str, both: Both) -> Now | None:
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
        parents = self._parents(version)
        return parents[0] if len(parents) == 1 else None


class ValuesBeyondStop(OwnValues):
    """Tells what people's values would be if a run that stops went on, in versions that it has not made.
    Nothing is kept of what is asked here.

    Args:
        known: what the run knows.
        is_made: whether the destination has a version.
    """

    def __init__(self, known: OwnValues, is_made: Callable[[str], bool]) -> None:
        super().__init__(
            known._parents,
            checks=known.checks,
            copied_from=known.copied_from,
            changed_before=known._changed_before,
        )
        self.digests = known.digests
        self.told_up_to, self.all_is_told = known.told_up_to, known.all_is_told
        self._is_made = is_made
        self._foreseen: dict[tuple[str, str, int], int] = {}

    def about_to_write(
        self, version: str, instance: str, items: Mapping[K, Both], evidence: Evidence[K]
    ) -> set[K]:
        if self.digests is None or not self.checks:
            return set()
        there = {key: self._shown_there(version, instance, both) for key, both in items.items()}
        differing = {key: both for key, both in there.items() if both.source != both.destination}
        own, _ = self._own(self.digests, version, instance, differing, evidence)
        self._foreseen |= {
            (version, instance, both.item): both.source for key, both in items.items() if key not in own
        }
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
        """Nothing was."""

    def _shown_there(self, version: str, instance: str, both: Both) -> Both:
        """With what the destination would have by then, where that is another."""
        parent = self._parent(version)
        while parent is not None and not self._is_made(version):
            foreseen = self._foreseen.get((parent, instance, both.item))
            if foreseen is not None:
                return replace(both, destination=foreseen)
            version, parent = parent, self._parent(parent)
        return both

    def _was_made(self, digests: Digests, version: str) -> bool:
        return not self._is_made(version) or digests.was_made(version)

    def _known(self, digests: Digests, version: str, instance: str, both: Both) -> Now | None:
        foreseen = self._foreseen.get((version, instance, both.item))
        if foreseen is not None:
            return (foreseen,)
        return super()._known(digests, version, instance, both) if self._is_made(version) else None
