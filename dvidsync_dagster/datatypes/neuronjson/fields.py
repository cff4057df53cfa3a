"""Which column a field of a neuron has, of which type, and what stands in it.

Fields are free: nobody declares them, and one can hold a number in one neuron and a text in the next. A
column has one type: the narrowest that holds all values that the table has now. Where they have several
types, or one that is no column's, it holds each as JSON text, until all have one type again. So the columns
follow from the neurons that there are, and from nothing that was before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from dvidsync_dagster.datatypes.table_rows import whole_pairs
from dvidsync_dagster.dvid.exact_json import JsonText, json_text, value_of
from dvidsync_dagster.snapshot.table import Column

Neuron = Mapping[str, Any]
"""As `exact_json.fields_of` reads it."""

MAX_FIELDS = 1_000
"""Columns. Fields beyond, in the order of `in_order`, have none."""

OWN = ("body", "json", "bodyid")
"""Names that no field's column has. `bodyid` is the column `body`."""

JSON_TEXT = "JSON text of field "
"""How the text of a column begins that holds JSON. Tables that were written are read by it."""

_PLAIN_TEXT = "Field "

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

_SIMPLE: Mapping[type, Form] = {str: Form.TEXT, bool: Form.FLAG, JsonText: Form.ANY}


def form_of(value: Any) -> Form:
    """The form of one value that is not null. A whole number is one however it is written (7 or 7.0)."""
    if (simple := _SIMPLE.get(type(value))) is not None:
        return simple
    match value:
        case float():
            return Form.SMALL if value.is_integer() and abs(value) <= _EXACT else Form.FLOAT
        case int():
            return Form.SMALL if abs(value) <= _EXACT else Form.NUMBER if _fits(value) else Form.ANY
        case []:
            return Form.EMPTY
        case list() if all(type(each) is int and _fits(each) for each in value):
            return Form.NUMBERS
        case list() if all(type(each) is str for each in value):
            return Form.TEXTS
    return Form.ANY


def together(one: Form | None, other: Form | None) -> Form | None:
    """The form of the values of both; None is that of none."""
    if one is other or other is None:
        return one
    return other if one is None else _TOGETHER.get(frozenset({one, other}), Form.ANY)


def same_column(one: Form | None, other: Form | None) -> bool:
    """Whether columns for these forms are the same. They are for all forms between them, too."""
    return _kind(one) == _kind(other)


class Forms(dict[str, Form]):
    """The forms of fields by name, of all neurons that were taken in."""

    def take_in(self, neuron: Neuron) -> None:
        for field, value in neuron.items():
            if value is not None and field != "bodyid":
                form, before = form_of(value), self.get(field)
                if form is not before:
                    self[field] = together(before, form) or form


def in_order(field: str) -> tuple[str, str]:
    """By which fields are sorted. Readers of tables take names for the same that differ by their case only:
    "a" goes before "A"."""
    return field.lower(), field.swapcase()


class Fields:
    """The columns of a table's fields.

    Args:
        forms: of all fields that the table has. The columns follow from them alone.
        before: columns that the table has already. Those that are still the same keep their places.
    """

    def __init__(self, forms: Mapping[str, Form], before: Sequence[Column] = ()) -> None:
        self._names: dict[str, str] = {}
        self._forms: dict[str, Form] = {}
        made: dict[str, Column] = {}
        taken = {*OWN}
        for field in sorted(forms, key=in_order)[:MAX_FIELDS]:
            name = field if _is_plain(field) and field.lower() not in taken else _made(field)
            # Two of such names are the same only if somebody has looked for that.
            if name.lower() not in taken:
                taken.add(name.lower())
                self._names[field] = name
                self._forms[name] = forms[field]
                made[name] = _column(name, field, forms[field])
        self.fits = all(made.get(column.name) == column for column in before)
        """Whether all columns that there were are as they were."""
        first = [column.name for column in before] if self.fits else []
        self.columns = tuple(made[name] for name in dict.fromkeys([*first, *made]))

    def arrays(self, neurons: Sequence[Neuron]) -> list[pa.Array]:
        """What stands in the `columns` for some neurons whose forms are known."""
        cells: dict[str, list[Any]] = {column.name: [None] * len(neurons) for column in self.columns}
        for place, neuron in enumerate(neurons):
            for field, value in neuron.items():
                name = self._names.get(field)
                if name is not None and value is not None:
                    cells[name][place] = _cell(self._forms[name], value)
        return [pa.array(cells[column.name], column.type) for column in self.columns]


def field_of(column: Column) -> str | None:
    """The field whose column it is; None if its text does not tell."""
    for beginning in (JSON_TEXT, _PLAIN_TEXT):
        if column.text.startswith(beginning):
            try:
                field, _ = json.JSONDecoder().raw_decode(column.text, len(beginning))
            except ValueError:
                return None
            return field if isinstance(field, str) else None
    return None


def widest(column: Column) -> Form:
    """The widest form that a column can have. Of whole numbers and lists it is not told which there are."""
    if column.text.startswith(JSON_TEXT):
        return Form.ANY
    forms = (Form.FLAG, Form.NUMBER, Form.FLOAT, Form.TEXT, Form.NUMBERS, Form.TEXTS)
    return next((form for form in forms if _TYPES[form] == column.type), Form.ANY)


def form_of_cell(column: Column, cell: Any) -> Form:
    """The form of the value that stands in a column. Raises ValueError if none can stand there."""
    return form_of(value_of(cell) if column.text.startswith(JSON_TEXT) else cell)


def _fits(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _is_plain(field: str) -> bool:
    return _PLAIN.fullmatch(field) is not None and _MADE.fullmatch(field) is None


def _made(field: str) -> str:
    """A name for a field whose own cannot stand in a table, or differs from another by its case only."""
    digest = blake2b(field.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{re.sub('[^A-Za-z0-9_]', '_', field)[:60]}_{digest}"


def _column(name: str, field: str, form: Form) -> Column:
    shown = json_text(field)
    if form is Form.ANY:
        text = f"{JSON_TEXT}{shown}: its values have several types, or one that no column has."
    else:
        text = f"{_PLAIN_TEXT}{shown}."
    return Column(name, _TYPES[form], f"{text} Null: the neuron does not have it.", nullable=True)


def _kind(form: Form | None) -> tuple[pa.DataType, bool] | None:
    """What is the same for forms that one column can have."""
    return None if form is None else (_TYPES[form], form is Form.ANY)


def _cell(form: Form, value: Any) -> Any:
    match form:
        case Form.ANY:
            return json_text(value)
        case Form.FLOAT:
            return float(value)
        case Form.SMALL | Form.NUMBER:
            return int(value)
        case Form.TEXT:
            return whole_pairs(value)
        case Form.TEXTS:
            return [whole_pairs(each) for each in value]
    return value
