"""A snapshot with columns of all kinds, and its rows as whatever library gives them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

import dvidsync_dagster.snapshot
from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.lines import Library
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Column, Table
from tests.snapshot.followed import EDITS, KEYS, LARGE, MAPPING, TABLES, Follower, hour

ELEMENTS = Table(
    "synapses",
    "One element.",
    (
        Column("x", pa.int32(), "place"),
        Column("tags", pa.list_(pa.string()), "its tags"),
        Column("prop", pa.map_(pa.string(), pa.string()), "its properties"),
        Column("rels", pa.list_(pa.struct([("rel", pa.string()), ("x", pa.int32())])), "its relations"),
    ),
    ("x",),
)
CONTENT: dict[str, list[dict[str, Any]]] = {
    MAPPING.path: [{"sv": 1, "body": 1}, {"sv": LARGE, "body": 2**63 - 1}],
    EDITS.path: [{"log_time": hour(1), "sv": LARGE, "body_before": LARGE, "body_after": None}],
    KEYS.path: [{"key": "ä ", "value": b"\0"}],
    ELEMENTS.path: [
        {"x": 1, "tags": ["a"], "prop": {"conf": "0.5"}, "rels": [{"rel": "PreSynTo", "x": 2}]},
        {"x": 2, "tags": [], "prop": {}, "rels": []},
    ],
}


def write(bucket: Bucket, branch: str = "master") -> None:
    """The snapshot at hour 1, which holds `CONTENT`."""
    Follower(bucket, (*TABLES, ELEMENTS), branch).first(
        hour(1), {path: [_for_arrow(row) for row in rows] for path, rows in CONTENT.items()}
    )


def open_then_go_on(uri: str, branch: str = "master") -> Dataset:
    """What a reader has opened at hour 1; the tables are at hour 2 then."""
    follower = Follower(Bucket.at(uri), (*TABLES, ELEMENTS), branch)
    dataset = dvidsync_dagster.snapshot.open(uri, branch=branch)
    follower.new_run()
    follower.chunk(hour(2), {MAPPING.path: [{"sv": 1, "body": 7}], KEYS.path: [{"key": "b", "value": b""}]})
    return dataset


def _for_arrow(row: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value.items()) if isinstance(value, dict) else value for name, value in row.items()}


def rows(df: Any) -> list[Any]:
    """Whatever a library makes of a table, as Python has it."""
    match df:
        case pd.DataFrame():
            found = pa.Table.from_pandas(df, preserve_index=False).to_pylist()
        case duckdb.DuckDBPyRelation():
            found = df.arrow().read_all().to_pylist()
        case pl.DataFrame():
            found = df.to_dicts()
        case _:  # a frame of Spark
            found = [row.asDict(recursive=True) for row in df.collect()]
    return sorted(({name: _plain(name, value) for name, value in row.items()} for row in found), key=repr)


def _plain(name: str, value: Any) -> Any:
    if name == "prop":
        pairs = value.items() if isinstance(value, dict) else value
        return {(pair["key"], pair["value"]) if isinstance(pair, dict) else tuple(pair) for pair in pairs}
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return bytes(value) if isinstance(value, bytearray) else value


WANTED = {
    path: sorted(({name: _plain(name, value) for name, value in row.items()} for row in held), key=repr)
    for path, held in CONTENT.items()
}


def run(source: str, **known: Any) -> Any:
    """The `df` that a line makes."""
    exec(source, known)
    return known["df"]


def check(dataset: Dataset, library: Library, **known: Any) -> None:
    """The lines for a library give what the dataset holds at hour 1."""
    lines = dataset.lines(library)
    assert set(lines) == set(dataset)
    for path, wanted in WANTED.items():
        assert "\n" not in lines[path]
        assert rows(run(lines[path], **known)) == wanted, lines[path]
