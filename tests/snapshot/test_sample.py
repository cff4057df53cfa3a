"""A sample of a table costs little, however large its values are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from dvidsync_dagster.snapshot.delta import DeltaTables
from dvidsync_dagster.snapshot.reporting import report
from dvidsync_dagster.snapshot.sample import sample
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import SAMPLE, Column, Table, TableReport

MIB = 1 << 20
VALUES = Table(
    "keys",
    "A key.",
    (
        Column("key", pa.string(), "The key."),
        Column("value", pa.binary(), "Its value.", nullable=True),
        Column("json", pa.string(), "The same.", nullable=True),
        Column("rels", pa.list_(pa.struct([("to", pa.int32())])), "Relations."),
    ),
    ("key",),
)


def rows(values: list[bytes | None], json: list[str | None], rels: list[list[int]]) -> pa.Table:
    return pa.table(
        {
            "key": [f"k{number}" for number in range(len(values))],
            "value": values,
            "json": json,
            "rels": [[{"to": each} for each in some] for some in rels],
        },
        VALUES.schema,
    )


def reported(folder: Path, held: pa.Table) -> TableReport:
    """What is told of a table with these rows."""
    bucket = Bucket.at(str(folder))
    tables = DeltaTables(bucket, "master", app="test", epoch=1)
    version = tables.create(VALUES, iter(held.to_batches()))
    return report(bucket, "master", "keys", tables.at("keys", version), branch_version="", rows=len(held))


def test_ordinary_rows_are_as_they_are(tmp_path: Path) -> None:
    held = rows([b"1", None, b"3"], ["1", None, "3"], [[1, 2], [], [3]])
    assert sample(held).to_pylist() == held.to_pylist()
    assert sorted(reported(tmp_path, held).sample.to_pylist(), key=str) == held.to_pylist()
    many = rows([b"1"] * 50, ["1"] * 50, [[1]] * 50)
    assert len(sample(many)) == len(reported(tmp_path / "many", many).sample) == SAMPLE


def test_large_values_are_cut_or_told_of() -> None:
    held = rows([b"x" * 5000, b"1", None], ["é" * 5000, "1", None], [list(range(5000)), [1], []])
    shown = sample(held).to_pylist()
    assert [row["value"] for row in shown] == ["5,000 bytes", "1 byte", None]
    assert shown[0]["json"].startswith("ééé")
    assert len(shown[0]["json"]) < 500
    assert [row["json"] for row in shown[1:]] == ["1", None]
    assert shown[0]["rels"].endswith(" bytes")
    assert [row["rels"] for row in shown[1:]] == ["[{'to': 1}]", "[]"]


def test_a_sample_keeps_no_other_row_in_memory() -> None:
    held = rows([b"1"] * 100_000, ["1"] * 100_000, [[1]] * 100_000)
    assert sum(column.get_total_buffer_size() for column in sample(held).columns) < 10_000


REPORTS = """
import sys
import pyarrow as pa
from dvidsync_dagster.snapshot.opening import opened
from dvidsync_dagster.snapshot.reporting import report
from dvidsync_dagster.snapshot.store import Bucket

bucket = Bucket.at(sys.argv[1])
told = report(bucket, "master", "keys", opened(bucket, "master", "keys"), branch_version="", rows=2)
assert {row["value"] for row in told.sample.to_pylist()} == {"too large to be shown"}
assert {row["json"] for row in told.sample.to_pylist()} <= {"1", "2"}
print(pa.default_memory_pool().max_memory())
"""


def test_no_large_value_is_loaded_for_a_report(tmp_path: Path) -> None:
    reported(tmp_path, rows([os.urandom(40 * MIB), bytes(40 * MIB)], ["1", "2"], [[1], [2]]))
    # Another process: this one has held the values.
    asked = [sys.executable, "-c", REPORTS, str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 10 * MIB


def test_a_table_without_rows_has_an_empty_sample(tmp_path: Path) -> None:
    told = reported(tmp_path, VALUES.schema.empty_table())
    assert (len(told.sample), told.sample.column_names) == (0, VALUES.schema.names)
    assert sample(VALUES.schema.empty_table()).column_names == VALUES.schema.names
