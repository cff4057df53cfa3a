"""The tables of a branch: whatever is done to them, they hold what was put last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvidsync_dagster.errors import Unfit
from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Column, Table

APP = "dvidsync/28841c82/cloud"
LARGEST = 2**63 - 1

MAPPING = Table(
    "segmentation/mapping",
    "One supervoxel.",
    (Column("sv", pa.int64(), "the supervoxel"), Column("body", pa.int64(), "the body that it is in")),
    ("sv",),
)
EDITS = Table(
    "segmentation/edits",
    "One edit.",
    (
        Column("log_time", pa.timestamp("us", "UTC"), "when"),
        Column("action", pa.string(), "what"),
        Column("body", pa.int64(), "its body; none: it was split away", nullable=True),
    ),
)
POINTS = Table(
    "synapses",
    "One point.",
    (
        Column("x", pa.int32(), "in voxels"),
        Column("y", pa.int32(), "in voxels"),
        Column("kind", pa.string(), "its kind"),
        Column("tags", pa.list_(pa.string()), "its tags", nullable=True),
        Column("prop", pa.map_(pa.string(), pa.string()), "its properties", nullable=True),
        Column(
            "rels", pa.list_(pa.struct([("rel", pa.string()), ("x", pa.int32())])), "partners", nullable=True
        ),
        Column("value", pa.binary(), "what it has", nullable=True),
        Column("checked", pa.bool_(), "whether", nullable=True),
        Column("score", pa.float64(), "how sure", nullable=True),
    ),
    ("x", "y"),
)


def tables_at(folder: Path, epoch: int = 1) -> DeltaTables:
    return DeltaTables(Bucket.at(str(folder)), "master", app=APP, epoch=epoch)


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    return tables_at(tmp_path)


def rows(table: Table, content: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(content, schema=table.schema)


def batches(table: Table, content: list[dict[str, Any]], size: int = 3) -> Iterator[pa.RecordBatch]:
    yield from rows(table, content).to_batches(max_chunksize=size)


def mapping(content: dict[int, int]) -> pa.Table:
    return rows(MAPPING, [{"sv": sv, "body": body} for sv, body in content.items()])


def without(*supervoxels: int) -> pa.Table:
    return pa.table({"sv": pa.array(supervoxels, pa.int64())})


def held(tables: DeltaTables, table: Table, version: int) -> list[dict[str, Any]]:
    """All rows at a version."""
    read = list(tables.rows({table.path: version}).batches(table))
    assert all(batch.schema.equals(table.schema, check_metadata=True) for batch in read)
    found: list[dict[str, Any]] = [row for batch in read for row in batch.to_pylist()]
    assert len(found) == tables.count(table.path, version)
    return found


def mapped(tables: DeltaTables, version: int) -> dict[int, int]:
    found = held(tables, MAPPING, version)
    result = {row["sv"]: row["body"] for row in found}
    assert len(result) == len(found)
    return result


# Any history


@dataclass(frozen=True)
class Step:
    put: dict[int, int]
    gone: set[int]
    also: str


LABELS = st.one_of(st.integers(1, 20), st.sampled_from([2**53 + 1, 2**62, LARGEST]))
STEPS = st.builds(
    lambda put, gone, also: Step(put, gone - set(put), also),
    st.dictionaries(LABELS, LABELS, max_size=8),
    st.sets(LABELS, max_size=4),
    st.sampled_from(["", "", "", "compact", "vacuum", "killed", "another run", "an older run goes on"]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(LABELS, LABELS, max_size=12), st.lists(STEPS, max_size=6))
def test_any_changes_end_as_they_would_in_a_dictionary(first: dict[int, int], steps: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        here = tables_at(Path(folder))
        model = dict(first)
        version = here.create(MAPPING, batches(MAPPING, mapping(first).to_pylist()))
        seen = {version: dict(model)}
        for number, step in enumerate(steps):
            older = here
            if step.also == "killed":
                here.commit(MAPPING, Change(mapping({1: 99, 2: 98})), at=number, key_ns=number)
            if step.also in ("killed", "another run", "an older run goes on"):
                here = tables_at(Path(folder), epoch=number + 2)
                version = here.restore(MAPPING.path, version)
            if step.also == "an older run goes on":
                older.commit(MAPPING, Change(mapping({3: 97}), without(1)), at=number, key_ns=number)
            change = Change(mapping(step.put), without(*step.gone) if step.gone else None)
            model = {sv: body for sv, body in (model | step.put).items() if sv not in step.gone}
            version = here.commit(MAPPING, change, at=number, key_ns=number)
            seen[version] = dict(model)
            if step.also == "compact":
                version = here.compact(MAPPING.path)
            if step.also == "vacuum":
                version = here.vacuum(MAPPING.path, list(seen), timedelta(0))
            assert mapped(here, version) == model
        for old, content in seen.items():
            assert mapped(here, old) == content


@given(
    st.dictionaries(LABELS, st.integers(1, 9), max_size=15),
    st.lists(st.integers(0, 2**64 - 1) | LABELS, max_size=8),
    st.sampled_from(["list", "uint64", "int64"]),
    st.sampled_from(["sv", "body"]),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_looked_for_is_found(
    content: dict[int, int], wanted: list[int], form: str, column: str
) -> None:
    values: Any = wanted
    if form == "uint64":
        values = np.array(wanted, np.uint64)
    if form == "int64":
        wanted = [each for each in wanted if each < 2**63]
        values = np.array(wanted, np.int64)
    with TemporaryDirectory() as folder:
        here = tables_at(Path(folder))
        version = here.create(MAPPING, batches(MAPPING, mapping(content).to_pylist()))
        found = here.rows({MAPPING.path: version}).find(MAPPING, column, values)
    assert found.schema.equals(MAPPING.schema, check_metadata=True)
    by = {"sv": 0, "body": 1}[column]
    assert dict(zip(*found.to_pydict().values(), strict=True)) == {
        row[0]: row[1] for row in content.items() if row[by] in wanted
    }


PLACES = st.tuples(st.integers(-2, 2), st.integers(-2, 2))


@given(
    st.dictionaries(PLACES, st.text(max_size=3), max_size=9),
    st.lists(
        st.tuples(st.dictionaries(PLACES, st.text(max_size=3), max_size=5), st.sets(PLACES)), max_size=3
    ),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_a_key_can_have_several_columns(
    first: dict[tuple[int, int], str], steps: list[tuple[dict[tuple[int, int], str], set[tuple[int, int]]]]
) -> None:
    def points(content: dict[tuple[int, int], str]) -> list[dict[str, Any]]:
        return [point(x, y, kind=kind) for (x, y), kind in content.items()]

    with TemporaryDirectory() as folder:
        here = tables_at(Path(folder))
        model = dict(first)
        version = here.create(POINTS, batches(POINTS, points(first)))
        for put, gone in steps:
            gone -= set(put)
            keys = pa.table(
                {axis: pa.array([key[i] for key in gone], pa.int32()) for i, axis in enumerate("xy")}
            )
            version = here.commit(POINTS, Change(rows(POINTS, points(put)), keys), at=1, key_ns=1)
            model = {place: kind for place, kind in (model | put).items() if place not in gone}
            found = held(here, POINTS, version)
            assert {(row["x"], row["y"]): row["kind"] for row in found} == model
            assert len(found) == len(model)


def test_rows_in_many_row_groups_and_files_are_changed(tables: DeltaTables) -> None:
    chance = np.random.default_rng(1)
    count = 900_000
    wide = later(*MAPPING.columns, Column("noise", pa.binary(), "noise", nullable=True))
    model = chance.permutation(count)

    def content() -> Iterator[pa.RecordBatch]:
        for at in range(0, count, 10_000):
            noise = pa.array(np.frombuffer(chance.bytes(400_000), "S40"), pa.binary())
            svs = pa.array(range(at, at + 10_000))
            yield pa.record_batch([svs, pa.array(model[at : at + 10_000]), noise], schema=wide.schema)

    version = tables.create(wide, content())
    for number in range(3):
        touched = chance.choice(count, 2_000, replace=False)
        put, gone = touched[:1_500], touched[1_500:]
        model[put], model[gone] = chance.integers(1, 2**63, 1_500), -1
        change = pa.table([put, model[put], pa.nulls(1_500, pa.binary())], schema=wide.schema)
        version = tables.commit(wide, Change(change, without(*gone.tolist())), at=number, key_ns=number)
    read = pa.Table.from_batches(tables.rows({wide.path: version}).batches(wide, ("sv", "body")))
    result = np.full(count, -1)
    result[read["sv"].to_numpy()] = read["body"].to_numpy()
    assert len(read) == np.count_nonzero(model >= 0)
    assert (result == model).all()
    assert tables.files(wide.path, version) > 1


def point(x: int, y: int, **more: Any) -> dict[str, Any]:
    nothing = {
        "kind": "Note",
        "tags": None,
        "prop": None,
        "rels": None,
        "value": None,
        "checked": None,
        "score": None,
    }
    return {"x": x, "y": y, **nothing, **more}


def test_all_types_come_back_as_they_were(tables: DeltaTables) -> None:
    full = point(
        1,
        -2,
        kind="ü \"quoted' \n",
        tags=["a", None, ""],
        prop=[("k", "v"), ("", None)],
        rels=[{"rel": "PreSynTo", "x": 2**31 - 1}, {"rel": None, "x": None}],
        value=b"\x00\xff",
        checked=False,
        score=0.1,
    )
    content = [full, point(1, 2), point(-(2**31), 2, tags=[], prop=[], rels=[])]
    version = tables.create(POINTS, batches(POINTS, content))
    assert held(tables, POINTS, version) == content
    gone = pa.table({"x": pa.array([1], pa.int32()), "y": pa.array([2], pa.int32())})
    changed = [full | {"score": None}, point(7, 7, value=b"")]
    version = tables.commit(POINTS, Change(rows(POINTS, changed), gone), at=1, key_ns=1)
    assert sorted(held(tables, POINTS, version), key=str) == sorted(
        [changed[0], content[2], changed[1]], key=str
    )
    found = tables.rows({POINTS.path: version}).find(POINTS, "kind", ["ü \"quoted' \n", "nothing"])
    assert found.to_pylist() == changed[:1]


def test_chosen_columns_are_read(tables: DeltaTables) -> None:
    version = tables.create(MAPPING, batches(MAPPING, mapping({1: 2, 3: 4}).to_pylist()))
    [batch] = tables.rows({MAPPING.path: version}).batches(MAPPING, ("body",))
    assert batch.to_pydict() == {"body": [2, 4]}


def test_what_has_no_key_only_grows(tables: DeltaTables) -> None:
    def edit(number: int) -> dict[str, Any]:
        return {"log_time": datetime(2026, 1, 1, 0, 0, number, 7, UTC), "action": "merge", "body": None}

    version = tables.create(EDITS, batches(EDITS, []))
    assert held(tables, EDITS, version) == []
    for number in range(3):
        version = tables.commit(EDITS, Change(rows(EDITS, [edit(number)])), at=number, key_ns=number)
    for at in (version, tables.compact(EDITS.path)):
        assert sorted(held(tables, EDITS, at), key=itemgetter("log_time")) == [edit(0), edit(1), edit(2)]


def test_a_change_of_nothing_is_no_commit(tables: DeltaTables) -> None:
    version = tables.create(MAPPING, batches(MAPPING, []))
    assert tables.commit(MAPPING, Change(mapping({})), at=1, key_ns=1) == version
    assert tables.restore(MAPPING.path, version) == version


@pytest.mark.parametrize("there", [{}, {1: 1}])
def test_what_is_to_go_can_be_away_already(tables: DeltaTables, there: dict[int, int]) -> None:
    tables.create(MAPPING, iter(mapping(there).to_batches()))
    version = tables.commit(MAPPING, Change(mapping({}), without(7)), at=1, key_ns=1)
    assert held(tables, MAPPING, version) == mapping(there).to_pylist()
    version = tables.commit(MAPPING, Change(mapping({2: 2})), at=2, key_ns=2)
    now = mapping({**there, 2: 2}).to_pylist()
    assert sorted(held(tables, MAPPING, version), key=itemgetter("sv")) == now


def test_the_log_tells_readers_of_columns_keys_and_runs(tables: DeltaTables, tmp_path: Path) -> None:
    tables.create(MAPPING, batches(MAPPING, []))
    tables.commit(MAPPING, Change(mapping({1: 1})), at=7, key_ns=123)
    delta = DeltaTable(tmp_path / "master/segmentation/mapping")
    assert delta.metadata().description == "One supervoxel."
    assert [(field.name, field.nullable, field.metadata) for field in delta.schema().fields] == [
        ("sv", False, {"comment": "the supervoxel"}),
        ("body", False, {"comment": "the body that it is in"}),
    ]
    newest = delta.history(1)[0]
    assert (newest["dvidsync.key"], newest["dvidsync.epoch"]) == ("123", "1")
    assert delta.transaction_version(APP) == 7


def test_a_table_can_be_written_anew_from_what_it_holds(tables: DeltaTables) -> None:
    version = tables.create(
        MAPPING, batches(MAPPING, mapping(dict.fromkeys(range(1000), 1)).to_pylist(), 100)
    )
    at = tables.rows({MAPPING.path: version})

    def doubled() -> Iterator[pa.RecordBatch]:
        for batch in at.batches(MAPPING):
            [body] = at.find(MAPPING, "sv", [7])["body"].to_pylist()
            yield pa.record_batch([batch["sv"], pc.add(batch["body"], body)], schema=MAPPING.schema)

    assert mapped(tables, tables.create(MAPPING, doubled())) == dict.fromkeys(range(1000), 2)


# In order


def spans(folder: Path) -> list[tuple[int, int]]:
    """The least and the greatest supervoxel in each file of the mapping, as its log tells."""
    told = pa.table(DeltaTable(folder / "master/segmentation/mapping").get_add_actions(flatten=True))
    return sorted(zip(told["min.sv"].to_pylist(), told["max.sv"].to_pylist(), strict=True))


def in_files(folder: Path, table: Table, column: str) -> list[list[int]]:
    """A column in each file of a table, as it stands there."""
    uris = DeltaTable(folder / "master" / table.path).file_uris()
    return [pq.read_table(uri.removeprefix("file://"))[column].to_pylist() for uri in uris]


def test_rows_are_in_the_order_of_the_key_after_compaction(tables: DeltaTables, tmp_path: Path) -> None:
    chance = np.random.default_rng(5)
    model = {100: 1, 200: 1}
    tables.create(MAPPING, batches(MAPPING, mapping(model).to_pylist()))
    for number in range(12):
        some = {int(sv): number for sv in chance.integers(0, 300, 5)}
        model |= some
        tables.commit(MAPPING, Change(mapping(some)), at=number, key_ns=number)
    version = tables.compact(MAPPING.path)
    assert mapped(tables, version) == model
    assert in_files(tmp_path, MAPPING, "sv") == [sorted(model)]


def test_new_rows_come_where_their_keys_are(tables: DeltaTables, tmp_path: Path) -> None:
    """So that a file goes on holding a span of keys, and a change touches few files."""
    wide = later(*MAPPING.columns, Column("noise", pa.binary(), "noise", nullable=True))
    chance = np.random.default_rng(1)
    first = [{"sv": sv, "body": 1, "noise": chance.bytes(3_000)} for sv in range(0, 40_000, 2)]
    tables.create(wide, batches(wide, first, 500))
    assert len(spans(tmp_path)) > 2
    new = [{"sv": sv, "body": 2, "noise": b""} for sv in (1, 3, 39_001)]
    moved = [{"sv": sv, "body": 3, "noise": b""} for sv in (0, 38_000)]
    version = tables.commit(wide, Change(rows(wide, [*new, *moved])), at=1, key_ns=1)
    assert all(most - least < 18_000 for least, most in spans(tmp_path)), spans(tmp_path)
    assert len(held(tables, MAPPING, version)) == 20_003


def test_what_only_grows_stays_in_the_order_in_which_it_was_written(
    tables: DeltaTables, tmp_path: Path
) -> None:
    tables.create(EDITS, batches(EDITS, []))
    for number in range(6):
        row = {"log_time": datetime(2026, 1, 9 - number, tzinfo=UTC), "action": "merge", "body": number}
        tables.commit(EDITS, Change(rows(EDITS, [row])), at=number, key_ns=number)
    tables.compact(EDITS.path)
    assert in_files(tmp_path, EDITS, "body") == [list(range(6))]


# What does not fit


def test_a_label_from_2_to_the_63_up_is_refused_and_nothing_is_changed(tables: DeltaTables) -> None:
    version = tables.create(MAPPING, batches(MAPPING, mapping({1: LARGEST}).to_pylist()))
    assert mapped(tables, version) == {1: LARGEST}
    large = pa.table({"sv": pa.array([2, 2**63], pa.uint64()), "body": pa.array([1, 2**64 - 1], pa.uint64())})
    with pytest.raises(
        Unfit, match="segmentation/mapping: the column sv does not fit: Integer value 9223372036854775808"
    ):
        tables.commit(MAPPING, Change(large), at=1, key_ns=1)
    with pytest.raises(Unfit):
        tables.create(MAPPING, iter(large.to_batches()))
    assert mapped(tables, tables.restore(MAPPING.path, version)) == {1: LARGEST}


@pytest.mark.parametrize("body", [None, 1.5, "many"])
def test_a_value_of_another_type_is_refused(tables: DeltaTables, body: object) -> None:
    version = tables.create(MAPPING, batches(MAPPING, []))
    with pytest.raises(Unfit):
        tables.commit(MAPPING, Change(pa.table({"sv": [1], "body": [body]})), at=1, key_ns=1)
    with pytest.raises(Unfit):
        tables.commit(MAPPING, Change(pa.table({"sv": [1]})), at=1, key_ns=1)
    assert mapped(tables, version) == {}


@pytest.mark.parametrize("type_", [pa.uint64(), pa.timestamp("ns", "UTC"), pa.large_string()])
def test_a_column_that_readers_of_delta_cannot_read_is_refused(
    tables: DeltaTables, type_: pa.DataType
) -> None:
    table = Table("x", "One x.", (Column("x", type_, "x"),), ("x",))
    with pytest.raises(TypeError, match="Delta has no"):
        tables.create(table, iter([]))


def test_a_key_comes_once_in_a_change(tables: DeltaTables) -> None:
    tables.create(MAPPING, batches(MAPPING, []))
    twice = pa.concat_tables([mapping({1: 1}), mapping({1: 2})])
    with pytest.raises(ValueError, match="a key twice"):
        tables.commit(MAPPING, Change(twice), at=1, key_ns=1)
    with pytest.raises(ValueError, match="a key twice"):
        tables.commit(MAPPING, Change(mapping({1: 1}), without(1)), at=1, key_ns=1)


# Columns that change


def later(*columns: Column) -> Table:
    return Table(MAPPING.path, MAPPING.text, columns, MAPPING.key)


SIZE = Column("size", pa.string(), "how large; none: unknown", nullable=True)


def test_a_column_can_come_later_and_its_text_can_change(tables: DeltaTables, tmp_path: Path) -> None:
    first = tables.create(MAPPING, batches(MAPPING, mapping({1: 1, 2: 2}).to_pylist()))
    wide = later(*MAPPING.columns, SIZE)
    change = rows(wide, [{"sv": 2, "body": 5, "size": "large"}, {"sv": 3, "body": 3, "size": None}])
    version = tables.commit(wide, Change(change), at=1, key_ns=1)
    everything = [
        {"sv": 1, "body": 1, "size": None},
        {"sv": 2, "body": 5, "size": "large"},
        {"sv": 3, "body": 3, "size": None},
    ]
    assert sorted(held(tables, wide, version), key=str) == everything
    assert held(tables, wide, first) == [
        {"sv": 1, "body": 1, "size": None},
        {"sv": 2, "body": 2, "size": None},
    ]
    texts = later(*MAPPING.columns, Column("size", pa.string(), "in words", nullable=True))
    version = tables.commit(texts, Change(rows(texts, [])[:0], without(3)), at=2, key_ns=2)
    assert sorted(held(tables, texts, version), key=str) == everything[:2]
    delta = DeltaTable(tmp_path / "master/segmentation/mapping")
    assert [field.metadata["comment"] for field in delta.schema().fields][-1] == "in words"
    again = tables_at(tmp_path, epoch=2)
    again.restore(MAPPING.path, first)
    delta = DeltaTable(tmp_path / "master/segmentation/mapping")
    assert [field.name for field in delta.schema().fields] == ["sv", "body"]


def test_all_columns_and_texts_change_with_one_commit(tables: DeltaTables, tmp_path: Path) -> None:
    version = tables.create(MAPPING, batches(MAPPING, mapping({1: 1}).to_pylist()))
    told = later(
        *(Column(each.name, each.type, f"{each.text}, anew") for each in MAPPING.columns),
        SIZE,
        Column("b", pa.int32(), "the b", nullable=True),
    )
    row = rows(told, [{"sv": 2, "body": 5, "size": "large", "b": 3}])
    assert tables.commit(told, Change(row), at=1, key_ns=1) == version + 2  # the columns, then the rows
    delta = DeltaTable(tmp_path / "master/segmentation/mapping")
    assert [Column.of(field) for field in pa.schema(delta.schema().to_arrow())] == list(told.columns)
    assert delta.metadata().description == MAPPING.text
    assert held(tables, MAPPING, version) == [{"sv": 1, "body": 1}]
    texts = later(*(Column(each.name, each.type, "x", each.nullable) for each in told.columns))
    again = tables_at(tmp_path, epoch=2)
    again.restore(MAPPING.path, version + 2)
    assert again.commit(texts, Change(rows(texts, [])[:0], without(1)), at=2, key_ns=2) == version + 4
    newest = DeltaTable(tmp_path / "master/segmentation/mapping")
    assert [field.metadata["comment"] for field in newest.schema().fields] == 4 * ["x"]
    assert newest.transaction_version(f"{APP}/epoch") == 2
    assert [each["dvidsync.epoch"] for each in newest.history()] == ["2", "2", "1", "1", "1"]
    assert held(again, texts, version + 4) == [{"sv": 2, "body": 5, "size": "large", "b": 3}]


def test_a_column_that_is_no_more_is_emptied(tables: DeltaTables) -> None:
    wide = later(*MAPPING.columns, SIZE)
    tables.create(wide, batches(wide, [{"sv": 1, "body": 1, "size": "a"}, {"sv": 2, "body": 2, "size": "b"}]))
    version = tables.commit(MAPPING, Change(mapping({1: 7, 3: 3})), at=1, key_ns=1)
    assert {row["sv"]: row["size"] for row in held(tables, wide, version)} == {1: None, 2: "b", 3: None}


def test_a_column_of_another_type_asks_for_a_new_table(tables: DeltaTables) -> None:
    tables.create(MAPPING, batches(MAPPING, []))
    other = later(MAPPING.columns[0], Column("body", pa.string(), "in words"))
    with pytest.raises(Unfit, match="the column body holds int64, and string is to be written"):
        tables.commit(other, Change(rows(other, [{"sv": 1, "body": "x"}])), at=1, key_ns=1)
    version = tables.create(other, batches(other, [{"sv": 1, "body": "x"}]))
    assert held(tables, other, version) == [{"sv": 1, "body": "x"}]


@pytest.mark.parametrize("name", ["bodyId", "a b", "x.y", 'q"t', "b`k", "ü", "select", "here", "new", "'"])
def test_a_column_can_have_any_name(tables: DeltaTables, name: str) -> None:
    table = Table("x", "One x.", (Column(name, pa.int64(), "x"), Column("v", pa.int64(), "v")), (name,))
    tables.create(table, batches(table, [{name: 1, "v": 1}, {name: 2, "v": 2}]))
    gone = pa.table({name: [1]})
    version = tables.commit(table, Change(rows(table, [{name: 2, "v": 9}]), gone), at=1, key_ns=1)
    assert held(tables, table, version) == [{name: 2, "v": 9}]
    assert tables.rows({"x": version}).find(table, name, [2]).to_pylist() == [{name: 2, "v": 9}]


@pytest.mark.parametrize("name", ["a b", "x%2F/y", "~", "..", "_x", "ü#?*"])
def test_branches_and_instances_can_have_any_name(tmp_path: Path, name: str) -> None:
    bucket = Bucket.at(str(tmp_path / "a b#c%d"))
    table = Table(f"{name}/mapping", MAPPING.text, MAPPING.columns, MAPPING.key)
    here = DeltaTables(bucket, name, app=APP, epoch=1)
    here.create(table, batches(table, [{"sv": 1, "body": 1}]))
    version = here.commit(table, Change(mapping({2: 2})), at=1, key_ns=1)
    assert len(held(here, table, version)) == 2
    assert all(path.startswith("~") or path[0].isalnum() for path in bucket.names())
