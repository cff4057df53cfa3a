"""What the README inside a bucket says is so: its lines are run as they stand."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import dvidsync_dagster.snapshot
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.pointer import BranchState, Pin, Pointer, Snapshot, TableState
from dvidsync_dagster.snapshot.points import POINTS, nanoseconds
from dvidsync_dagster.snapshot.readme import readme
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Column, Table
from tests.snapshot.followed import MAPPING, REPO, TABLES, Follower, hour
from tests.snapshot.read_by import CONTENT, ELEMENTS, WANTED, check, rows, run, write

HOSTILE = st.text(st.sampled_from('ab1 ./:()_-\\`*{}[]<>#+!|~&@$="\n\u202ewé'), min_size=1, max_size=25).map(
    lambda text: f"n{text}"
)
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
    assert f"Up to version `{'a' * 32}`." in text
    assert "or none |" in text
    assert "Committed versions" not in text


def test_names_that_people_gave_do_not_break_it() -> None:
    name = "a`b|c\n# d </p> {0}"
    table = Table("n`|\no", name, (Column(name, pa.int64(), name),), (name,))
    state = BranchState(uuid=name, log_time_ns=0, tables={table.path: TableState(version=3, rows=4)})
    pins = {name: Pin(branch=name, log_time_ns=0, tables={table.path: 3})}
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


@given(HOSTILE, HOSTILE)
@example("![x](http://evil)", "<script>")
@example("www.evil.example", "a|b`c")
@settings(max_examples=40)
def test_no_name_makes_a_link_or_a_column_or_html(name: str, other: str) -> None:
    path = f"x{name}".replace("/", "|")
    table = Table(path, other, (Column(name, pa.int64(), other),), (name,))
    state = BranchState(uuid=other, log_time_ns=0, tables={table.path: TableState(version=3, rows=4)})
    snapshot = Snapshot(repo=other, epoch=1, branches={name: state})
    seen = Seen()
    seen.feed(MarkdownIt("commonmark").enable("table").render(readme("gs://b", snapshot, {name: (table,)})))
    assert seen.tags == {
        "h1",
        "h2",
        "h3",
        "p",
        "a",
        "code",
        "pre",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert seen.links == ["https://delta.io"]
    assert seen.cells == [4, 4, 3, 3]
    headings = [f"A snapshot of DVID repo {other}", f"Branch {name}", path]
    assert [" ".join(each.split()) for each in seen.headings] == [
        " ".join(escaped(each).split()) for each in (headings[0], *CHAPTERS, headings[1], headings[2])
    ]


CHAPTERS = ("What is consistent with what", "How it is read")


class Seen(HTMLParser):
    """What a reader of a page sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.cells: list[int] = []
        self.headings: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name == "href"]
        if tag == "tr":
            self.cells.append(0)
        if tag in ("td", "th"):
            self.cells[-1] += 1
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.headings[-1] += data


@pytest.mark.parametrize("branch", ["master", "neu3", 'a"b', "ü\U0001f600"])
def test_its_line_opens_the_branch_that_is_there(tmp_path: Path, branch: str) -> None:
    follower = Follower(Bucket.at(str(tmp_path)), branch=branch)
    follower.first(hour(1), {})
    snapshot = Pointer.load(follower.bucket)
    assert snapshot is not None
    [line] = blocks(readme(str(tmp_path), snapshot, {}))[0]
    known: dict[str, Any] = {}
    exec(line, known)
    assert known["dataset"].branch == branch
    assert ("branch=" in line) == (branch != "master")


def test_what_only_moves_the_log_time_changes_nothing() -> None:
    state = BranchState(uuid="a", log_time_ns=1, tables={"x": TableState(version=0, rows=1)})
    snapshots = [
        Snapshot(
            repo=REPO, epoch=number, branches={"master": state.model_copy(update={"log_time_ns": number})}
        )
        for number in (1, 2)
    ]
    assert len({readme("gs://b", each, {}) for each in snapshots}) == 1


def test_it_is_the_same_for_the_same_snapshot_and_needs_no_tables() -> None:
    state = BranchState(
        uuid="a", log_time_ns=nanoseconds(hour(1)), tables={"x": TableState(version=0, rows=1)}
    )
    snapshot = Snapshot(repo=REPO, epoch=1, branches={"master": state})
    assert readme("gs://b", snapshot, {}) == readme("gs://b", snapshot, {})
    assert "| `x` | 1 | 0 |  |" in readme("gs://b", snapshot, {})
    assert dvidsync_dagster.snapshot.__all__ == ["open"]
