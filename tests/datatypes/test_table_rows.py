"""Rows on their way into a table."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.datatypes import table_rows
from dvidsync_dagster.datatypes.table_rows import bounded, kept, keys, whole_pairs
from dvidsync_dagster.dvid.patience import MIB
from dvidsync_dagster.snapshot.table import Column, Table

TABLE = Table(
    "a table",
    "A row.",
    (
        Column("key", pa.int64(), "its key"),
        Column("more", pa.string(), "the other half of its key"),
        Column("value", pa.binary(), "its value", nullable=True),
    ),
    ("key", "more"),
)


@given(st.lists(st.integers(0, 30)), st.integers(1, 5), st.integers(1, 40))
def test_lists_are_bounded_by_number_and_by_size(sizes: list[int], rows: int, together: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(table_rows, "ROWS", rows)
        patched.setattr(table_rows, "BYTES", together)
        found = list(bounded(sizes, lambda size: size))
    assert [size for some in found for size in some] == sizes
    assert all(some and len(some) <= rows for some in found)
    assert all(sum(some) <= together or len(some) == 1 for some in found)


@pytest.mark.parametrize("in_memory", [0, 3 * MIB, 64 * MIB])
def test_a_change_is_whole_wherever_it_is_kept(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(table_rows, "IN_MEMORY", in_memory)

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(5):
            values = [None, bytes([number]) * MIB]
            yield pa.record_batch(
                [[number, -number], ["a", "b"], pa.array(values, pa.binary())], TABLE.schema
            )

    rows = kept(TABLE, batches())
    assert rows.schema.equals(TABLE.schema, check_metadata=True)
    assert rows["key"].to_pylist() == [sign * number for number in range(5) for sign in (1, -1)]
    assert [value[:1] for value in rows["value"].to_pylist() if value] == [bytes([n]) for n in range(5)]


def test_no_rows_are_a_table_too() -> None:
    assert kept(TABLE, iter(())).schema == TABLE.schema
    assert keys(TABLE, []).schema.names == ["key", "more"]
    assert keys(TABLE, [(1, "a"), (2, "b")]).to_pylist() == [{"key": 1, "more": "a"}, {"key": 2, "more": "b"}]


def test_half_of_a_pair_is_what_go_makes_of_it() -> None:
    assert whole_pairs("a\udc80b\ud800 \U0001f9e0") == "a\ufffdb\ufffd \U0001f9e0"
