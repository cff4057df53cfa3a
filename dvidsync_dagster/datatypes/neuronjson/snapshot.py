"""Neuronjson instances in a snapshot: one table, a row for each neuron, with a column for each field.

The columns are those of the fields that were met. The table itself tells which it has, and of which types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.datatypes.neuronjson.comparison import NEURONS
from dvidsync_dagster.datatypes.neuronjson.events import PostNeuron
from dvidsync_dagster.datatypes.neuronjson.fields import MAX_FIELDS, OWN, Fields, Forms, Neuron
from dvidsync_dagster.datatypes.neuronjson.forms_now import forms_now
from dvidsync_dagster.datatypes.neuronjson.reading import read_neurons
from dvidsync_dagster.datatypes.neuronjson.side import MAX_RECORDS
from dvidsync_dagster.datatypes.neuronjson.snapshot_items import neuron_pages
from dvidsync_dagster.datatypes.snapshot_side import Sift, SnapshotSide
from dvidsync_dagster.datatypes.table_rows import bounded, gone_keys, kept
from dvidsync_dagster.differences.digest import Page
from dvidsync_dagster.differences.items import Found
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.dvid.exact_json import fields_of
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.errors import ServerFailed, Unfit
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.snapshot.layout import table_path
from dvidsync_dagster.snapshot.table import HIGHEST, Change, Column, Table, TableRows


@dataclass(frozen=True, slots=True)
class _Row:
    """`text` is the whole neuron as the source writes it."""

    body: int
    text: str

    @property
    def neuron(self) -> Neuron:
        return fields_of(self.text)


class NeuronjsonSnapshot(SnapshotSide):
    """Neurons and their fields."""

    begins_empty = True

    @property
    def tables(self) -> Sequence[Table]:
        """With the columns that it always has."""
        return (self._table(),)

    def _table(self, fields: Sequence[Column] = ()) -> Table:
        columns = (
            Column("body", pa.int64(), "The body."),
            Column(
                "json",
                pa.string(),
                "The whole neuron as the source writes it: all fields, with who set them (FIELD_user) and "
                f"when (FIELD_time). Fields beyond the first {MAX_FIELDS:,} by name are only here.",
            ),
            *fields,
        )
        text = f"One neuron of the neuronjson instance {self.instance.name} that has any field."
        return Table(table_path(self.instance.name), text, columns, ("body",))

    def whole(self, version: str) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
        """The batches are to be read before the next table is asked for."""
        side = DvidSide(self.source, version, self.instance.name)
        with TemporaryFile() as file:
            forms = Forms()
            for read in read_neurons(side):
                forms.take_in(read.fields)
                _write(self._row(read.body, read.text), file)
            fields = Fields(forms)
            yield self._table(fields.columns), self._batches(fields, _rows_in(file))

    def pages(self, kind: Kind, rows: TableRows) -> Iterator[Page]:
        return neuron_pages(rows, self._table()) if kind is NEURONS else super().pages(kind, rows)

    def changes(self, events: Sequence[Event], version: str, rows: TableRows) -> Mapping[str, Change]:
        bodies = self._touched(events)
        return self._as_at_source(bodies, version, rows) if bodies else {}

    def renewed(
        self, found: Sequence[Found], version: str, rows: TableRows, sift: Sift, at_ns: int
    ) -> Mapping[str, Change]:
        return self._as_at_source([body for each in found for body in each.keys.tolist()], version, rows)

    def _as_at_source(self, bodies: Sequence[int], version: str, rows: TableRows) -> Mapping[str, Change]:
        """Where a column has another type now, the whole table is written anew, from what it holds."""
        columns = [
            replace(Column.of(field), nullable=True)
            for field in rows.schema(self._table())
            if field.name not in OWN
        ]
        touched = pa.array(_fitting(bodies), pa.int64())
        with TemporaryFile() as file:
            new = Forms()
            for row, neuron in self._there(version, bodies):
                new.take_in(neuron)
                _write(row, file)
            fields = Fields(forms_now(self._table(), rows, columns, touched, new), columns)
            table = self._table(fields.columns)
            put = kept(table, self._batches(fields, _rows_in(file)))
        there = set(put["body"].to_pylist())
        gone = gone_keys(rows, self._table(), [body for body in touched.to_pylist() if body not in there])
        anew = (
            None if fields.fits else self._batches(fields, chain(self._others(rows, touched), _rows_of(put)))
        )
        return {table.path: Change(put, gone, table, anew)}

    def _touched(self, events: Sequence[Event]) -> list[int]:
        """The bodies that messages name. A key that is no body is a schema's, or was refused."""
        named = (
            event.body
            for event in events
            if isinstance(event, PostNeuron) and event.instance == self.instance.name
        )
        return list(dict.fromkeys(body for body in named if body is not None))

    def _there(self, version: str, bodies: Sequence[int]) -> Iterator[tuple[_Row, Neuron]]:
        """What the source has of some neurons."""
        server = Neuronjson(self.source, self.instance.name)
        for start in range(0, len(bodies), MAX_RECORDS):
            for body, record in server.records(version, bodies[start : start + MAX_RECORDS]).items():
                text = record.decode("utf-8", "replace")
                neuron = _decoded(text, f"{body} of {self.instance.name}")
                # docs/dvid.md, "Neurons": what has no field is not listed.
                if neuron.keys() - {"bodyid"}:
                    yield self._row(body, text), neuron

    def _others(self, rows: TableRows, touched: pa.Array) -> Iterator[_Row]:
        """The rows of the table that are not touched."""
        for batch in rows.batches(self._table(), ("body", "json")):
            yield from _rows_of(batch.filter(pc.invert(pc.is_in(batch["body"], touched))))

    def _row(self, body: int, text: str) -> _Row:
        if body > HIGHEST:
            raise Unfit(
                self.instance.name,
                f"there is a neuron of body {body}, and tables hold numbers up to {HIGHEST}",
                f"Name {self.instance.name} in `own` of this destination: the snapshot goes on without it.",
            )
        # Between the tokens of JSON an end of a line is a blank, and elsewhere there is none.
        return _Row(body, text.replace("\r", " ").replace("\n", " ").strip())

    def _batches(self, fields: Fields, rows: Iterable[_Row]) -> Iterator[pa.RecordBatch]:
        schema = self._table(fields.columns).schema
        for some in bounded(rows, lambda row: len(row.text)):
            own = [
                pa.array([row.body for row in some], pa.int64()),
                pa.array([row.text for row in some], pa.string()),
            ]
            yield pa.record_batch([*own, *fields.arrays([row.neuron for row in some])], schema)


def _fitting(bodies: Iterable[int]) -> list[int]:
    return [body for body in bodies if body <= HIGHEST]


def _decoded(text: str, which: str) -> Neuron:
    try:
        return fields_of(text)
    except ValueError as error:
        raise ServerFailed("GET keyvalues", f"answered no JSON object for neuron {which}: {error}") from None


def _write(row: _Row, file: IO[bytes]) -> None:
    file.write(b"%d\t%s\n" % (row.body, row.text.encode()))


def _rows_in(file: IO[bytes]) -> Iterator[_Row]:
    file.seek(0)
    for line in file:
        body, _, text = line.decode().removesuffix("\n").partition("\t")
        yield _Row(int(body), text)


def _rows_of(rows: pa.Table | pa.RecordBatch) -> Iterator[_Row]:
    for body, text in zip(rows["body"].to_pylist(), rows["json"].to_pylist(), strict=True):
        yield _Row(body, text)
