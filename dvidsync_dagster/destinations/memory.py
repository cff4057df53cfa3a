"""A destination in memory, the smallest there is: it applies events to rows, and keeps its checkpoint with
them in one step. So it needs no tags, and a run that dies leaves nothing half done.

Tests hold the planner of servers to it, and it shows what a new kind of destination must bring.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from types import TracebackType

from dvidsync_dagster.datatypes.contract import Rows
from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.destinations.in_order import in_order
from dvidsync_dagster.destinations.protocol import Brought, ConflictRow, Standing
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.log.checkpoint import Checkpoint


class MemoryDestination:
    """A `Destination`.

    Args:
        rows: what it begins with.
        contents: tells what the source has of versions and instances.
    """

    def __init__(self, rows: Rows, contents: Callable[[], RepoInfo]) -> None:
        self.rows = rows
        self.checkpoint: Checkpoint | None = None
        self.requests = 0
        self._contents = contents
        self._draft = dict(rows)

    def __enter__(self) -> MemoryDestination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draft = dict(self.rows)

    def meet(self, checkpoint: Checkpoint | None) -> Checkpoint | None:
        """Its own checkpoint counts."""
        self._draft = dict(self.rows)
        return self.checkpoint or checkpoint

    def begin_pass(self, checkpoint: Checkpoint | None, *, again: bool) -> None:
        """What is read again is there."""

    def contents(self) -> RepoInfo:
        return self._contents()

    def bring(self, batch: Batch) -> Brought:
        if batch.again:
            return Brought(applied=list(batch.events), present=len(batch.events))
        ordered = in_order(batch)
        for event in ordered.events:
            ALL[event.typename].apply(event, self._draft)
        return Brought(applied=ordered.events, held=ordered.held)

    def agreeing(self, rows: Sequence[ConflictRow]) -> Collection[str]:
        """Nobody else changes it."""
        return ()

    def keep(self, checkpoint: Checkpoint, standing: Standing) -> Checkpoint:
        """Rows and checkpoint change together."""
        self.rows, self.checkpoint = dict(self._draft), checkpoint
        self.requests += 1
        return checkpoint
