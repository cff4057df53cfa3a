"""Trying again what was set aside: records that can be decoded by now are applied, where that is safe.

They come late, so what has happened since counts. A value, an element, a version is brought to the source's
present state in any order. An operation on bodies is not: it is repeated only if the source's bodies are
still as it left them, in a version that has no child. All else is left to a comparison and `dvidsync repair`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from dvidsync_dagster.attempts import carry_out
from dvidsync_dagster.batch import Batch
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.datatypes.decode import Decoded, decode_records
from dvidsync_dagster.datatypes.eras import EraClock
from dvidsync_dagster.datatypes.labelmap.events import Announcement, BodyEvent, CounterEvent
from dvidsync_dagster.datatypes.labelmap.look import Contact
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.quarantine import Place, place_of, quarantine_of
from dvidsync_dagster.log.record import RawRecord, Record
from dvidsync_dagster.opened import Opened, opened

_MEND = "compare, and let `dvidsync repair` bring the destination to the source's state"


@dataclass
class Retried:
    """What became of records that were set aside: those that are applied now, and why others are not."""

    applied: list[Place] = field(default_factory=list)
    left: dict[Place, str] = field(default_factory=dict)

    def summary(self) -> str:
        return f"{len(self.applied):,} records applied, {len(self.left):,} left in the quarantine"


def retry(
    config: SyncConfig,
    destination: DestinationConfig,
    chosen: Collection[Place] | None,
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
            applied is recognised by the next try.
    """
    quarantine = quarantine_of(config, destination.name)
    done = Retried()
    waiting: set[Place] = set()
    for row in quarantine.rows():
        if chosen is None or row.place in chosen:
            if row.state == "stopped":
                done.left[row.place] = "runs stop at it; the next one tries it again"
            elif row.state != "applied":
                waiting.add(row.place)
    if not waiting:
        return done
    records = quarantine.read(waiting)
    lenient = destination.model_copy(update={"on_conflict": "skip"})
    with opened(config, lenient, born_since=0, still_owner=still_owner) as both:
        _apply(both, lenient, records, checkpoint, done)
        still_owner()
    quarantine.mark(set(done.applied), "applied")
    return done


def _apply(
    both: Opened,
    destination: DestinationConfig,
    records: Collection[RawRecord],
    checkpoint: Checkpoint | None,
    done: Retried,
) -> None:
    places = {record.origin: place_of(record) for record in records}
    readable = []
    for record in records:
        why = _why_not_yet(record, both, checkpoint)
        if why is None:
            readable.append(Record(record.origin, record.value or b""))
        else:
            done.left[places[record.origin]] = why
    eras = EraClock(checkpoint.era, checkpoint.boot, checkpoint.mutation_id) if checkpoint else EraClock()
    decoded = decode_records(readable, both.route.topics, both.route.not_followed, eras, both.route.places)
    left: dict[Origin, str] = {record.origin: found for record, found in decoded.undecodable}
    labels: list[Announcement | CounterEvent] = []
    for item in decoded.labels:
        # A start says nothing that its completion does not, and a counter follows the source's own.
        if isinstance(item, Announcement) and item.done:
            if _is_last(item.event, both.source, both.route.repo):
                labels.append(item)
            else:
                left[item.event.origin] = f"its bodies have changed since, or may have; {_MEND}"
    batch = Batch()
    batch.take_in(
        replace(decoded, labels=labels),
        Decoded(),
        ended_before=0,
        ask=lambda _starts, _done: {},
        versions=both.route.versions,
    )
    met_at = checkpoint.contact if checkpoint else 0
    both.target.contact = Contact(met_at or both.target.info().next_mutation_id, eras.era)
    both.target.come_to_rest()
    plan, tally = carry_out(
        batch, both.target, destination, looking=True, may_be_early=lambda _: False, seconds={}
    )
    left |= {event.origin: "what it depends on is not there" for event in plan.held}
    refused = {row.where: row.found for row in tally.conflicts}
    for origin in (record.origin for record in readable):
        why = left.get(origin) or refused.get(str(origin))
        if why is None:
            done.applied.append(places[origin])
        else:
            done.left[places[origin]] = why


def _why_not_yet(record: RawRecord, both: Opened, checkpoint: Checkpoint | None) -> str | None:
    if record.origin.topic not in both.route.topics:
        return "its instance is not followed anymore"
    if record.value is None or record.key is None or not record.key.isdigit():
        return "its key or value is none that a DVID server writes"
    if checkpoint is None or record.origin.key_ns > checkpoint.key_ns:
        return "the destination has not followed the log so far yet"
    return None


def _is_last(event: BodyEvent, source: Transport, repo: RepoInfo) -> bool:
    """Whether the source's bodies are still as the operation left them, with nothing built on its version."""
    if any(event.version in version.parents for version in repo.versions.values()):
        return False
    labelmap = Labelmap(source, event.instance)
    for label in event.survivors:
        last = labelmap.last_mod(event.version, label)
        if last is None or last.mutation_id != event.mutation_id:
            return False
    gone = set(event.bodies) - set(event.survivors)
    return all(labelmap.last_mod(event.version, label) is None for label in gone)
