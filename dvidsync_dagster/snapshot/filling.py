"""All rows of a table, written as they come.

delta-rs takes them from a thread of its own, in which nothing else can be asked of it. So they are made in
the caller's thread, which may read other tables for them, and handed over to one that writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import chain
from queue import Empty, Queue
from threading import Event

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from dvidsync_dagster.snapshot.changing import fitted
from dvidsync_dagster.snapshot.parquet import CONFIGURATION, bytes_a_row, writer_properties
from dvidsync_dagster.snapshot.table import Table


def fill(
    to: DeltaTable | str,
    table: Table,
    batches: Iterator[pa.RecordBatch],
    options: dict[str, str] | None,
    properties: CommitProperties,
    errors: AbstractContextManager[None],
) -> None:
    """Make these rows the content of a Delta table, or of a new one at a URI, in one commit.

    Args:
        errors: translates what goes wrong while they are written.

    Raises:
        Unfit: a value does not fit.
        What `batches` raises. Then there is no commit.
    """
    first = next(batches, None)
    handover = _Handover()

    def write() -> None:
        try:
            write_deltalake(
                to,
                pa.RecordBatchReader.from_batches(table.schema, handover.taken()),
                mode="overwrite",
                schema_mode="overwrite",
                description=table.text,
                configuration=CONFIGURATION,
                storage_options=options,
                writer_properties=writer_properties(table.schema, bytes_a_row(first) if first else 0),
                commit_properties=properties,
            )
        finally:
            handover.close()

    with ThreadPoolExecutor(1, "writes a table") as pool:
        written: Future[None] = pool.submit(write)
        try:
            for batch in batches if first is None else chain([first], batches):
                for part in fitted(table, pa.Table.from_batches([batch])).to_batches():
                    handover.give(part)
                if handover.closed:
                    break
        except BaseException:
            handover.broken = True
            raise
        finally:
            handover.give(None)
    with errors:
        written.result()


class _Handover:
    """Batches from the thread that makes them to the one that writes them, a few at a time."""

    def __init__(self) -> None:
        self.broken = False
        self._waiting: Queue[pa.RecordBatch | None] = Queue(2)
        self._closed = Event()

    @property
    def closed(self) -> bool:
        """Nobody takes any more."""
        return self._closed.is_set()

    def give(self, batch: pa.RecordBatch | None) -> None:
        """None: it was the last one."""
        if not self.closed:
            self._waiting.put(batch)

    def taken(self) -> Iterator[pa.RecordBatch]:
        yield from iter(self._waiting.get, None)
        if self.broken:
            raise ValueError("the rows ended too early")

    def close(self) -> None:
        """Whoever waits to give one goes on."""
        self._closed.set()
        try:
            while True:
                self._waiting.get_nowait()
        except Empty:
            pass
