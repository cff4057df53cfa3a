"""Which columns a table of neurons has: they follow from the neurons that there are, and hold all values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.neuronjson import fields as fields_module
from dvidsync_dagster.datatypes.neuronjson import forms_now as forms_now_module
from dvidsync_dagster.datatypes.neuronjson.fields import JSON_TEXT, Fields, Forms, field_of, in_order
from dvidsync_dagster.datatypes.neuronjson.forms_now import forms_now
from dvidsync_dagster.dvid.exact_json import json_text
from dvidsync_dagster.snapshot.table import Column, Table
from tests.datatypes.edits import FIELDS
from tests.datatypes.memory_tables import MemoryTables
from tests.datatypes.test_snapshot_neuronjson import field_named

values = st.one_of(
    st.booleans(),
    st.integers(-(2**63) - 1, 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3),
    st.lists(st.integers(-5, 5), max_size=2),
    st.lists(st.text(max_size=2), max_size=2),
    st.lists(st.one_of(st.integers(), st.text(max_size=1)), max_size=2),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
    st.none(),
)
neurons = st.lists(
    st.dictionaries(st.sampled_from([*FIELDS, "É", "a.b", "bodyid", "body", "JSON", "x" * 200]), values),
    max_size=8,
)


def cells_of(given: Sequence[dict[str, Any]], fields: Fields) -> list[dict[str, Any]]:
    columns = fields.columns
    arrays = fields.arrays(given)
    assert [array.type for array in arrays] == [each.type for each in columns]
    return [
        {
            field_named(each.text): _cell(each.text, array[place].as_py())
            for each, array in zip(columns, arrays, strict=True)
        }
        for place in range(len(given))
    ]


def _cell(text: str, cell: Any) -> Any:
    return json.loads(cell) if cell is not None and text.startswith(JSON_TEXT) else cell


def forms_of(given: Iterable[dict[str, Any]]) -> Forms:
    forms = Forms()
    for each in given:
        forms.take_in(each)
    return forms


@given(neurons)
def test_columns_hold_any_fields(given: list[dict[str, Any]]) -> None:
    fields = Fields(forms_of(given))
    names = [each.name for each in fields.columns]
    assert len({name.lower() for name in [*names, "body", "json"]}) == len(names) + 2
    assert all(name.isidentifier() and name.isascii() for name in names)
    for before, after in zip(given, cells_of(given, fields), strict=True):
        before.pop("bodyid", None)
        held = {field: value for field, value in after.items() if value is not None}
        assert held == {field: value for field, value in before.items() if value is not None}
        assert json_text(held) == json_text(held | {})


@given(neurons)
def test_the_order_of_neurons_changes_no_column(given: list[dict[str, Any]]) -> None:
    assert Fields(forms_of(given)).columns == Fields(forms_of(given[::-1])).columns


@given(neurons)
def test_a_table_tells_what_its_columns_are(given: list[dict[str, Any]]) -> None:
    forms = forms_of(given)
    columns = Fields(forms).columns
    there = [Column.of(field) for field in Table("neurons", "A neuron.", columns).schema]
    assert {field_of(each): each for each in there} == dict(
        zip(sorted(forms, key=in_order), columns, strict=True)
    )
    assert Fields(forms, there).fits


def table_of(columns: Sequence[Column] = ()) -> Table:
    own = (Column("body", pa.int64(), "The body."), Column("json", pa.string(), "All of it."))
    return Table("neurons", "A neuron.", (*own, *columns), ("body",))


def tables_with(given: Mapping[int, dict[str, Any]]) -> MemoryTables:
    """As a first snapshot makes them."""
    fields = Fields(forms_of(given.values()))
    table = table_of(fields.columns)
    tables = MemoryTables()
    own = [pa.array(given, pa.int64()), pa.array(map(json.dumps, given.values()), pa.string())]
    batch = pa.record_batch([*own, *fields.arrays(list(given.values()))], table.schema)
    tables.create(table, iter([batch]))
    return tables


NARROW = st.sampled_from(
    [None, 1, -2, 2**53 + 1, 0.5, 7.0, 1e300, "a", True, [], [1], ["a"], {"a": 1}, [0.5]]
)
few_fields = st.dictionaries(st.sampled_from(["a", "A", "b", "a b", "É"]), NARROW, max_size=4)
many = st.dictionaries(st.integers(1, 12), few_fields, max_size=12)
some_or_gone = st.dictionaries(st.integers(1, 14), st.none() | few_fields, min_size=1, max_size=4)


Neurons = dict[int, dict[str, Any]]


def columns_after(
    before: Neurons, changed: Mapping[int, dict[str, Any] | None]
) -> tuple[Neurons, Sequence[Column], Fields, Fields]:
    """The neurons that there are after a change; the columns before it; the fields after it, as they follow
    from the table, and made from scratch."""
    after = {body: each for body, each in {**before, **changed}.items() if each is not None}
    tables = tables_with(before)
    columns = tables.tables["neurons"].columns[2:]
    new = forms_of(each for each in changed.values() if each is not None)
    found = Fields(forms_now(table_of(), tables, columns, pa.array(changed, pa.int64()), new), columns)
    return after, columns, found, Fields(forms_of(after.values()))


@given(before=many, changed=some_or_gone)
@settings(max_examples=400)
def test_columns_follow_from_the_neurons_that_there_are(
    before: dict[int, dict[str, Any]], changed: dict[int, dict[str, Any] | None]
) -> None:
    """And from nothing that was before: None is a neuron that goes."""
    after, columns, found, scratch = columns_after(before, changed)
    assert sorted(found.columns, key=repr) == sorted(scratch.columns, key=repr)
    if found.fits:
        assert found.columns[: len(columns)] == columns
    cells_of(list(after.values()), found)


@pytest.mark.parametrize("most", [1, 2, 3])
@given(before=many, changed=some_or_gone)
def test_it_is_so_with_more_fields_than_columns(
    most: int, before: dict[int, dict[str, Any]], changed: dict[int, dict[str, Any] | None]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        for module in (fields_module, forms_now_module):
            patched.setattr(module, "MAX_FIELDS", most)
        _, _, found, scratch = columns_after(before, changed)
        assert sorted(found.columns, key=repr) == sorted(scratch.columns, key=repr)
