"""The table of a branch's versions: the same by the log as from scratch, and never ahead of the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.datatypes.repo.snapshot import PATH, VersionsSnapshot
from dvidsync_dagster.errors import ServerFailed
from tests.datatypes.edits import in_pieces
from tests.datatypes.memory_tables import MemoryTables, filled
from tests.datatypes.source_log import SourceLog, sandbox_log


@pytest.fixture
def log(tmp_path: Path, broker: EmbeddedBroker, made: tuple[Path, str]) -> Iterator[SourceLog]:
    with sandbox_log(tmp_path, broker.address, made) as opened:
        yield opened


def side(log: SourceLog, branch: str = "master") -> VersionsSnapshot:
    return VersionsSnapshot(log.client, log.root, branch)


def begun(log: SourceLog) -> MemoryTables:
    """With the root, which is committed."""
    log.post("commit", {"note": "first", "log": ["one", "two"]})
    log.new_events()
    return filled(side(log), log.root)


def locked(tables: MemoryTables) -> dict[str, bool]:
    return {uuid: row["locked"] for (uuid,), row in tables.rows(PATH).items()}


def child(log: SourceLog, parent: str, **about: str) -> str:
    endpoint = "branch" if "branch" in about else "tag" if "tag" in about else "newversion"
    return str(at(log, parent).post(endpoint, {"note": "child", **about})["child"])


def at(log: SourceLog, version: str) -> SourceLog:
    return SourceLog(log.server, log.root, version)


def test_a_committed_version_and_what_it_comes_from(log: SourceLog) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    log.post("commit", {"note": "first", "log": ["one", "two"]})
    second = child(log, log.root)
    at(log, second).post("commit", {"note": "second"})
    other = child(log, log.root, branch="other")
    third = child(log, second)
    rows = filled(side(log), second).rows(PATH)
    assert {uuid for (uuid,) in rows} == {log.root, second}
    assert rows[second,]["parents"] == [log.root]
    root: Any = rows[log.root,]
    assert (root["parents"], root["branch"], root["locked"], root["note"]) == ([], "master", True, "first")
    assert [line.partition("  ")[2] for line in root["log"]][-2:] == ["one", "two"]
    assert before - timedelta(days=1) < root["created"] <= root["committed_at_latest"] <= datetime.now(UTC)
    at(log, other).post("commit", {"note": "other"})
    assert {uuid for (uuid,) in filled(side(log, "other"), other).rows(PATH)} == {log.root, other}
    assert third not in {uuid for (uuid,) in rows}


def test_versions_come_with_the_log(log: SourceLog) -> None:
    tables = begun(log)
    second = child(log, log.root)
    at(log, second).post("note", {"note": "noted"})
    made = log.new_events()
    at(log, second).post("commit", {"note": "second", "log": ["line"]})
    third = child(log, second)
    committed = log.new_events()
    tables.follow(side(log), made, second)
    # The source is further; the log tells what is committed.
    assert locked(tables) == {log.root: True, second: False}
    assert tables.rows(PATH)[second,]["committed_at_latest"] is None
    tables.follow(side(log), committed, third)
    assert locked(tables) == {log.root: True, second: True, third: False}
    at(log, third).post("log", {"log": ["more"]})
    tables.follow(side(log), log.new_events(), third)
    assert tables.rows(PATH)[third,]["log"][-1].endswith("  more")


def test_other_branches_and_tags_are_left_out(log: SourceLog) -> None:
    tables = begun(log)
    others = filled(side(log, "other"), log.root)
    second = child(log, log.root)
    other = child(log, log.root, branch="other")
    child(log, log.root, tag="release")
    at(log, other).post("note", {"note": "noted"})
    at(log, other).post("commit", {"note": "done"})
    grandchild = child(log, other)
    events = log.new_events()
    tables.follow(side(log), events, second)
    others.follow(side(log, "other"), events, grandchild)
    assert locked(tables) == {log.root: True, second: False}
    assert locked(others) == {log.root: True, other: True, grandchild: False}


def test_refused_versions_are_none(log: SourceLog) -> None:
    tables = begun(log)
    second = child(log, log.root)
    refused = httpx.post(f"{log.server.url}/api/node/{second}/newversion?u=amy", json={"note": "early"})
    assert refused.status_code == 400
    tables.follow(side(log), log.new_events(), second)
    assert locked(tables) == {log.root: True, second: False}


@pytest.mark.parametrize("seed", range(3))
def test_random_work_ends_as_from_scratch(log: SourceLog, seed: int) -> None:
    random = Random(seed)
    tables = begun(log)
    head = child(log, log.root)
    committed = [log.root]
    for number in range(30):
        roll = random.random()
        if roll < 0.2:
            at(log, head).post("commit", {"note": f"commit {number}", "log": [f"line {number}"]})
            committed.append(head)
            head = child(log, head)
        elif roll < 0.3:
            child(log, random.choice(committed), branch=f"branch{number}")
        elif roll < 0.6:
            at(log, random.choice([*committed, head])).post("note", {"note": f"note {number}"})
        else:
            at(log, random.choice([*committed, head])).post("log", {"log": [f"line {number}"]})
    at(log, head).post("commit", {"note": "last"})
    for piece in in_pieces(log.new_events(), random):
        tables.follow(side(log), piece, head)
    assert tables.rows(PATH) == filled(side(log), head).rows(PATH)


def test_a_version_that_the_source_does_not_tell_of(log: SourceLog) -> None:
    with pytest.raises(ServerFailed, match="does not tell of version"):
        filled(side(log), "0" * 32)


def test_an_open_root_is_open(log: SourceLog) -> None:
    """Only the root can be in a snapshot before it is committed."""
    tables = filled(side(log), log.root)
    (row,) = tables.rows(PATH).values()
    assert (row["uuid"], row["locked"], row["committed_at_latest"]) == (log.root, False, None)
    log.post("commit", {"note": "first"})
    second = child(log, log.root)
    tables.follow(side(log), log.new_events(), second)
    assert locked(tables) == {log.root: True, second: False}
    assert tables.rows(PATH)[log.root,]["committed_at_latest"] is not None
    at(log, second).post("commit", {"note": "second"})
    tables.follow(side(log), log.new_events(), second)
    assert tables.rows(PATH) == filled(side(log), second).rows(PATH)
