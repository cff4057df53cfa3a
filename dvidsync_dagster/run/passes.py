"""The passes of a run over the log: on from a checkpoint, or a part of it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dvidsync_dagster.destinations.protocol import Brought, Destination
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.checkpoint import Checkpoint, LogStart
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.run.lost_messages import told
from dvidsync_dagster.run.reading import Reader, Taken
from dvidsync_dagster.run.report import ChunkReport, Lag, UnexplainedIds
from dvidsync_dagster.run.source_log import Now


class Pass(ABC):
    """One pass.

    Args:
        cut: the last key that is read, ns since 1970.
    """

    again: bool

    def __init__(self, reader: Reader, cut: int) -> None:
        self.reader = reader
        self.cut = cut
        self._previous = self._reached = 0
        self._first_key = 0

    @abstractmethod
    def begin(self, destination: Destination) -> Iterator[LogChunk]:
        """Meet the destination; the chunks of the pass."""

    @abstractmethod
    def checkpoint(
        self, taken: Taken, chunk: LogChunk, brought: Brought, unapplied: Sequence[Origin]
    ) -> Checkpoint:
        """The checkpoint after a chunk."""

    @abstractmethod
    def told(self, report: ChunkReport, taken: Taken, chunk: LogChunk, waiting: int) -> ChunkReport:
        """A chunk's report with its place in the pass: keys, lag, and what may be missing.

        Args:
            waiting: how many of the records that were read are not applied.
        """

    def _move(self, taken: Taken, chunk: LogChunk) -> None:
        """How far the pass is after a chunk."""
        done = self.cut if chunk.last else min(chunk.horizon, self.cut)
        stopped_at = self.reader.undecodable.waiting.reaches
        self._previous, self._reached = self._reached, max(self._reached, min(done, stopped_at))
        self._first_key = taken.first_ns if taken.first_ns is not None else self._reached

    def _placed(self, report: ChunkReport) -> ChunkReport:
        # A clock that was far behind in the run before must not make it a span of years.
        begin = max(self._previous, self._first_key)
        return replace(report, from_ns=begin, to_ns=self._reached)


class Onward(Pass):
    """From where the destination is to the cut.

    Args:
        begin: its checkpoint, or where it starts without one.
        epoch: of the run.
    """

    again = False

    def __init__(self, reader: Reader, begin: Checkpoint | LogStart | Now, cut: int, epoch: int) -> None:
        super().__init__(reader, cut)
        self._begin = begin
        self._epoch = epoch
        self._topics: dict[str, str] = {}
        self._lag_before: Lag | None = None
        self._unexplained: UnexplainedIds | None = None

    def begin(self, destination: Destination) -> Iterator[LogChunk]:
        self.reader.begin(again=False)
        source_log = self.reader.source_log
        known = self._begin if isinstance(self._begin, Checkpoint) else None
        destination.begin_pass(known, again=False)
        if isinstance(self._begin, Checkpoint):
            chunks, self._reached = source_log.onward(self._begin, self.cut), self._begin.key_ns
        else:
            chunks, self._reached = source_log.from_start(self._begin, self.cut)
        self._topics = source_log.log.ids()  # before anything is read
        return chunks

    def checkpoint(
        self, taken: Taken, chunk: LogChunk, brought: Brought, unapplied: Sequence[Origin]
    ) -> Checkpoint:
        self._move(taken, chunk)
        reader = self.reader
        reader.note_applied(brought.applied)
        self._unexplained = reader.ids.settle(self._reached)
        if self._unexplained is not None:
            reader.session.notes.say(told(self._unexplained))
        return Checkpoint(
            epoch=self._epoch,
            positions=reader.source_log.log.positions(unapplied),
            key_ns=self._reached,
            mutation_id=reader.mutation_id,
            clean=chunk.last,
            era=reader.eras.era,
            boot=reader.eras.boot,
            topics=self._topics,
            ids=reader.ids.heard,
        )

    def told(self, report: ChunkReport, taken: Taken, chunk: LogChunk, waiting: int) -> ChunkReport:
        route = self.reader.session.route
        if self._lag_before is None:
            there = self._begin.there_ns if isinstance(self._begin, LogStart) else 0
            reached = max(self._previous, there) or self._first_key
            self._lag_before = Lag.at(taken.behind, route.clock, reached)
        return replace(
            self._placed(report),
            lag_before=self._lag_before,
            lag_after=Lag.at(chunk.behind + waiting, route.now(), self._reached),
            unexplained=self._unexplained,
        )


class Again(Pass):
    """What lies before the checkpoint once more: only what is missing is applied, nothing else moves."""

    again = True

    def __init__(self, reader: Reader, known: Checkpoint, from_ns: int, cut: int, *, final: bool) -> None:
        super().__init__(reader, cut)
        self._from_ns = from_ns
        self._kept = known
        self._final = final

    def begin(self, destination: Destination) -> Iterator[LogChunk]:
        self.reader.begin(again=True)
        destination.begin_pass(self._kept, again=True)
        source_log = self.reader.source_log
        waiting = source_log.waiting(self._kept)
        self._lag = Lag.at(waiting, self.reader.session.route.clock, self._kept.key_ns)
        self._reached = self._from_ns
        return source_log.again(self._from_ns, self.cut)

    def checkpoint(
        self, taken: Taken, chunk: LogChunk, brought: Brought, unapplied: Sequence[Origin]
    ) -> Checkpoint:
        self._move(taken, chunk)
        self.reader.note_applied(brought.applied)
        return self._kept

    def told(self, report: ChunkReport, taken: Taken, chunk: LogChunk, waiting: int) -> ChunkReport:
        return replace(
            self._placed(report),
            lag_before=self._lag,
            lag_after=self._lag,
            final=report.final and self._final,
        )
