"""The table of a neuronjson instance: the same by the log as from scratch, whatever the fields hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.datatypes.neuronjson.fields import (
    JSON_TEXT,
    MAX_FIELDS,
)
from dvidsync_dagster.errors import Unfit
from dvidsync_dagster.snapshot.table import Column
from tests.datatypes.edits import FIELD_VALUES, edit_neurons
from tests.datatypes.following import follow_new
from tests.datatypes.memory_tables import MemoryTables, filled
from tests.datatypes.source_log import NEURONS, SourceLog, sandbox_log


@pytest.fixture
def log(tmp_path: Path, broker: EmbeddedBroker, made: tuple[Path, str]) -> Iterator[SourceLog]:
    with sandbox_log(tmp_path, broker.address, made) as opened:
        yield opened


follow = partial(follow_new, NEURONS)


def texts(tables: MemoryTables) -> dict[int, Any]:
    """Whole records by body."""
    return {body: json.loads(row["json"]) for (body,), row in tables.rows(NEURONS).items()}


def column(tables: MemoryTables, name: str) -> tuple[pa.DataType, dict[int, Any]]:
    field = tables.schema(tables.tables[NEURONS]).field(name)
    cells = {body: row[name] for (body,), row in tables.rows(NEURONS).items() if row[name] is not None}
    return field.type, cells


def assert_columns_hold_the_fields(tables: MemoryTables) -> None:
    """Each cell is its field's value, as it is or as JSON text, and each field has a column."""
    by_field = {field_named(each.text): each for each in tables.tables[NEURONS].columns[2:]}
    for (body,), row in tables.rows(NEURONS).items():
        record = json.loads(row["json"])
        assert record.pop("bodyid") == body
        assert record.keys() <= by_field.keys()
        for field, each in by_field.items():
            cell = row[each.name]
            as_json = each.text.startswith(JSON_TEXT)
            assert (json.loads(cell) if as_json and cell is not None else cell) == record.get(field)


def field_named(text: str) -> str:
    start = text.index('"')
    name, _ = json.JSONDecoder().raw_decode(text, start)
    return str(name)


@pytest.mark.parametrize("seed", range(3))
def test_random_work_ends_as_from_scratch(log: SourceLog, seed: int) -> None:
    random = Random(seed)
    # First fields of one type each, then of any.
    edit_neurons(log, random, 30, FIELD_VALUES[:2] if seed else FIELD_VALUES)
    log.new_events()
    tables = filled(log.side(NEURONS), log.version)
    for _ in range(3):
        edit_neurons(log, random, 15)
        follow(log, tables, random)
    scratch = filled(log.side(NEURONS), log.version)
    assert tables.rows(NEURONS) == scratch.rows(NEURONS)
    assert by_name(tables) == by_name(scratch)
    assert_columns_hold_the_fields(tables)


def by_name(tables: MemoryTables) -> dict[str, Column]:
    return {each.name: each for each in tables.tables[NEURONS].columns}


def test_columns_come_as_fields_come(log: SourceLog) -> None:
    log.put_neuron(1, status="Traced", size=7)
    log.new_events()
    tables = filled(log.side(NEURONS), log.version)
    assert [each.name for each in tables.tables[NEURONS].columns] == [
        "body",
        "json",
        *sorted(["size", "size_time", "size_user", "status", "status_time", "status_user"]),
    ]
    log.put_neuron(2, status="Orphan", score=1.5, tags=["a"], position=[1, 2, 3])
    (change,) = follow(log, tables)
    assert change.anew is None
    assert column(tables, "size") == (pa.int64(), {1: 7})
    assert column(tables, "score") == (pa.float64(), {2: 1.5})
    assert column(tables, "tags") == (pa.list_(pa.string()), {2: ["a"]})
    assert column(tables, "position") == (pa.list_(pa.int64()), {2: [1, 2, 3]})
    assert column(tables, "status_user")[1] == {1: "amy", 2: "amy"}


def test_a_field_that_changes_its_type_becomes_json_text(log: SourceLog) -> None:
    log.put_neuron(1, size=7, flag=True)
    log.put_neuron(2, size=8)
    log.new_events()
    tables = filled(log.side(NEURONS), log.version)
    log.put_neuron(3, size="many")
    (change,) = follow(log, tables)
    assert change.anew is not None
    assert len(change) == 1
    assert column(tables, "size") == (pa.string(), {1: "7", 2: "8", 3: '"many"'})
    assert column(tables, "flag") == (pa.bool_(), {1: True})
    assert "several types" in tables.tables[NEURONS].columns[5].text
    # As long as it is, any value fits.
    log.put_neuron(4, size={"a": 1})
    (change,) = follow(log, tables)
    assert change.anew is None
    assert column(tables, "size")[1][4] == '{"a":1}'
    log.put_neuron(3, size=9)
    (change,) = follow(log, tables)
    assert change.anew is None
    # Once all values have one type again, so has the column.
    log.put_neuron(4, size=10)
    (change,) = follow(log, tables)
    assert change.anew is not None
    assert column(tables, "size") == (pa.int64(), {1: 7, 2: 8, 3: 9, 4: 10})
    assert by_name(tables) == by_name(filled(log.side(NEURONS), log.version))


def test_a_field_that_no_neuron_has_anymore_has_no_column(log: SourceLog) -> None:
    log.put_neuron(1, size=7, wrong="x")
    log.put_neuron(2, size=8)
    log.new_events()
    tables = filled(log.side(NEURONS), log.version)
    log.put_neuron(1, size=7)
    follow(log, tables)
    assert "wrong" not in by_name(tables)
    log.put_neuron(2, size=8, wrong=5)
    follow(log, tables)
    assert column(tables, "wrong") == (pa.int64(), {2: 5})
    assert by_name(tables) == by_name(filled(log.side(NEURONS), log.version))


def test_whole_numbers_and_others_share_a_column_as_long_as_no_digit_is_lost(log: SourceLog) -> None:
    log.put_neuron(1, size=7, large=2**53 + 1)
    log.new_events()
    tables = filled(log.side(NEURONS), log.version)
    log.put_neuron(2, size=1.5, large=1.5)
    follow(log, tables)
    assert column(tables, "size") == (pa.float64(), {1: 7.0, 2: 1.5})
    assert column(tables, "large") == (pa.string(), {1: "9007199254740993", 2: "1.5"})


def test_numbers_of_64_bits_stay_exact(log: SourceLog) -> None:
    log.put_neuron(2**63 - 1, large=2**63 - 1, larger=2**64 - 1)
    tables = filled(log.side(NEURONS), log.version)
    assert column(tables, "large") == (pa.int64(), {2**63 - 1: 2**63 - 1})
    assert column(tables, "larger") == (pa.string(), {2**63 - 1: "18446744073709551615"})
    assert texts(tables)[2**63 - 1]["larger"] == 2**64 - 1


@pytest.mark.parametrize("body", [2**63, 2**64 - 1])
def test_a_body_that_no_table_holds_is_refused(log: SourceLog, body: int) -> None:
    tables = filled(log.side(NEURONS), log.version)
    log.put_neuron(body, status="Traced")
    with pytest.raises(Unfit, match=str(body)):
        filled(log.side(NEURONS), log.version)
    events = log.new_events()
    with pytest.raises(Unfit, match=str(body)):
        log.side(NEURONS).changes(events, log.version, tables)
    log.delete(f"{NEURONS}/key/{body}")
    assert len(log.side(NEURONS).changes(events, log.version, tables)[NEURONS]) == 0


def test_what_the_source_does_not_have_is_gone(log: SourceLog) -> None:
    log.put_neuron(1, status="Traced")
    log.put_neuron(2, status="Traced")
    log.new_events()
    tables = filled(log.side(NEURONS), log.version)
    log.put_neuron(1, status="Orphan")
    log.delete(f"{NEURONS}/key/1")
    log.post(f"{NEURONS}/key/2", {"bodyid": 2, "status": None, "status_user": None, "status_time": None})
    log.post(f"{NEURONS}/key/schema", {"a": 1})
    follow(log, tables)
    assert texts(tables) == texts(filled(log.side(NEURONS), log.version)) == {}


def test_an_empty_table_grows(log: SourceLog) -> None:
    tables = filled(log.side(NEURONS), log.version)
    log.put_neuron(1, status="Traced", Status="x", json="y")
    follow(log, tables)
    assert_columns_hold_the_fields(tables)
    names = {each.name for each in tables.tables[NEURONS].columns}
    assert {"body", "json", "status"} <= names
    assert "Status" not in names
    assert by_name(tables) == by_name(filled(log.side(NEURONS), log.version))


def test_no_more_columns_than_a_table_should_have(log: SourceLog) -> None:
    log.put_neuron(1, **{f"field{number}": number for number in range(MAX_FIELDS)})
    tables = filled(log.side(NEURONS), log.version)
    assert len(tables.tables[NEURONS].columns) == MAX_FIELDS + 2
    assert len(texts(tables)[1]) == 3 * MAX_FIELDS + 1
