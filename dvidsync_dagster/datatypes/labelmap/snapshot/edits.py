"""The rows that a replay of events adds to the table of edits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.snapshot.tables import Labels
from dvidsync_dagster.datatypes.table_rows import kept
from dvidsync_dagster.snapshot.table import Table

_ROWS = 1 << 17
"""Of a batch."""

_NONE = np.empty(0, np.int64)


class Edits:
    """Collects what operations moved, in their order."""

    def __init__(self) -> None:
        self._events: list[BodyEvent] = []
        self._moves: list[int] = []
        """Of each move the place of its event."""
        self._lengths: list[int] = []
        self._supervoxels: list[Labels] = [_NONE]
        self._before: list[Labels] = [_NONE]
        self._after: list[int] = []

    def begin(self, event: BodyEvent) -> None:
        """What is added from here on is what this event moved."""
        self._events.append(event)

    def add(self, supervoxels: Labels, before: Labels, after: int) -> None:
        """Supervoxels, the body of each before, and the one body that they are in now; 0 is none."""
        self._moves.append(len(self._events) - 1)
        self._lengths.append(len(supervoxels))
        self._supervoxels.append(supervoxels)
        self._before.append(before)
        self._after.append(after)

    def rows(self, table: Table) -> pa.Table:
        """One row for each supervoxel that came to another body; those of one event by supervoxel."""
        return kept(table, self._batches(table.schema))

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        before = np.concatenate(self._before)
        after = np.repeat(np.array(self._after, np.int64), self._lengths)
        supervoxels = np.concatenate(self._supervoxels)
        events = np.repeat(np.array(self._moves, np.int64), self._lengths)
        moved = np.lexsort((supervoxels, events))
        moved = moved[before[moved] != after[moved]]
        numbers = {
            "log_time": np.array([event.origin.key_ns // 1000 for event in self._events], np.int64),
            "mutation_id": np.array([event.mutation_id for event in self._events], np.int64),
        }
        texts = {
            "action": _texts(event.action for event in self._events),
            "uuid": _texts(event.version for event in self._events),
            "user": _texts(event.user or None for event in self._events),
            "app": _texts(event.app or None for event in self._events),
        }
        for start in range(0, len(moved), _ROWS):
            places = moved[start : start + _ROWS]
            own = events[places]
            columns = {name: pa.array(values[own]) for name, values in numbers.items()}
            columns |= {name: values.take(pa.array(own)) for name, values in texts.items()}
            columns["sv"] = pa.array(supervoxels[places])
            columns["body_before"] = _or_null(before[places])
            columns["body_after"] = _or_null(after[places])
            yield pa.record_batch([columns[field.name].cast(field.type) for field in schema], schema)


def _texts(by_event: Iterable[str | None]) -> pa.Array:
    """Each text once, as there are few."""
    return pa.array(by_event, pa.string()).dictionary_encode()


def _or_null(bodies: Labels) -> pa.Array:
    return pa.array(bodies, mask=bodies == 0)
