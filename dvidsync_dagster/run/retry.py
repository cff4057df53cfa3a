"""Trying again what was set aside: records that can be decoded by now are applied, where that is safe.

They come late, so what has happened since counts. A value, an element, a version is brought to the source's
present state in any order. An operation on bodies is not: it is repeated only if the source's bodies are
still as it left them, in a version that has no child. All else is left to a comparison and `dvidsync repair`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.destinations.kinds import server_only
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.quarantine import TopicPartitionOffset, place_of, quarantine_of
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.run.at_hand import AtHand
from dvidsync_dagster.run.session import Session, opened_session

_MEND = "compare, and let `dvidsync repair` bring the destination to the source's state"


@dataclass
class Retried:
    """What became of records that were set aside: those that are applied now, and why others are not."""

    applied: list[TopicPartitionOffset] = field(default_factory=list)
    left: dict[TopicPartitionOffset, str] = field(default_factory=dict)

    def summary(self) -> str:
        return f"{counted(len(self.applied), 'record')} applied, {len(self.left):,} left in the quarantine"


def retry(
    config: SyncConfig,
    destination: AnyDestination,
    chosen: Collection[TopicPartitionOffset] | None,
    *,
    checkpoint: Checkpoint | None,
    still_owner: Callable[[], None],
) -> Retried:
    """Try records of a destination's quarantine again. Those at which runs stop are left to the next run.

    Args:
        chosen: only these; None for all.
        checkpoint: the destination's.
        still_owner: raises OwnershipLost if a newer run owns the destination.

    Raises:
        ConfigurationError, LogError, ServerError, OwnershipLost: nothing is in flight anymore; what was
            applied is recognised by the next try. A ConfigurationError for a bucket, too.
    """
    server = server_only(destination, "takes the log in its order alone")
    quarantine = quarantine_of(config, server.name)
    done = Retried()
    waiting: set[TopicPartitionOffset] = set()
    for row in quarantine.rows():
        if chosen is None or row.place in chosen:
            if row.state == "stopped":
                done.left[row.place] = "runs stop at it; the next one tries it again"
            elif row.state != "applied":
                waiting.add(row.place)
    if not waiting:
        return done
    records = quarantine.read(waiting)
    lenient = server.model_copy(update={"on_conflict": "skip"})
    with opened_session(config, lenient, born_since=0, still_owner=still_owner) as session:
        _apply(session, records, checkpoint, done)
        still_owner()
    quarantine.mark(set(done.applied), "applied")
    return done


def _apply(
    session: Session, records: Collection[Record], checkpoint: Checkpoint | None, done: Retried
) -> None:
    places = {record.origin: place_of(record) for record in records}
    readable = []
    for record in records:
        why = _why_not_yet(record, session, checkpoint)
        if why is None:
            readable.append(record)
        else:
            done.left[places[record.origin]] = why
    route = session.route
    eras = EraClock(checkpoint.era, checkpoint.boot, checkpoint.mutation_id) if checkpoint else EraClock()
    decoded = decode_records(readable, route.topics, route.not_followed, eras, route.places)
    left: dict[Origin, str] = {record.origin: found for record, found in decoded.undecodable}
    wanted: list[Announcement] = []
    for announcement in decoded.announcements:
        # A start says nothing that its completion does not.
        if announcement.done:
            why = _why_too_late(announcement.event, session)
            if why is None:
                wanted.append(announcement)
            else:
                left[announcement.event.origin] = f"{why}; {_MEND}"
    at_hand = AtHand({}, route.versions)
    at_hand.take_in(replace(decoded, announcements=wanted), [], ended_before=0)
    session.destination.begin_pass(checkpoint, again=True)
    brought = session.destination.bring(Batch(events=at_hand.events(), again=True, asked_for=True))
    left |= {event.origin: "what it depends on is not there" for event in brought.held}
    refused = {row.where: row.found for row in brought.conflicts}
    for origin in (record.origin for record in readable):
        why = left.get(origin) or refused.get(str(origin))
        if why is None:
            done.applied.append(places[origin])
        else:
            done.left[places[origin]] = why


def _why_too_late(event: Event, session: Session) -> str | None:
    versions = session.route.repo.versions.values()
    has_children = any(event.version in version.parents for version in versions)
    return session.sources[event.typename].why_not_late(event, has_children=has_children)


def _why_not_yet(record: Record, session: Session, checkpoint: Checkpoint | None) -> str | None:
    if record.origin.topic not in session.route.topics:
        return "its instance is not followed anymore"
    if record.value is None or record.key is None or not record.key.isdigit():
        return "its key or value is none that a DVID server writes"
    if checkpoint is None or record.origin.key_ns > checkpoint.key_ns:
        return "the destination has not followed the log so far yet"
    return None
