"""Event ids of the source that no message explains: lost messages, perhaps.

Where the source keeps a list of its events, that tells which of them were label operations; else they are
a hint, as writes of voxels and merges that the source refused take ids too, and nobody announces those.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dvidsync_dagster.datatypes.decode import Decoded
from dvidsync_dagster.datatypes.labelmap.events import Announcement, BodyEvent
from dvidsync_dagster.datatypes.labelmap.gather import Identity, identity
from dvidsync_dagster.datatypes.registry import Event
from dvidsync_dagster.discovery import Route
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.heard_ids import Gap, HeardIds
from dvidsync_dagster.report import UnexplainedIds


@dataclass
class IdWatch:
    """Watches over one run.

    Args:
        repo: the source's.
        labelmaps: those that are followed, at the source.
        whole: whether no labelmap is left out. If one is, only the source's lists tell.
        heard: as the checkpoint remembers it.
        era: of these ids.
    """

    repo: RepoInfo
    labelmaps: Sequence[Labelmap]
    whole: bool
    heard: HeardIds = field(default_factory=HeardIds)
    era: int = 0
    _versions: set[str] = field(default_factory=set)

    def take_in(self, decoded: Decoded, ahead: Decoded) -> None:
        """Note whom the messages of a chunk, and what was read past it, tell of."""
        told = [item.event for item in (*decoded.labels, *ahead.labels) if isinstance(item, Announcement)]
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

    def may_be_early(self, event: BodyEvent) -> bool:
        """Whether the destination may refuse an operation because one before it is late."""
        return event.era == self.era and self.heard.is_missing_before(event.mutation_id)

    def still_early(self, events: Iterable[Event]) -> set[Identity]:
        """Those of the events that were refused before, and still may only be early. They are not tried
        again meanwhile: each cleave that is refused burns an id."""
        waiting = set(self.heard.waiting)
        return {
            identity(event)
            for event in events
            if isinstance(event, BodyEvent) and event.mutation_id in waiting and self.may_be_early(event)
        }

    def note_early(self, postponed: Collection[Identity]) -> None:
        """Remember them for the next chunk or run."""
        self.heard = replace(self.heard, waiting=tuple(sorted({each[-1] for each in postponed})))

    def settle(self, horizon: int) -> UnexplainedIds | None:
        """What nothing tells of anymore, once the log was read up to `horizon` (ns since 1970).

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
            after_key=min(gap.after_key for gap in gaps),
            before_key=max(gap.before_key for gap in gaps),
            versions=tuple(sorted(self._versions)),
        )

    def _listed(self) -> list[int]:
        """The operations that the source's own lists hold, ascending, where it keeps them."""
        unlocked = {version.uuid for version in self.repo.versions.values() if not version.locked}
        return sorted(
            mutation_id
            for labelmap in self.labelmaps
            for version in sorted(unlocked | self._versions)
            for mutation_id in labelmap.mutation_ids(version)
        )


def _between(listed: Sequence[int], gap: Gap) -> int:
    return bisect_right(listed, gap.last) - bisect_left(listed, gap.first)


def id_watch(route: Route, source: Transport) -> IdWatch:
    """What a run watches that follows this route."""
    labelmaps = {name for name, instance in route.repo.instances.items() if instance.typename == "labelmap"}
    followed = {
        instance.name
        for instance in route.topics.values()
        if instance is not None and instance.name in labelmaps - route.not_followed.keys()
    }
    return IdWatch(
        route.repo, [Labelmap(source, name) for name in sorted(followed)], whole=followed == labelmaps
    )


def early_text(count: int) -> str:
    """For people: operations that were postponed."""
    return (
        f"{count:,} label operations that the destination refuses wait for records that may be late: earlier "
        f"mutation ids have not been in the log yet"
    )


def told(found: UnexplainedIds) -> str:
    """For people."""
    times = f"between {key_text(found.after_key)} and {key_text(found.before_key)}"
    only = f" --versions {','.join(found.versions)}" if found.versions else ""
    compare = f"`dvidsync verify{only}`"
    if found.are_operations:
        return (
            f"{found.count:,} label operations that the source did {times} are not in the log: their "
            f"messages were lost. {compare} shows what they changed, `dvidsync repair` mends it."
        )
    return (
        f"{found.count:,} mutation ids that the source gave {times} are not in the log. That is a hint at "
        f"lost messages, and no proof: writes of voxels and merges that were refused take ids too. {compare} "
        f"tells."
    )
