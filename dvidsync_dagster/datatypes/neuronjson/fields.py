"""Which column a field of a neuron has, of which type, and what stands in it.

Fields are free: nobody declares them, and one can hold a number in one neuron and a text in the next. A
column has one type. Where the values have several, or one that is no column's, it holds each as JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from dvidsync_dagster.snapshot.table import Column

Neuron = Mapping[str, Any]

MAX_FIELDS = 1_000
"""Columns. Fields beyond have none."""

OWN = ("body", "json", "bodyid")
"""Names that no field's column has. `bodyid` is the column `body`."""

JSON_TEXT = "JSON text of field "
"""How the text of a column begins that holds JSON. Tables that were written are read by it."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
"""Names that are the same in every reader of tables."""

_MADE = re.compile(r".*_[0-9a-f]{8}", re.ASCII | re.DOTALL)
"""Names as they are made for other fields."""

_EXACT = 2**53
"""Up to here a float holds each whole number."""


class Form(Enum):
    """What the values of a field are. Each but the last two has a type of columns."""

    FLAG = "true or false"
    SMALL = "whole numbers that a float holds"
    NUMBER = "whole numbers"
    FLOAT = "numbers"
    TEXT = "text"
    NUMBERS = "lists of whole numbers"
    TEXTS = "lists of texts"
    EMPTY = "empty lists"
    ANY = "anything"


_TYPES: Mapping[Form, pa.DataType] = {
    Form.FLAG: pa.bool_(),
    Form.SMALL: pa.int64(),
    Form.NUMBER: pa.int64(),
    Form.FLOAT: pa.float64(),
    Form.TEXT: pa.string(),
    Form.NUMBERS: pa.list_(pa.int64()),
    Form.TEXTS: pa.list_(pa.string()),
    Form.EMPTY: pa.list_(pa.string()),
    Form.ANY: pa.string(),
}

_TOGETHER: Mapping[frozenset[Form], Form] = {
    frozenset({Form.SMALL, Form.NUMBER}): Form.NUMBER,
    frozenset({Form.SMALL, Form.FLOAT}): Form.FLOAT,
    frozenset({Form.EMPTY, Form.NUMBERS}): Form.NUMBERS,
    frozenset({Form.EMPTY, Form.TEXTS}): Form.TEXTS,
}
"""The form of two; of others it is `ANY`."""


def json_text(value: Any) -> str:
    """One text for each JSON value, whatever the order of its fields."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


_SIMPLE: Mapping[type, Form] = {str: Form.TEXT, bool: Form.FLAG, float: Form.FLOAT}


def form_of(value: Any) -> Form:
    """The form of one value that is not null."""
    if (simple := _SIMPLE.get(type(value))) is not None:
        return simple
    match value:
        case int():
            return Form.SMALL if abs(value) <= _EXACT else Form.NUMBER if _fits(value) else Form.ANY
        case []:
            return Form.EMPTY
        case list() if all(type(each) is int and _fits(each) for each in value):
            return Form.NUMBERS
        case list() if all(type(each) is str for each in value):
            return Form.TEXTS
    return Form.ANY


def together(one: Form, other: Form) -> Form:
    """The form of the values of both."""
    return one if one is other else _TOGETHER.get(frozenset({one, other}), Form.ANY)


class Fields:
    """The columns of a table's fields: those that it has, and those of fields that are met.

    Args:
        schema: of the table as it is; without it there are none yet.
    """

    def __init__(self, schema: pa.Schema | None = None) -> None:
        self._columns: dict[str, Column] = {}
        self._forms: dict[str, Form] = {}
        self._names: dict[str, str] = {}
        self._met: dict[str, Form] = {}
        for field in schema or ():
            if field.name not in OWN:
                column = replace(Column.of(field), nullable=True)
                self._columns[field.name] = column
                self._forms[field.name] = _form_of_column(column.type, column.text)
        self._before = dict(self._columns)

    def take_in(self, neuron: Neuron) -> None:
        """Give each field of a neuron a column that holds its value."""
        for field, value in neuron.items():
            if value is None or field == "bodyid":
                continue
            form = form_of(value)
            if self._met.get(field) is form:
                continue
            if field in self._met:
                self._met[field] = together(self._met[field], form)
            elif (name := self._names.get(field) or self._name(field)) is not None:
                self._names[field] = name
                self._widen(name, field, form)
            elif len(self._columns) + len(self._met) < MAX_FIELDS:
                self._met[field] = form

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those that there were, then the others by name."""
        lower = {*OWN, *(name.lower() for name in self._columns)}
        # Readers of tables take names for the same that differ by their case only. "a" goes before "A".
        for field in sorted(self._met, key=lambda field: (field.lower(), field.swapcase())):
            name = field if _is_plain(field) and field.lower() not in lower else _made(field)
            lower.add(name.lower())
            self._names[field] = name
            self._forms[name] = self._met[field]
            self._columns[name] = _column(name, field, self._met[field])
        self._met.clear()
        return tuple(self._columns.values())

    @property
    def fits(self) -> bool:
        """Whether the columns that there were still hold what they are said to hold."""
        return all(self._columns[name] == column for name, column in self._before.items())

    def arrays(self, neurons: Sequence[Neuron]) -> list[pa.Array]:
        """What stands in the `columns` for some neurons that were taken in."""
        cells: dict[str, list[Any]] = {column.name: [None] * len(neurons) for column in self.columns}
        for place, neuron in enumerate(neurons):
            for field, value in neuron.items():
                name = self._names.get(field)
                if name is not None and value is not None:
                    cells[name][place] = _cell(self._forms[name], value)
        return [pa.array(cells[column.name], column.type) for column in self.columns]

    def _name(self, field: str) -> str | None:
        """The name of a field's column; None if it has none."""
        if field in self._columns and _is_plain(field):
            return field
        made = _made(field)
        return made if made in self._columns else None

    def _widen(self, name: str, field: str, form: Form) -> None:
        before = self._forms[name]
        if before is form:
            return
        after = self._forms[name] = together(before, form)
        if _kind(after) != _kind(before):
            self._columns[name] = _column(name, field, after)


def _fits(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _is_plain(field: str) -> bool:
    return _PLAIN.fullmatch(field) is not None and _MADE.fullmatch(field) is None


def _made(field: str) -> str:
    """A name for a field whose own cannot stand in a table, or differs from another by its case only."""
    digest = blake2b(field.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{re.sub('[^A-Za-z0-9_]', '_', field)[:60]}_{digest}"


def _column(name: str, field: str, form: Form) -> Column:
    shown = json_text(field)
    if form is Form.ANY:
        text = f"{JSON_TEXT}{shown}: its values have several types, or one that no column has."
    else:
        text = f"Field {shown}."
    return Column(name, _TYPES[form], f"{text} Null: the neuron does not have it.", nullable=True)


def _form_of_column(kind: pa.DataType, text: str) -> Form:
    if text.startswith(JSON_TEXT):
        return Form.ANY
    # Of whole numbers and lists it is not told which there are.
    forms = (Form.FLAG, Form.NUMBER, Form.FLOAT, Form.TEXT, Form.NUMBERS, Form.TEXTS)
    return next((form for form in forms if _TYPES[form] == kind), Form.ANY)


def _kind(form: Form) -> tuple[pa.DataType, bool]:
    """What is the same for forms that one column can have."""
    return _TYPES[form], form is Form.ANY


def _cell(form: Form, value: Any) -> Any:
    if form is Form.ANY:
        return json_text(value)
    return float(value) if form is Form.FLOAT else value
