"""What the README inside a bucket says is so: its lines are run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import dvidsync_dagster.snapshot
from dvidsync_dagster.snapshot.pointer import BranchState, Pin, Pointer, Snapshot, TableState
from dvidsync_dagster.snapshot.points import POINTS, nanoseconds
from dvidsync_dagster.snapshot.readme import readme
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Column, Table
from tests.snapshot.followed import MAPPING, REPO, TABLES, Follower, hour
from tests.snapshot.read_by import CONTENT, ELEMENTS, WANTED, check, rows, run, write

HELD = (*TABLES, ELEMENTS, POINTS)


def blocks(text: str) -> list[list[str]]:
    """The lines of each block of Python, without comments."""
    found = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    return [[line for line in block.splitlines() if not line.startswith("#")] for block in found]


@pytest.fixture
def text(tmp_path: Path) -> str:
    bucket = Bucket.at(str(tmp_path))
    write(bucket)
    snapshot = Pointer.load(bucket)
    assert snapshot is not None
    return readme(bucket.uri, snapshot, {"master": HELD})


def test_its_lines_read_the_tables_whatever_is_written_later(text: str, tmp_path: Path) -> None:
    follower = Follower(Bucket.at(str(tmp_path)), (*TABLES, ELEMENTS))
    follower.new_run()
    follower.chunk(hour(2), {MAPPING.path: [{"sv": 1, "body": 7}]})
    headings = re.findall(r"^### (\S+)$", text, re.M)
    tables = blocks(text)[1:]
    assert len(headings) == len(tables) == len(HELD)
    for heading, lines in zip(headings, tables, strict=True):
        path = heading.replace("\\", "")
        assert len(lines) == 4
        for line in lines:
            if not line.startswith("df = spark") and path in WANTED:
                assert rows(run(line)) == WANTED[path], line


def test_its_line_for_the_newest_moment_opens_it(text: str) -> None:
    [line] = blocks(text)[0]
    known: dict[str, Any] = {}
    exec(line, known)
    check(known["dataset"], "polars")
    for code in ('dataset["segmentation/mapping"]', 'dataset.lines("polars")'):
        assert f"`{code}`" in text
        assert len(eval(code, known))


def test_it_says_what_each_table_and_column_holds(text: str) -> None:
    plain = text.replace("\\", "")
    for table in HELD:
        assert f"### {table.path}\n" in plain
        for column in table.columns:
            assert f"| `{column.name}` | `{column.type}`" in plain
            assert column.text in plain
    assert f"| `notes` | {len(CONTENT['notes'])} | 0 | One key. |" in plain
    assert "Log time 2026-11-01T01:00:00+00:00, version" in text
    assert "or none |" in text
    assert "Committed versions" not in text


def test_names_that_people_gave_do_not_break_it() -> None:
    name = "a`b|c\n# d </p> {0}"
    table = Table("n`|\no", name, (Column(name, pa.int64(), name),), (name,))
    state = BranchState(uuid=name, log_time_ns=0, tables={table.path: TableState(version=3, rows=4)})
    pins = {name: Pin(branch=name, tables={table.path: 3})}
    snapshot = Snapshot(repo=REPO, epoch=1, branches={name: state, "b": state}, pins=pins)
    text = readme('/a "b"', snapshot, {name: (table,), "b": ()})
    assert "Committed versions" in text
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            assert len(cells) in (3, 4), line
        assert not line.startswith("# d")
    for line in blocks(text)[1]:
        compile(line, "README.md", "exec")


def test_it_is_the_same_for_the_same_snapshot_and_needs_no_tables() -> None:
    state = BranchState(
        uuid="a", log_time_ns=nanoseconds(hour(1)), tables={"x": TableState(version=0, rows=1)}
    )
    snapshot = Snapshot(repo=REPO, epoch=1, branches={"master": state})
    assert readme("gs://b", snapshot, {}) == readme("gs://b", snapshot, {})
    assert "| `x` | 1 | 0 |  |" in readme("gs://b", snapshot, {})
    assert dvidsync_dagster.snapshot.__all__ == ["open"]
