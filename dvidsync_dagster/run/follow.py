"""One run, from a checkpoint to a cut: read, decode, bring it to the destination, tell.

`follow` is the whole flow. It knows nothing of Dagster: it yields a report with a checkpoint for each chunk
that is done, and whoever calls it stores that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from dvidsync_dagster.config import AnyDestination, StartTime, SyncConfig
from dvidsync_dagster.destinations.kinds import Opener, opened_destination
from dvidsync_dagster.destinations.protocol import Brought, Standing, StoppedAt
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.log.ahead import AheadOfClock
from dvidsync_dagster.log.checkpoint import Checkpoint, LogStart
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.run.conflict_table import ConflictTable, conflict_table_of
from dvidsync_dagster.run.discovery import refuse_future
from dvidsync_dagster.run.passes import Again, Onward, Pass
from dvidsync_dagster.run.reading import Reader, Taken
from dvidsync_dagster.run.report import ChunkReport
from dvidsync_dagster.run.session import Session, opened_session
from dvidsync_dagster.run.source_log import BEGINNING, Now, SourceLog, archive_of
from dvidsync_dagster.run.undecodable import Undecodable

LOOKED_AT = 200
"""Open rows of the conflict table, each of which takes a look at both sides."""

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Scope:
    """A span of the log that windows selected: keys from `from_ns` up to, not including, `to_ns`."""

    from_ns: int
    to_ns: int


def follow(
    config: SyncConfig,
    destination: AnyDestination,
    *,
    checkpoint: Checkpoint | None,
    epoch: int,
    still_owner: Callable[[], None],
    scope: Scope | None = None,
    opener: Opener = opened_destination,
) -> Generator[ChunkReport, None, None]:
    """Follow the source to the cut.

    Args:
        checkpoint: how far the destination is; None if that is not known. If it does not know it either, the
            configured start counts.
        epoch: of this run, for its checkpoints.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        scope: windows to cover; those before the checkpoint are read again and what is missing is applied.
        opener: opens the destination.

    Yields:
        A report per chunk that is done, the last one `final`.

    Raises:
        ConfigurationError, LogError, ServerError, Conflict, OwnershipLost: nothing is in flight anymore, and
            everything up to the last report's checkpoint is applied. What a run stops at is in the conflict
            table.
        UndecodableRecord: comes after the last report: what does not depend on that record is applied.
    """
    with ExitStack() as stack:
        born_since = _born_since(destination, checkpoint)
        session = stack.enter_context(
            opened_session(
                config,
                destination,
                born_since=born_since,
                still_owner=still_owner,
                is_new=checkpoint is None,
                opener=opener,
            )
        )
        route = session.route
        begin = session.destination.meet(checkpoint) or _configured_start(destination, route.clock)
        archive = archive_of(config)
        log = stack.enter_context(MutationLog(route.connection, list(route.topics), archive))
        source_log = SourceLog(route, log, archive, config.records_together(destination), session.notes.say)
        known = begin if isinstance(begin, Checkpoint) else None
        reader = Reader(config, destination, session, source_log, known)
        run = _Run(session, reader, conflict_table_of(config, destination.name), still_owner)
        stopped: list[Undecodable] = []
        for each in _passes(config, reader, begin, epoch, scope):
            yield from run.chunks(each)
            stopped.append(reader.undecodable)
        for undecodable in stopped:
            undecodable.check()


def _born_since(destination: AnyDestination, checkpoint: Checkpoint | None) -> int | None:
    if checkpoint is not None:
        return checkpoint.key_ns
    start = destination.chosen_start()
    if isinstance(start, StartTime):
        return start.key_ns
    return 0 if start == "beginning" else None


def _configured_start(destination: AnyDestination, clock: int) -> LogStart | Now:
    refuse_future(destination, clock)
    start = destination.chosen_start()
    if isinstance(start, StartTime):
        return LogStart(start.key_ns)
    return BEGINNING if start == "beginning" else Now.NOW


def _passes(
    config: SyncConfig,
    reader: Reader,
    begin: Checkpoint | LogStart | Now,
    epoch: int,
    scope: Scope | None,
) -> Iterator[Pass]:
    """The part of the log that windows select before the checkpoint, and the log from there on."""
    route = reader.session.route
    known = begin.as_of(route.clock) if isinstance(begin, Checkpoint) else None
    cut = route.clock - int(config.settle_seconds * NANOSECONDS)
    if scope is not None:
        cut = min(cut, scope.to_ns - 1)
    if known is not None and scope is not None and scope.from_ns < known.key_ns:
        upto = min(cut, known.key_ns)
        yield Again(reader, known, scope.from_ns, upto, final=cut <= known.key_ns)
    if known is None or cut > known.key_ns or scope is None:
        yield Onward(reader, known or begin, cut, epoch)


@dataclass(frozen=True, slots=True)
class _Run:
    session: Session
    reader: Reader
    conflicts: ConflictTable
    still_owner: Callable[[], None]

    def chunks(self, this: Pass) -> Iterator[ChunkReport]:
        """Bring the chunks of a pass to the destination, one after the other."""
        destination = self.session.destination
        chunks = this.begin(destination)
        clock = time.monotonic()
        for chunk in chunks:
            self.still_owner()
            drained = time.monotonic() - clock
            requests = destination.requests
            taken = self.reader.take_in(chunk, this)
            left_out = self.conflicts.left_out(taken.batch.events)
            brought = self._bring(replace(taken.batch, left_out=left_out), chunk.ahead)
            self.reader.postpone(brought)
            self.still_owner()
            resolved = self._list(brought) + (self._close_agreeing() if chunk.last else 0)
            chunk = self.reader.let_pass(chunk)
            unapplied = self.reader.unapplied(brought)
            checkpoint = this.checkpoint(taken, chunk, brought, unapplied)
            kept = destination.keep(checkpoint, self._standing(chunk, waits=bool(unapplied)))
            report = self._report(chunk, taken, brought, requests=destination.requests - requests)
            report = replace(
                report,
                checkpoint=kept,
                resolved=resolved,
                seconds={"drain": drained, **brought.seconds},
            )
            yield this.told(report, taken, chunk, len(unapplied))
            self.reader.next_chunk(brought)
            clock = time.monotonic()

    def _bring(self, batch: Batch, ahead: AheadOfClock) -> Brought:
        try:
            with self.reader.source_log.log.reading_on():
                return self.session.destination.bring(batch)
        except StoppedAt as stopped:
            self.still_owner()
            self.conflicts.stop(stopped.rows, stopped.own_from)
            cause = self.reader.disorder
            if not cause and ahead.records:
                # What it depends on may be among them.
                cause = f"{ahead.in_short}. Once it has passed them, run `dvidsync repair --apply`."
            if cause:
                text = f"{stopped} Perhaps the cause: {cause}"
                raise StoppedAt(stopped.rows, text, stopped.own_from) from None
            raise

    def _list(self, brought: Brought) -> int:
        """List what was left out, before a checkpoint passes it, and close the rows of what is applied; says
        how many."""
        self.conflicts.keep(brought.conflicts)
        return self.conflicts.applied(brought.applied, but=brought.conflicts)

    def _close_agreeing(self) -> int:
        """Close the rows of what people have made the same again; says how many. Where more are open than are
        looked at, each run looks at others."""
        rows = [each.row for each in self.conflicts.rows("open") if each.row.mutation_id is None]
        if len(rows) > LOOKED_AT:
            rows = random.sample(rows, LOOKED_AT)
        same = self.session.destination.agreeing(rows) if rows else ()
        return self.conflicts.agreeing(same)

    def _standing(self, chunk: LogChunk, *, waits: bool) -> Standing:
        """The source's counters can be trusted where nothing is waiting to be applied. What is far ahead of a
        clock that is right is hardly the source's, and may wait for years."""
        if not chunk.last:
            return Standing.UNDER_WAY
        expected = chunk.ahead.far if self.reader.clock_fits else 0
        return Standing.AT_CUT if waits or chunk.behind > expected else Standing.CAUGHT_UP

    def _report(self, chunk: LogChunk, taken: Taken, brought: Brought, *, requests: int) -> ChunkReport:
        """What a chunk came to, but for its place in the pass."""
        at_hand = self.reader.at_hand
        return ChunkReport(
            records=taken.records + len(chunk.malformed) + chunk.duplicates + chunk.empty,
            duplicates=chunk.duplicates + at_hand.duplicates,
            empty=chunk.empty,
            ahead=chunk.ahead,
            operations=len(brought.applied),
            requests=requests,
            present=brought.present,
            held=len(brought.held) + self.reader.undecodable.waiting.fresh,
            open_for_long=taken.open_for_long,
            not_followed=dict(at_hand.not_followed),
            unknown_actions=dict(at_hand.unknown_actions),
            conflicts=brought.conflicts,
            replaced=brought.replaced,
            tables=brought.tables,
            quarantined=taken.quarantined,
            notes=self.session.notes.take(),
            final=chunk.last,
        )
