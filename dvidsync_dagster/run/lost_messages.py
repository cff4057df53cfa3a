"""Event ids of the source that no message explains: lost messages, perhaps.

Where the source keeps a list of its events, that tells which of them were label operations; else they are
a hint, as writes of voxels and merges that the source refused take ids too, and nobody announces those.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dvidsync_dagster.datatypes.decode import Decoded
from dvidsync_dagster.datatypes.registry import FOLLOWED
from dvidsync_dagster.datatypes.source_side import SourceSide
from dvidsync_dagster.dvid.repo import Instance, RepoInfo
from dvidsync_dagster.events.event import Event, NumberedEvent
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.heard_ids import STRIDE, Gap, HeardIds
from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.run.discovery import Route
from dvidsync_dagster.run.report import UnexplainedIds


@dataclass
class IdWatch:
    """Watches over one run.

    Args:
        repo: the source's.
        sources: by data type, what asks the source.
        instances: those that are followed whose events have mutation ids.
        whole: whether no such instance is left out. If one is, only the source's lists tell.
        heard: as the checkpoint remembers it.
        era: of these ids.
        copy_next: the next mutation id of a copied folder that is met for the first time; 0 where nothing is
            known of it.
    """

    repo: RepoInfo
    sources: Mapping[str, SourceSide]
    instances: Sequence[Instance]
    whole: bool
    heard: HeardIds = field(default_factory=HeardIds)
    era: int = 0
    copy_next: int = 0
    _versions: set[str] = field(default_factory=set)

    def take_in(self, decoded: Decoded, ahead: Decoded) -> None:
        """Note the mutation ids of which a chunk tells, and of which the records read past it tell."""
        told = [event for event in (*decoded.events, *ahead.events) if isinstance(event, NumberedEvent)]
        newest = max((event.era for event in told), default=self.era)
        if newest > self.era:
            # The source counts again.
            self.heard, self.era = HeardIds(), newest
        # An id that the source had not given when it was asked comes from somewhere else.
        self.heard = self.heard.with_ids(
            (event.mutation_id, event.origin.key_ns)
            for event in told
            if event.era == self.era and event.mutation_id < self.repo.next_mutation_id
        )
        self._versions.update(event.version for event in told)

    def first_met(self, destination: RepoInfo) -> None:
        """A run begins without a checkpoint. A copied folder goes on in the source's ids."""
        copied = {each.data_uuid for each in destination.instances.values()}
        if any(each.data_uuid in copied for each in self.instances):
            self.copy_next = destination.next_mutation_id

    def done_before_start(self, decoded: Decoded) -> str | None:
        """For people: what the source did after the copy was made and before the first operation that a
        start lets a run read. It is said once; None if there is nothing.

        Raises:
            ServerError: the source does not answer.
        """
        told = [event for event in decoded.events if isinstance(event, NumberedEvent)]
        if not self.copy_next or not told:
            return None
        first = min(told, key=lambda event: event.mutation_id)
        gap = Gap(self.copy_next, first.mutation_id - 1, 0, first.origin.key_ns)
        self.copy_next = 0
        if gap.size <= 0:
            return None
        listed = self._listed()
        # A server that is started again goes on at the next stride.
        restarted = gap.first % STRIDE == first.mutation_id % STRIDE == 0
        count = _between(listed, gap) if listed else gap.size if self.whole and not restarted else 0
        return _before_start_text(count, bool(listed), first) if count else None

    def may_be_early(self, event: NumberedEvent) -> bool:
        """Whether the destination may refuse an operation because one before it is late."""
        return event.era == self.era and self.heard.is_missing_before(event.mutation_id)

    def still_early(self, events: Iterable[Event]) -> set[Hashable]:
        """Those of the events that were refused before, and still may only be early. They are not tried
        again meanwhile: each cleave that is refused burns an id."""
        waiting = set(self.heard.waiting)
        return {
            event.identity
            for event in events
            if isinstance(event, NumberedEvent) and event.mutation_id in waiting and self.may_be_early(event)
        }

    def note_early(self, postponed: Iterable[Event]) -> None:
        """Remember them for the next chunk or run."""
        ids = {event.mutation_id for event in postponed if isinstance(event, NumberedEvent)}
        self.heard = replace(self.heard, waiting=tuple(sorted(ids)))

    def settle(self, horizon: int) -> UnexplainedIds | None:
        """Give up the ids of which no message will tell, as the log was read up to `horizon` (ns since 1970).
        None if there are none, or if they belong to no operation on what is followed, as far as that shows.

        Raises:
            ServerError: the source does not answer.
        """
        self.heard, gaps = self.heard.settled(horizon)
        if not gaps:
            return None
        listed = self._listed()
        if not listed and not self.whole:
            return None
        counts = [_between(listed, gap) if listed else gap.size for gap in gaps]
        gaps = tuple(gap for gap, count in zip(gaps, counts, strict=True) if count)
        if not gaps:
            return None
        return UnexplainedIds(
            count=sum(counts),
            are_operations=bool(listed),
            after_key=min(gap.after_key_ns for gap in gaps),
            before_key=max(gap.before_key_ns for gap in gaps),
            versions=tuple(sorted(self._versions)),
        )

    def _listed(self) -> list[int]:
        """The operations that the source's own lists hold, ascending, where it keeps them."""
        unlocked = {version.uuid for version in self.repo.versions.values() if not version.locked}
        return sorted(
            mutation_id
            for instance in self.instances
            for version in sorted(unlocked | self._versions)
            for mutation_id in self.sources[instance.typename].listed_ids(instance.name, version)
        )


def _between(listed: Sequence[int], gap: Gap) -> int:
    return bisect_right(listed, gap.last) - bisect_left(listed, gap.first)


def id_watch(route: Route, sources: Mapping[str, SourceSide]) -> IdWatch:
    """What a run watches that follows this route."""
    numbered = {
        name: instance
        for name, instance in route.repo.instances.items()
        if instance.typename in FOLLOWED and FOLLOWED[instance.typename].numbers_events
    }
    followed = {
        instance.name
        for instance in route.topics.values()
        if instance is not None and instance.name in numbered.keys() - route.not_followed.keys()
    }
    instances = [numbered[name] for name in sorted(followed)]
    return IdWatch(route.repo, sources, instances, whole=followed == numbered.keys())


def early_text(count: int) -> str:
    """For people: operations that were postponed."""
    return (
        f"{counted(count, 'label operation')} that the destination refuses "
        f"{'waits' if count == 1 else 'wait'} for records that may be late: earlier "
        f"mutation ids have not been in the log yet"
    )


def _before_start_text(count: int, are_operations: bool, first: NumberedEvent) -> str:
    what = "label operation" if are_operations else "mutation id"
    doubt = "" if are_operations else " (writes of voxels and merges that were refused take ids too)"
    return (
        f"{counted(count, what)} of the source {'is' if count == 1 else 'are'} neither in the copy nor in "
        f"what this run reads{doubt}, from {first.mutation_id} on ({key_text(first.origin.key_ns)}). "
        f"Perhaps `start` is later than the copy by the source's clock, or messages were lost. `dvidsync "
        f"verify` tells, `dvidsync repair --apply` brings over what is missing. (Of a destination that was "
        f"followed before this tells nothing.)"
    )


def told(found: UnexplainedIds) -> str:
    """For people."""
    times = f"between {key_text(found.after_key)} and {key_text(found.before_key)}"
    only = f" --versions {','.join(found.versions)}" if found.versions else ""
    compare = f"`dvidsync verify{only}`"
    if found.are_operations:
        return (
            f"{counted(found.count, 'label operation')} that the source did {times} "
            f"{'is' if found.count == 1 else 'are'} not in the log: messages were lost. {compare} shows what "
            f"that changed, `dvidsync repair` mends it."
        )
    return (
        f"{counted(found.count, 'mutation id')} that the source gave {times} "
        f"{'is' if found.count == 1 else 'are'} not in the log. That is a hint at "
        f"lost messages, and no proof: writes of voxels and merges that were refused take ids too. {compare} "
        f"tells."
    )
