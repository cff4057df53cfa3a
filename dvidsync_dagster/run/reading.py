"""From a chunk of the log to a batch of events, with what earlier chunks have left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.datatypes.decode import Decoded, decode_records
from dvidsync_dagster.destinations.protocol import Brought
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event, NumberedEvent
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.disorder import went_back_text
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.run.at_hand import AtHand
from dvidsync_dagster.run.lost_messages import early_text, id_watch
from dvidsync_dagster.run.report import QuarantinedRecord
from dvidsync_dagster.run.session import Session
from dvidsync_dagster.run.source_log import SourceLog
from dvidsync_dagster.run.undecodable import undecodable_of

NANOSECONDS = 1_000_000_000
LONG_AGO_NS = 3600 * NANOSECONDS
"""An event that has been open for so long is shown to people."""


class LogPart(Protocol):
    """The part of the log that is read.

    Args:
        cut: its last key, ns since 1970.
        again: it was read before.
    """

    @property
    def cut(self) -> int: ...

    @property
    def again(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What a chunk brought.

    Args:
        records: how many were read.
        first_ns: the key of the first of them; None if there is none.
        behind: records up to the log's end, these included.
        open_for_long: for people: events that began long ago and whose end nobody knows.
    """

    batch: Batch
    records: int
    first_ns: int | None
    behind: int
    quarantined: tuple[QuarantinedRecord, ...]
    open_for_long: tuple[str, ...]


class Reader:
    """Reads for one run, pass after pass.

    Args:
        checkpoint: what is remembered from the run before; None if nothing is.
    """

    def __init__(
        self,
        config: SyncConfig,
        destination: AnyDestination,
        session: Session,
        source_log: SourceLog,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.session = session
        self.source_log = source_log
        self._config = config
        self._destination = destination
        self.eras = EraClock()
        self.ids = id_watch(session.route, session.sources)
        self.mutation_id = 0
        self.clock_fits = False
        """Whether the source's clock goes on from that of the run before."""
        if checkpoint is not None:
            self.remember(checkpoint)
        else:
            self.ids.first_met(session.destination.contents())
        self.disorder = ""
        """What there is to say of a clock that went back."""
        self.begin(again=False)

    def remember(self, checkpoint: Checkpoint) -> None:
        """Take over what a run before has left."""
        self.eras = EraClock(checkpoint.era, checkpoint.boot, checkpoint.mutation_id)
        self.ids.heard, self.ids.era = checkpoint.ids, checkpoint.era
        self.mutation_id = checkpoint.mutation_id
        self.clock_fits = checkpoint.key_ns <= self.session.route.clock

    def begin(self, *, again: bool) -> None:
        """A new pass."""
        route = self.session.route
        self.at_hand = AtHand(self.session.sources, route.versions, again)
        self.undecodable = undecodable_of(
            self._config, self._destination, route, self.session.destination.contents
        )

    def take_in(self, chunk: LogChunk, part: LogPart) -> Taken:
        """Decode a chunk, set aside what cannot be decoded, and put the rest beside what is at hand."""
        records = chunk.records
        self._tell_disorder(chunk)
        decoded = self._decoded(records, self.eras)
        passed, behind, set_aside = self.undecodable.sort_out(chunk, decoded)
        eras = replace(self.eras)
        ahead = self._decoded(chunk.lookahead, eras)
        if not part.again:
            self.ids.take_in(decoded, ahead)
            if before := self.ids.done_before_start(decoded):
                self.session.notes.say(before)
        patience = int(max(self._config.settle_seconds, 10) * NANOSECONDS)
        told_up_to = part.cut if chunk.last else chunk.horizon - patience - 1
        self.at_hand.take_in(
            passed,
            [*behind, *ahead.announcements],
            ended_before=told_up_to + 1,
            waiting=self.undecodable.waiting.instances,
            counters=self.session.route.counters,
        )
        open_for_long = tuple(_long_open(self.at_hand.pending, self.session.route.clock))
        self._tell(decoded, open_for_long)
        events = self.at_hand.events()
        batch = Batch(
            events=events,
            awaited=self.at_hand.awaited(),
            postponed=self.ids.still_early(events),
            may_be_early=self.ids.may_be_early,
            records=len(records),
            told_up_to=told_up_to,
            is_last=chunk.last and not part.again and part.cut >= self._settled,
            again=part.again,
        )
        return Taken(
            batch=batch,
            records=len(records),
            first_ns=records[0].key_ns if records else None,
            behind=chunk.behind + len(records),
            quarantined=set_aside,
            open_for_long=open_for_long,
        )

    @property
    def _settled(self) -> int:
        """Up to when a run reads that reads all."""
        return self.session.route.clock - int(self._config.settle_seconds * NANOSECONDS)

    def _tell_disorder(self, chunk: LogChunk) -> None:
        self.eras.went_back = chunk.went_back
        if chunk.went_back is not None:
            self.disorder = went_back_text(*chunk.went_back)
            if chunk.last:
                self.session.notes.say(self.disorder)

    def postpone(self, brought: Brought) -> None:
        """Remember what was refused and may only be early."""
        postponed = [event for event in brought.held if event.identity in brought.postponed]
        self.ids.note_early(postponed)
        if postponed:
            self.session.notes.say(early_text(len(postponed)))

    def let_pass(self, chunk: LogChunk) -> LogChunk:
        """The last chunk without the records far ahead of the source's clock that people let pass."""
        if not chunk.last:
            return chunk
        return self.undecodable.let_pass(chunk, self.source_log.log.pass_over, clock_fits=self.clock_fits)

    def unapplied(self, brought: Brought) -> list[Origin]:
        """The records that were read, and are not applied."""
        return [*self.at_hand.unapplied(brought), *self.undecodable.waiting.origins]

    def next_chunk(self, brought: Brought) -> None:
        self.at_hand.next_chunk(brought)

    def note_applied(self, events: Sequence[Event]) -> None:
        """Remember the highest mutation id that was applied."""
        ids = (event.mutation_id for event in events if isinstance(event, NumberedEvent))
        self.mutation_id = max((self.mutation_id, *ids))

    def _decoded(self, records: Sequence[Record], eras: EraClock) -> Decoded:
        route = self.session.route
        return decode_records(records, route.topics, route.not_followed, eras, route.places)

    def _tell(self, decoded: Decoded, open_for_long: Sequence[str]) -> None:
        for text in open_for_long:
            self.session.notes.say(text)
        for instance in decoded.not_followed.keys() & set(self.session.route.not_followed.values()):
            self.session.notes.say(f"{instance} is not followed: its messages are only counted")


def _long_open(pending: Sequence[Event], clock: int) -> Iterator[str]:
    for start in pending:
        if isinstance(start, NumberedEvent) and start.origin.key_ns < clock - LONG_AGO_NS:
            yield (
                f"{start.action} {start.mutation_id} of {start.instance} has begun and not ended, as far as "
                f"the source tells: {start.origin}. What depends on it waits. If it goes on no more, start "
                f"the source's server again: nothing survives that, and its bodies tell what became of it."
            )
