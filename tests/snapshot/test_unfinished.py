"""Of a table's log nothing is deleted but what is seen to be the beginning of a first commit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dvidsync_dagster.errors import StorageError
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.unfinished import is_unfinished
from tests.snapshot.test_delta import mapped, tables_at
from tests.snapshot.test_delta_runs import FOLDER, PATH, created

FIRST = "00000000000000000000.json"
PROTOCOL = b'{"protocol":{"minReaderVersion":1}}\n'
METADATA = b'{"metaData":{"id":"x"}}\n'


def is_leftover(folder: Path, **files: bytes) -> bool:
    bucket = Bucket.at(str(folder))
    for name, content in files.items():
        bucket.write(f"t/_delta_log/{name.replace('_json', '.json')}", content)
    return is_unfinished(bucket.names("t/_delta_log"), bucket.read)


@pytest.mark.parametrize(
    "commit",
    [b"", b"{", b"\0\0\0\0", PROTOCOL, METADATA, b'{"commitInfo":{}}\n', PROTOCOL + METADATA + b'{"add":'],
)
def test_a_first_commit_that_ends_too_early_is_a_leftover(tmp_path: Path, commit: bytes) -> None:
    assert is_leftover(tmp_path, **{FIRST: commit})


@pytest.mark.parametrize(
    "files",
    [
        {FIRST: PROTOCOL + METADATA},
        {FIRST: PROTOCOL + b"garbage\n" + METADATA},
        {FIRST: b"{", f"{1:020d}.json": b"{"},
        {f"{1:020d}.json": b"{"},
        {FIRST: b"{", "_last_checkpoint": b"{}"},
        {FIRST: b"{", "notes.txt": b"mine"},
    ],
)
def test_all_else_is_none(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert not is_leftover(tmp_path, **files)


def test_temporary_files_alone_are_a_leftover(tmp_path: Path) -> None:
    assert is_leftover(tmp_path, **{f"{FIRST}#1": b"{", "_commit_0a-1.json.tmp": b""})


def log_of(folder: Path) -> Path:
    return folder / FOLDER / "_delta_log" / FIRST


def changed(log: Path, action: str, **fields: Any) -> bytes:
    """The log with other fields in one of its actions."""
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    for line in lines:
        line.get(action, {}).update(fields)
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@pytest.mark.parametrize("known", [True, False])
def test_a_table_that_cannot_be_opened_for_an_unknown_reason_is_left_as_it_is(
    tmp_path: Path, known: bool
) -> None:
    """Such as one that a newer program has written."""
    version = created(tables_at(tmp_path), {1: 1})
    log = log_of(tmp_path)
    before = log.read_bytes()
    there = changed(log, "protocol", minReaderVersion=99, minWriterVersion=99)
    tables = tables_at(tmp_path, 2)
    if known:
        tables.restore(PATH, version)
    log.write_bytes(there)
    with pytest.raises(StorageError) as raised:
        created(tables, {2: 2})
    assert "elete the snapshot" not in str(raised.value)
    assert log.read_bytes() == there
    log.write_bytes(before)
    assert mapped(tables_at(tmp_path, 3), version) == {1: 1}


def test_the_log_of_a_table_that_the_snapshot_names_is_never_taken_for_a_leftover(tmp_path: Path) -> None:
    version = created(tables_at(tmp_path), {1: 1})
    tables = tables_at(tmp_path, 2)
    tables.restore(PATH, version)
    log = log_of(tmp_path)
    log.write_bytes(b"{")
    with pytest.raises(StorageError):
        created(tables, {2: 2})
    assert log.read_bytes() == b"{"
