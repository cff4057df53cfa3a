"""The forms of a table's fields once some of its neurons have changed.

The table tells them, as far as a change does not touch them. A column becomes narrower when a value goes that
alone was in the way: then the others are looked at, until they tell that it stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.datatypes.neuronjson.fields import (
    MAX_FIELDS,
    Form,
    Forms,
    field_of,
    form_of_cell,
    in_order,
    same_column,
    together,
    widest,
)
from dvidsync_dagster.dvid.exact_json import fields_of
from dvidsync_dagster.snapshot.table import Column, Table, TableRows


def forms_now(
    table: Table, rows: TableRows, columns: Sequence[Column], bodies: pa.Array, new: Forms
) -> Forms:
    """The forms of all fields.

    Args:
        table: with the columns `body` and `json`.
        rows: as they were.
        columns: of its fields.
        bodies: those that have changed, or are gone.
        new: the forms of their fields now.
    """
    known = {field: column for column in columns if (field := field_of(column)) is not None}
    is_full = len(known) >= MAX_FIELDS
    if len(known) < len(columns):
        return _of_all(table, rows, bodies, new)
    forms = Forms((field, widest(column)) for field, column in known.items())
    touched = new.keys() | _fields_before(table, rows, bodies)
    unsure = {
        field: column
        for field, column in known.items()
        if field in touched and not same_column(new.get(field), forms[field])
    }
    others = _of_others(table, rows, bodies, unsure, new)
    for field in unsure:
        del forms[field]
    forms |= others
    last = max(map(in_order, known), default=None) if is_full else None
    forms |= {
        field: form
        for field, form in new.items()
        if field not in known and (last is None or in_order(field) < last)
    }
    # Which fields have columns may change, and of those without one the table tells nothing.
    return _of_all(table, rows, bodies, new) if is_full and forms.keys() != known.keys() else forms


def _of_all(table: Table, rows: TableRows, bodies: pa.Array, new: Forms) -> Forms:
    forms = Forms(new)
    for batch in rows.batches(table, ("body", "json")):
        for text in _others(batch, bodies)["json"].to_pylist():
            forms.take_in(fields_of(text))
    return forms


def _fields_before(table: Table, rows: TableRows, bodies: pa.Array) -> set[str]:
    """The fields that the touched neurons had."""
    found: set[str] = set()
    for text in rows.find(table, "body", bodies.to_pylist())["json"].to_pylist():
        found.update(field for field, value in fields_of(text).items() if value is not None)
    return found


def _of_others(
    table: Table, rows: TableRows, bodies: pa.Array, unsure: Mapping[str, Column], new: Forms
) -> dict[str, Form]:
    """The forms of some fields, with those that they have in the neurons that are not touched. What no neuron
    has is left out."""
    forms: dict[str, Form | None] = {field: new.get(field) for field in unsure}
    bounds = {field: together(widest(column), new.get(field)) for field, column in unsure.items()}
    open_fields = dict(unsure)
    for batch in _batches(table, rows, bodies, unsure):
        for field, column in list(open_fields.items()):
            for cell in _cells(batch[column.name]):
                forms[field] = together(forms[field], form_of_cell(column, cell))
                if same_column(forms[field], bounds[field]):
                    del open_fields[field]
                    break
        if not open_fields:
            break
    return {field: form for field, form in forms.items() if form is not None}


def _batches(
    table: Table, rows: TableRows, bodies: pa.Array, unsure: Mapping[str, Column]
) -> Iterator[pa.RecordBatch]:
    if unsure:
        names = ("body", *(column.name for column in unsure.values()))
        wide = Table(table.path, table.text, (*table.columns, *unsure.values()), table.key)
        for batch in rows.batches(wide, names):
            yield _others(batch, bodies)


def _cells(values: pa.Array) -> list[Any]:
    """Each value once, where that is easy to tell."""
    values = values.drop_null()
    cells: list[Any] = (values if pa.types.is_list(values.type) else values.unique()).to_pylist()
    return cells


def _others(batch: pa.RecordBatch, bodies: pa.Array) -> Any:
    return batch.filter(pc.invert(pc.is_in(batch["body"], bodies)))
