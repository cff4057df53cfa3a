"""One run, from a checkpoint to a cut: drain, decode, order, plan, look, apply, tell.

`follow` is the whole flow. It knows nothing of Dagster: it yields a report with a checkpoint for each chunk
that is done, and whoever calls it stores that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from dvidsync_dagster.attempts import carry_out
from dvidsync_dagster.batch import Batch
from dvidsync_dagster.config import DestinationConfig, StartTime, SyncConfig
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.datatypes.labelmap.look import Contact
from dvidsync_dagster.datatypes.labelmap.unfinished import SourceBodies, long_open
from dvidsync_dagster.destinations.overtaken import was_overtaken
from dvidsync_dagster.destinations.server import DvidDestination
from dvidsync_dagster.discovery import Route, refuse_future
from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.notes import Notes
from dvidsync_dagster.opened import opened
from dvidsync_dagster.report import ChunkReport, Lag, QuarantinedRecord
from dvidsync_dagster.same_server import refuse_twins
from dvidsync_dagster.source_log import SourceLog
from dvidsync_dagster.undecodable import Undecodable, undecodable_of
from dvidsync_dagster.unexplained import IdWatch, early_text, id_watch

NANOSECONDS = 1_000_000_000
MAX_CHUNK_RECORDS = 100_000
"""No run applies more at a time. So nothing that an interrupted run has applied lies further than this beyond
the first operation that it has not."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A span of the log that windows selected: keys from `from_key` up to, not including, `to_key` (ns)."""

    from_key: int
    to_key: int


def follow(
    config: SyncConfig,
    destination: DestinationConfig,
    *,
    checkpoint: Checkpoint | None,
    epoch: int,
    still_owner: Callable[[], None],
    scope: Scope | None = None,
) -> Generator[ChunkReport, None, None]:
    """Follow the source to the cut.

    Args:
        checkpoint: how far the destination is; None if that is not known, then the configured start counts.
        epoch: of this run, for its checkpoints.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        scope: windows to cover; those before the checkpoint are read again and what is missing is applied.

    Yields:
        A report per chunk that is done, the last one `final`.

    Raises:
        ConfigurationError, LogError, ServerError, Conflict, OwnershipLost: nothing is in flight anymore, and
            everything up to the last report's checkpoint is applied. UndecodableRecord comes after the last
            report: what does not depend on that record is applied.
    """
    with ExitStack() as stack:
        born_since = _born_since(destination, checkpoint)
        both = stack.enter_context(
            opened(config, destination, born_since=born_since, still_owner=still_owner)
        )
        route, target, notes = both.route, both.target, both.notes
        clock_fits = checkpoint is not None and checkpoint.key_ns <= route.clock
        if checkpoint is not None:
            checkpoint = checkpoint.as_of(route.clock)
        else:
            refuse_future(destination, route.clock)
            refuse_twins(config, destination, both.copy)
        archive = LogArchive(config.archive) if config.archive is not None else None
        log = stack.enter_context(MutationLog(route.connection, list(route.topics), archive))
        source_log = SourceLog(config, destination, route, log, archive, notes.say)
        asking = stack.enter_context(ThreadPoolExecutor(4, thread_name_prefix="source"))
        bodies = SourceBodies(both.source, route.clock, route.source_started, asking)
        ids = id_watch(route, both.source)
        run = _Run(config, destination, route, source_log, bodies, ids, target, notes, epoch, still_owner)
        run.clock_fits = clock_fits
        run.first_contact(checkpoint)
        cut = route.clock - int(config.settle_seconds * NANOSECONDS)
        if scope is not None:
            cut = min(cut, scope.to_key - 1)
        if checkpoint is not None and scope is not None and scope.from_key < checkpoint.key_ns:
            upto = min(cut, checkpoint.key_ns)
            yield from run.again(checkpoint, scope.from_key, upto, final=cut <= checkpoint.key_ns)
        if checkpoint is None or cut > checkpoint.key_ns or scope is None:
            yield from run.onward(checkpoint, cut)
        run.stop_at_undecodable()


def _born_since(destination: DestinationConfig, checkpoint: Checkpoint | None) -> int | None:
    if checkpoint is not None:
        return checkpoint.key_ns
    start = destination.chosen_start()
    if isinstance(start, StartTime):
        return start.key
    return 0 if start == "beginning" else None


@dataclass
class _Run:
    config: SyncConfig
    destination: DestinationConfig
    route: Route
    source_log: SourceLog
    source_bodies: SourceBodies
    ids: IdWatch
    target: DvidDestination
    notes: Notes
    epoch: int
    still_owner: Callable[[], None]
    eras: EraClock = field(default_factory=EraClock)
    mutation_id: int = 0
    undecodable: list[Undecodable] = field(default_factory=list)
    applied_before: tuple[int, int] = (0, 0)
    """Era and mutation id of the last operation that the checkpoint calls applied."""
    clock_fits: bool = False
    """Whether the source's clock goes on from that of the run before."""

    def first_contact(self, checkpoint: Checkpoint | None) -> None:
        """Take over what the checkpoint remembers; without one the destination is met for the first time."""
        if checkpoint is not None:
            self.eras = EraClock(checkpoint.era, checkpoint.boot, checkpoint.mutation_id)
            self.mutation_id = checkpoint.mutation_id
            self.applied_before = (checkpoint.era, checkpoint.mutation_id)
            self.ids.heard, self.ids.era = checkpoint.ids, checkpoint.era
        self.target.reached = checkpoint.key_ns if checkpoint is not None else 0
        met_at = checkpoint.contact if checkpoint is not None else 0
        self.target.contact = Contact(met_at or self.target.info().next_mutation_id, self.eras.era)

    def onward(self, checkpoint: Checkpoint | None, cut: int) -> Iterator[ChunkReport]:
        """From the checkpoint, or the configured start, to the cut."""
        if checkpoint is not None:
            chunks, reached = self.source_log.onward(checkpoint, cut), checkpoint.key_ns
        else:
            chunks, reached = self.source_log.from_start(cut)
        looking = checkpoint is None or not checkpoint.clean
        yield from self._chunks(chunks, cut, reached, looking=looking, kept=None)

    def again(
        self, checkpoint: Checkpoint, from_key: int, upto: int, *, final: bool
    ) -> Iterator[ChunkReport]:
        """What lies before the checkpoint once more: only what is missing is applied, nothing else moves."""
        chunks = self.source_log.again(from_key, upto)
        waiting = self.source_log.waiting(checkpoint)
        lag = Lag.at(waiting, self.route.clock, checkpoint.key_ns)
        for report in self._chunks(chunks, upto, from_key, looking=True, kept=checkpoint):
            yield replace(report, final=report.final and final, lag_before=lag, lag_after=lag)

    def stop_at_undecodable(self) -> None:
        """Raises UndecodableRecord if something waits behind one."""
        for each in self.undecodable:
            each.check()

    # Chunk by chunk

    def _chunks(
        self,
        chunks: Iterable[LogChunk],
        cut: int,
        reached: int,
        *,
        looking: bool,
        kept: Checkpoint | None,
    ) -> Iterator[ChunkReport]:
        batch = Batch(again=kept is not None)
        undecodable = undecodable_of(self.config, self.destination, self.route, self.target.info)
        self.undecodable.append(undecodable)
        log = self.source_log.log
        topics = log.ids()  # before anything is read
        look_records = MAX_CHUNK_RECORDS
        if looking:
            self.target.come_to_rest()
        clock = time.monotonic()
        lag_before: Lag | None = None
        for chunk in chunks:
            self.still_owner()
            seconds = {"drain": time.monotonic() - clock}
            sent_before = self.target.client.changes_sent
            records = chunk.records
            behind = chunk.behind + (len(records) if lag_before is None else 0)
            quarantined = self._take_in(batch, chunk, records, cut, undecodable, watch=kept is None)
            if not looking and lag_before is None:
                looking = was_overtaken(self.target, batch.events(), self.applied_before, self.notes.say)
            open_for_long = long_open(batch.gathered.pending, self.route.clock)
            for found in open_for_long:
                self.notes.say(found)
            batch.postponed = self.ids.still_early(batch.events())
            plan, tally = carry_out(
                batch,
                self.target,
                self.destination,
                looking=looking,
                may_be_early=self.ids.may_be_early,
                seconds=seconds,
            )
            self.ids.note_early(batch.postponed)
            if batch.postponed:
                self.notes.say(early_text(len(batch.postponed)))
            if looking and plan.missing:
                look_records -= len(records)
                looking = look_records > 0 or kept is not None
            self.still_owner()
            self.target.labelmaps.touched(plan.applied)
            if chunk.last:
                chunk = undecodable.let_pass(chunk, log.pass_over, clock_fits=self.clock_fits)
            unapplied = [*batch.unapplied(plan), *undecodable.waiting.origins]
            if chunk.last:
                if not unapplied:
                    self._follow_counters(chunk)
                self.target.labelmaps.follow_max_labels()
            self.target.labelmaps.settle()
            done = cut if chunk.last else min(chunk.horizon, cut)
            previous, reached = reached, max(reached, min(done, undecodable.waiting.reaches))
            first_key = records[0].key_ns if records else reached
            self.mutation_id = max((self.mutation_id, *(m.mutation_id for m in plan.bodies)))
            unexplained = self.ids.settle(reached) if kept is None else None
            checkpoint = kept or Checkpoint(
                epoch=self.epoch,
                positions=log.positions(unapplied),
                key_ns=reached,
                mutation_id=self.mutation_id,
                clean=chunk.last,
                era=self.eras.era,
                boot=self.eras.boot,
                contact=self.target.contact.next_mutation_id,
                topics=topics,
                ids=self.ids.heard,
            )
            lag_before = lag_before or Lag.at(behind, self.route.clock, previous or first_key)
            yield ChunkReport(
                checkpoint=checkpoint,
                # A clock that was far behind in the run before must not make it a span of years.
                from_key=max(previous, first_key),
                to_key=reached,
                lag_before=lag_before,
                lag_after=Lag.at(chunk.behind + len(unapplied), self.route.now(), reached),
                records=len(records) + len(chunk.malformed) + chunk.duplicates + chunk.empty,
                duplicates=chunk.duplicates + batch.duplicates,
                empty=chunk.empty,
                ahead=chunk.ahead,
                operations=len(plan.applied),
                requests=self.target.client.changes_sent - sent_before,
                already_there=len(plan.there) + tally.already_there,
                held=len(plan.held) + undecodable.waiting.fresh,
                open_for_long=open_for_long,
                unexplained=unexplained,
                not_followed=dict(batch.not_followed),
                unknown_actions=dict(batch.unknown_actions),
                conflicts=tuple(tally.conflicts),
                quarantined=quarantined,
                seconds=seconds,
                notes=self.notes.take(),
                final=chunk.last,
            )
            batch.next_chunk(plan)
            self.target.reached = max(self.target.reached, reached)
            clock = time.monotonic()

    def _take_in(
        self,
        batch: Batch,
        chunk: LogChunk,
        records: Sequence[Record],
        cut: int,
        undecodable: Undecodable,
        *,
        watch: bool,
    ) -> tuple[QuarantinedRecord, ...]:
        """Decode a chunk's records into the batch; what is set aside of them is returned."""
        decoded = decode_records(
            records, self.route.topics, self.route.not_followed, self.eras, self.route.places
        )
        passed, behind, set_aside = undecodable.sort_out(chunk, decoded)
        ahead = decode_records(
            chunk.lookahead,
            self.route.topics,
            self.route.not_followed,
            EraClock(self.eras.era, self.eras.boot, self.eras.highest),
            self.route.places,
        )
        if watch:
            self.ids.take_in(decoded, ahead)
        patience = int(max(self.config.settle_seconds, 10) * NANOSECONDS)
        batch.take_in(
            passed,
            replace(ahead, labels=[*behind.labels, *ahead.labels]),
            ended_before=cut + 1 if chunk.last else chunk.horizon - patience,
            ask=self.source_bodies.fates,
            versions=self.route.versions,
            waiting=undecodable.waiting.instances,
            next_labels=self.route.next_labels,
        )
        for instance in decoded.not_followed.keys() & set(self.route.not_followed.values()):
            self.notes.say(f"{instance} is not followed: its messages are only counted")
        return set_aside

    def _follow_counters(self, chunk: LogChunk) -> None:
        """Ids that were burned without a message show only in the source's own counter. It can be trusted
        where nothing is waiting to be applied."""
        # What is far ahead of a clock that is right is hardly the source's, and may wait for years.
        if chunk.behind > (chunk.ahead.far if self.clock_fits else 0):
            return
        for instance in self.route.repo.instances.values():
            if instance.typename == "labelmap" and instance.name not in self.route.not_followed:
                next_label = self.route.next_labels.get(instance.name)
                if next_label is not None:
                    self.target.labelmaps.follow_counter(instance.name, next_label)
