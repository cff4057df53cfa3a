"""The table of an annotation instance: the same by the log as from scratch, supervoxels included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.datatypes.annotation.element_rows import (
    element_batch,
    element_row,
    element_table,
    numbered,
)
from dvidsync_dagster.datatypes.annotation.events import PostElements
from dvidsync_dagster.datatypes.annotation.looked_up import ordinals_at, points_in, points_that_lead_to
from dvidsync_dagster.errors import ServerFailed, Unfit
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.events.repo import NewInstance
from tests.datatypes.edits import edit_elements, split_some
from tests.datatypes.following import follow_new
from tests.datatypes.memory_tables import MemoryTables, Rows, filled
from tests.datatypes.source_log import LABELS, SYNAPSES, SourceLog, element, sandbox_log


@pytest.fixture
def log(tmp_path: Path, broker: EmbeddedBroker, made_synced: tuple[Path, str]) -> Iterator[SourceLog]:
    """Synced to a labelmap of 64 cubes of 16 voxels: from 0 to 63 along each axis."""
    with sandbox_log(tmp_path, broker.address, made_synced) as opened:
        yield opened


@pytest.fixture
def unsynced(tmp_path: Path, broker: EmbeddedBroker, made: tuple[Path, str]) -> Iterator[SourceLog]:
    with sandbox_log(tmp_path, broker.address, made) as opened:
        yield opened


follow = partial(follow_new, SYNAPSES)


def begun(log: SourceLog) -> MemoryTables:
    log.new_events()
    return filled(log.side(SYNAPSES), log.version)


def assert_as_from_scratch(log: SourceLog, tables: MemoryTables) -> Rows:
    rows = tables.rows(SYNAPSES)
    assert rows == filled(log.side(SYNAPSES), log.version).rows(SYNAPSES)
    return rows


def relation(rel: str, x: int, y: int, z: int) -> dict[str, Any]:
    return {"rel": rel, "x": x, "y": y, "z": z}


@pytest.mark.parametrize("seed", range(1))
def test_random_work_ends_as_from_scratch(log: SourceLog, seed: int) -> None:
    random = Random(seed)
    edit_elements(log, random, 30)
    tables = begun(log)
    for _ in range(2):
        edit_elements(log, random, 12)
        split_some(log, random, 2)
        edit_elements(log, random, 4)
        follow(log, tables, random)
        rows = assert_as_from_scratch(log, tables)
    assert len(rows) > 10
    assert any(row["ordinal"] for row in rows.values())
    assert len({row["sv"] for row in rows.values()}) > 3


def test_an_element_has_what_dvid_says_of_it(log: SourceLog) -> None:
    log.put_elements(
        {
            "Pos": [17, 5, 5],
            "Kind": "PreSyn",
            "Tags": ["b", "a"],
            "Prop": {"user": "amy", "conf": "0.9"},
            "Rels": [{"Rel": "PreSynTo", "To": [30, 5, 5]}, {"Rel": "GroupedWith", "To": [-3, 5, 5]}],
        },
        element(-3),
    )
    assert filled(log.side(SYNAPSES), log.version).rows(SYNAPSES) == {
        (17, 5, 5, 0): {
            **{"x": 17, "y": 5, "z": 5, "ordinal": 0, "kind": "PreSyn", "tags": ["a", "b"]},
            "prop": [("conf", "0.9"), ("user", "amy")],
            "rels": [relation("GroupedWith", -3, 5, 5), relation("PreSynTo", 30, 5, 5)],
            "sv": 2,
        },
        (-3, 5, 5, 0): {
            **{"x": -3, "y": 5, "z": 5, "ordinal": 0, "kind": "Note", "tags": [], "prop": [], "rels": []},
            "sv": 0,
        },
    }  # fmt: skip


def test_several_elements_at_one_point_come_and_go(log: SourceLog) -> None:
    log.put_elements(element(1, Kind="PreSyn"), element(1, Kind="PostSyn"), element(2))
    tables = begun(log)
    assert {key: row["kind"] for key, row in tables.rows(SYNAPSES).items()} == {
        (1, 5, 5, 0): "PostSyn",
        (1, 5, 5, 1): "PreSyn",
        (2, 5, 5, 0): "Note",
    }
    log.put_elements(element(3, Kind="Gap"), element(3, Kind="Note"), element(3, Kind="PreSyn"))
    log.delete(f"{SYNAPSES}/element/1_5_5")
    follow(log, tables)
    assert len(assert_as_from_scratch(log, tables)) == 5
    log.delete(f"{SYNAPSES}/element/1_5_5")
    log.delete(f"{SYNAPSES}/element/3_5_5")
    follow(log, tables)
    assert sorted(assert_as_from_scratch(log, tables)) == [(2, 5, 5, 0), (3, 5, 5, 0), (3, 5, 5, 1)]


def test_relations_to_what_is_moved_or_deleted(log: SourceLog) -> None:
    """In whatever piece of the log it happens."""
    log.put_elements(element(1, to=(100, 5, 5)), element(100, to=(1, 5, 5)), element(2, to=(1, 5, 5)))
    log.put_elements(element(40, to=(41, 5, 5)), element(41, to=(40, 5, 5)))
    tables = begun(log)
    log.post(f"{SYNAPSES}/move/1_5_5/150_5_5")
    log.post(f"{SYNAPSES}/move/150_5_5/130_5_5")
    follow(log, tables)
    assert assert_as_from_scratch(log, tables)[100, 5, 5, 0]["rels"][0]["x"] == 130
    log.delete(f"{SYNAPSES}/element/40_5_5")
    (change,) = follow(log, tables)
    assert assert_as_from_scratch(log, tables)[41, 5, 5, 0]["rels"] == []
    assert len(change) == 2


def test_a_split_concerns_the_elements_on_that_supervoxel_alone(log: SourceLog) -> None:
    log.put_elements(*(element(x, 5, 5) for x in range(0, 48, 2)))
    tables = begun(log)
    log.split_supervoxel(1, Random(1))
    (change,) = follow(log, tables)
    rows = assert_as_from_scratch(log, tables)
    assert len(change.put) == 8
    assert {row["sv"] for row in rows.values()}.isdisjoint({1})
    # What is split again in the same piece of the log.
    first = min(row["sv"] for key, row in rows.items() if key[0] < 16)
    log.split_supervoxel(first, Random(2))
    after = {row["sv"] for row in filled(log.side(SYNAPSES), log.version).rows(SYNAPSES).values()}
    log.split_supervoxel(max(after), Random(3))
    log.post(f"{LABELS}/merge", [2, 3])
    follow(log, tables)
    assert_as_from_scratch(log, tables)


def test_merges_and_cleaves_change_nothing(log: SourceLog) -> None:
    log.put_elements(*(element(x, 5, 5) for x in range(0, 48, 2)))
    tables = begun(log)
    log.post(f"{LABELS}/merge", [1, 2, 3])
    log.post(f"{LABELS}/cleave/1", [2])
    assert follow(log, tables) == []
    assert_as_from_scratch(log, tables)


def test_blocks_that_are_replaced(log: SourceLog) -> None:
    log.put_elements(element(1, to=(70, 5, 5)), element(2), element(70, to=(1, 5, 5)), element(-1))
    tables = begun(log)
    log.post(f"{SYNAPSES}/blocks", {"0,0,0": [element(2, Tags=["t"]), element(3)], "-1,0,0": []})
    log.put_elements(element(4))
    follow(log, tables)
    assert sorted(assert_as_from_scratch(log, tables)) == [(x, 5, 5, 0) for x in (2, 3, 4, 70)]


def test_no_labelmap_no_supervoxel(unsynced: SourceLog) -> None:
    unsynced.put_elements(element(1))
    tables = begun(unsynced)
    unsynced.put_elements(element(2))
    unsynced.split_supervoxel(1, Random(1))
    follow(unsynced, tables)
    assert [row["sv"] for row in assert_as_from_scratch(unsynced, tables).values()] == [None, None]


def supervoxels(tables: MemoryTables) -> list[int | None]:
    return [row["sv"] for row in tables.rows(SYNAPSES).values()]


def text_of_supervoxels(tables: MemoryTables) -> str:
    return next(each.text for each in tables.tables[SYNAPSES].columns if each.name == "sv")


def test_a_labelmap_that_is_not_followed_gives_no_supervoxels(log: SourceLog) -> None:
    """Nothing would tell that one was split."""
    log.own = (LABELS,)
    log.put_elements(element(1))
    tables = begun(log)
    log.put_elements(element(2), element(20))
    log.split_supervoxel(1, Random(1))
    follow(log, tables)
    assert_as_from_scratch(log, tables)
    assert supervoxels(tables) == [None] * 3
    assert text_of_supervoxels(tables).startswith("Null: ")


def test_a_labelmap_that_is_followed_later_or_no_more(log: SourceLog) -> None:
    log.own = (LABELS,)
    log.put_elements(element(1), element(20))
    tables = begun(log)
    log.own = ()
    log.post(f"{LABELS}/merge", [3, 4])  # of another instance
    (change,) = follow(log, tables)
    assert change.anew is not None
    assert_as_from_scratch(log, tables)
    assert supervoxels(tables) == [1, 2]
    assert f"The supervoxel of {LABELS}" in text_of_supervoxels(tables)
    log.post(f"{LABELS}/merge", [5, 6])
    assert follow(log, tables) == []
    log.split_supervoxel(1, Random(1))
    follow(log, tables)
    assert_as_from_scratch(log, tables)
    log.own = (LABELS,)
    log.put_elements(element(3))
    follow(log, tables)
    assert_as_from_scratch(log, tables)
    assert supervoxels(tables) == [None] * 3


def test_an_instance_that_is_synced_after_elements_came(unsynced: SourceLog) -> None:
    log = unsynced
    log.put_elements(element(1))
    tables = begun(log)
    log.put_elements(element(2))
    follow(log, tables)
    assert supervoxels(tables) == [None, None]
    log.post(f"{SYNAPSES}/sync", {"sync": LABELS})
    log.put_elements(element(20))
    follow(log, tables)
    assert_as_from_scratch(log, tables)
    assert sorted(supervoxels(tables), key=str) == [1, 1, 2]
    log.split_supervoxel(1, Random(1))
    follow(log, tables)
    assert_as_from_scratch(log, tables)


def test_a_labelmap_that_is_made_anew_lies_under_all_elements(log: SourceLog) -> None:
    log.put_elements(element(1))
    tables = begun(log)
    made = NewInstance(origin=Origin(1, "t", 0, 0), version=log.version, name=LABELS, data_type="labelmap")
    change = tables.follow(log.side(SYNAPSES), [made], log.version)[SYNAPSES]
    assert change.anew is not None
    assert_as_from_scratch(log, tables)


def test_a_repair_gives_the_supervoxels_of_what_is_followed(log: SourceLog) -> None:
    log.put_elements(element(1), element(20))
    tables = begun(log)
    log.own = (LABELS,)
    changes = log.side(SYNAPSES).renewed([], log.version, tables, lambda each: each, 1)
    assert changes is not None
    tables.commit(SYNAPSES, changes[SYNAPSES])
    assert supervoxels(tables) == [None, None]


def test_a_blob_that_the_source_has_lost(log: SourceLog) -> None:
    """All elements are read then."""
    log.put_elements(element(1), element(100))
    tables = begun(log)
    log.put_elements(element(2))
    log.delete(f"{SYNAPSES}/element/100_5_5")
    events = [
        replace(event, data_ref="lost") if isinstance(event, PostElements) else event
        for event in log.new_events()
    ]
    change = tables.follow(log.side(SYNAPSES), events, log.version)[SYNAPSES]
    assert change.anew is not None
    assert len(change)
    assert sorted(assert_as_from_scratch(log, tables)) == [(1, 5, 5, 0), (2, 5, 5, 0)]


def test_elements_in_a_block_that_is_not_theirs(log: SourceLog) -> None:
    log.post(f"{SYNAPSES}/blocks", {"1,0,0": [element(2)]})
    with pytest.raises(Unfit, match=r"the element at \(2, 5, 5\) is kept in block \(1, 0, 0\)"):
        filled(log.side(SYNAPSES), log.version)


def test_a_supervoxel_that_no_table_holds_is_refused(log: SourceLog) -> None:
    log.put_elements(element(1))
    tables = begun(log)
    volume = np.full((64, 64, 64), 2**63, "<u8").tobytes()
    log.post(f"{LABELS}/raw/0_1_2/64_64_64/64_0_0", volume)
    log.put_elements(element(65))
    events = log.new_events()
    for read in (
        lambda: filled(log.side(SYNAPSES), log.version),
        lambda: tables.follow(log.side(SYNAPSES), events, log.version),
    ):
        with pytest.raises(Unfit, match=r"9223372036854775808 under \(65, 5, 5\)"):
            read()


def test_a_child_goes_on_from_its_parent(log: SourceLog) -> None:
    log.put_elements(element(1, to=(20, 5, 5)), element(20))
    tables = begun(log)
    log.put_elements(element(2))
    log.new_version()
    log.post(f"{SYNAPSES}/move/20_5_5/21_5_5")
    log.split_supervoxel(1, Random(1))
    follow(log, tables)
    assert sorted(assert_as_from_scratch(log, tables)) == [(x, 5, 5, 0) for x in (1, 2, 21)]


coordinates = st.integers(-(2**31), 2**31 - 1)
points = st.tuples(coordinates, coordinates, coordinates)
elements = st.builds(
    lambda at, kind, tags, prop, ends: {
        "Pos": list(at),
        "Kind": kind,
        "Tags": tags,
        "Prop": prop,
        "Rels": [{"Rel": "GroupedWith", "To": list(end)} for end in ends],
    },
    points | st.sampled_from([(0, 0, 0), (-1, 0, 5)]),
    st.sampled_from(["PreSyn", "PostSyn"]),
    st.none() | st.lists(st.text(max_size=2), max_size=2),
    st.none() | st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
    st.lists(points | st.just((0, 0, 0)), max_size=2),
)


@given(st.lists(elements, max_size=12), st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_an_order(given: list[Any], random: Random) -> None:
    shuffled = [
        {**each, "Tags": each["Tags"] and each["Tags"][::-1], "Rels": each["Rels"][::-1]}
        for each in random.sample(given, len(given))
    ]
    one, other = (numbered(element_row(each, "") for each in some) for some in (given, shuffled))
    assert one == other
    batch = element_batch(element_table("synapses"), one, None, "")
    batch.validate(full=True)
    assert [(*row.at, ordinal) for row, ordinal in one] == [
        (row["x"], row["y"], row["z"], row["ordinal"]) for row in batch.to_pylist()
    ]
    assert [[tuple(each.values()) for each in row["rels"]] for row in batch.to_pylist()] == [
        list(row.rels) for row, _ in one
    ]


@given(st.lists(elements, max_size=30), st.sets(points, max_size=5), st.data())
def test_elements_are_looked_up(given: list[Any], others: set[Any], data: st.DataObject) -> None:
    rows = numbered(element_row(each, "") for each in given)
    tables = MemoryTables()
    table = element_table("synapses")
    tables.create(table, iter([element_batch(table, rows, None, "")]))
    known = [row.at for row, _ in rows] + [end[1:] for row, _ in rows for end in row.rels]
    wanted = others | (data.draw(st.sets(st.sampled_from(known))) if known else set())
    assert sorted(ordinals_at(tables, table, wanted)) == sorted(
        (row.at, ordinal) for row, ordinal in rows if row.at in wanted
    )
    assert set(points_that_lead_to(tables, table, wanted)) == {
        row.at for row, _ in rows if any(end[1:] in wanted for end in row.rels)
    }
    edge = (64, 32, 7)
    blocks = {tuple(number // size for number, size in zip(point, edge, strict=True)) for point in wanted}
    assert set(points_in(tables, table, blocks, edge)) == {
        row.at
        for row, _ in rows
        if tuple(number // size for number, size in zip(row.at, edge, strict=True)) in blocks
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"Pos": [1, 2]},
        {"Pos": [1, 2, 2**31]},
        {"Pos": None},
        {"Kind": 3},
        {"Tags": [1]},
        {"Prop": {"a": 1}},
        {"Prop": ["a"]},
        {"Rels": [{"Rel": "GroupedWith"}]},
        {"Rels": [{"To": [1, 2, 3]}]},
        {"Rels": 5},
    ],
)
def test_what_is_no_element_is_refused(wrong: Any) -> None:
    with pytest.raises(ServerFailed, match="no element"):
        element_row({**element(1), **wrong}, "GET elements")


def test_a_text_that_is_no_utf8_is_refused() -> None:
    rows = numbered([element_row(element(1, Tags=["\udc80"]), "GET elements")])
    with pytest.raises(ServerFailed, match="no table holds"):
        element_batch(element_table("synapses"), rows, None, "GET elements")
