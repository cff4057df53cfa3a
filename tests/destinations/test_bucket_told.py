"""A log that lacks the commit of a version or tells of it late, clocks that are wrong, an open root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dvidsync_dagster.destinations.bucket.commits import untold_commit
from dvidsync_dagster.destinations.bucket.stretches import Reached
from dvidsync_dagster.destinations.bucket.time_margins import COMMIT_NS
from dvidsync_dagster.destinations.bucket.versions import BranchVersions
from dvidsync_dagster.destinations.protocol import Standing
from dvidsync_dagster.errors import Unfit
from dvidsync_dagster.events.repo import Commit
from dvidsync_dagster.run.report import ChunkReport
from tests.destinations.bucket_scene import KEYS, LABELS, SourceAndBucket, comparable, source_and_bucket
from tests.destinations.test_bucket_stretches import line, repo, version
from tests.relay import Relay, Row
from tests.wrong_clock import WrongClock, wrong_clock

SECOND = 10**9


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


@contextmanager
def relayed(here: SourceAndBucket) -> Iterator[tuple[Relay, WrongClock]]:
    relay = Relay(here.broker.address, here.source.topic_prefix)
    with wrong_clock(here.source.url) as clock:
        yield relay, clock


def sync(here: SourceAndBucket, relay: Relay, clock: WrongClock) -> list[ChunkReport]:
    return here.sync(kafka=relay.settings(), source={"url": clock.url})


def announced(here: SourceAndBucket, relay: Relay) -> list[Row]:
    """All that the source has announced since this was asked."""
    here.source.restart()
    return relay.rest()


def notes(reports: list[ChunkReport]) -> str:
    return "\n".join(note for report in reports for note in report.notes)


def keys(here: SourceAndBucket, version: str | None = None) -> dict[str, bytes]:
    return {row["key"]: row["value"] for row in here.content(version=version)[KEYS]}


def versions(here: SourceAndBucket) -> dict[str, tuple[bool, bool]]:
    """Whether each is locked, and whether it has a time of its commit."""
    return {
        row["uuid"]: (row["locked"], row["committed_at_latest"] is not None)
        for row in here.content()["versions"]
    }


@pytest.mark.parametrize("has_child", [False, True])
def test_a_commit_that_the_log_lacks_is_pinned_as_the_source_tells_of_it(
    here: SourceAndBucket, has_child: bool
) -> None:
    with relayed(here) as (relay, clock):
        relay.publish(announced(here, relay))
        sync(here, relay, clock)
        here.put_key("a", "1")
        done = here.commit()
        if has_child:
            here.go_on()
        rows = announced(here, relay)
        (lost,) = [row for row in rows if row.action == "commit"]
        relay.publish([row for row in rows if row.action not in ("commit", "newversion")])
        # It may be under way.
        sync(here, relay, clock)
        assert done not in here.pointer().pins
        clock.shift = timedelta(seconds=COMMIT_NS / SECOND + 60)
        reports = sync(here, relay, clock)
        assert f"the log lacks the commit of version {done}" in notes(reports)
        assert keys(here, done) == {"first": b'"1"', "a": b'"1"'}
        assert versions(here)[done] == (True, True)
        before = here.content(), here.pointer().pins
        # What comes late after all changes nothing.
        relay.publish([lost])
        reports = sync(here, relay, clock)
        assert not any(report.conflicts for report in reports)
        assert "the log lacks" not in notes(reports)
        assert (comparable(here.content()), here.pointer().pins) == (comparable(before[0]), before[1])
        if not has_child:
            here.go_on()
            rows = announced(here, relay)
        relay.publish([row for row in rows if row.action == "newversion"])
        sync(here, relay, clock)
        assert versions(here)[here.head] == (False, False)
        assert here.pointer().pins.keys() == before[1].keys()


def committed_line(by: int) -> BranchVersions:
    return BranchVersions.of(repo(version(1, by=5), version(2, 1, by=by)), "master")


@pytest.mark.parametrize(
    ("key_ns", "waits_in", "standing", "told"),
    [
        (100 + COMMIT_NS, (), Standing.UNDER_WAY, True),
        (99 + COMMIT_NS, (), Standing.CAUGHT_UP, False),
        (100 + COMMIT_NS, ("v1",), Standing.UNDER_WAY, True),
        (100 + COMMIT_NS, ("v2",), Standing.CAUGHT_UP, False),
    ],
)
def test_all_that_happened_in_a_version_must_have_come(
    key_ns: int, waits_in: tuple[str, ...], standing: Standing, told: bool
) -> None:
    found = untold_commit(committed_line(100), Reached("v2", False, "v1", 0), waits_in, key_ns, standing)
    assert (found is not None) == told
    if found is not None:
        assert (found.version, found.is_committed) == ("v2", True)
        (commit,) = found.events
        assert isinstance(commit, Commit)


def test_without_a_time_all_that_there_was_must_have_come() -> None:
    untimed, reached = committed_line(0), Reached("v2", False, "v1", 0)
    assert untold_commit(untimed, reached, (), 10, Standing.AT_CUT) is None
    assert untold_commit(untimed, reached, (), 10, Standing.CAUGHT_UP) is not None


@pytest.mark.parametrize("reached", [Reached("v2", True, "v1", 0), Reached("v9", False, "v1", 0)])
def test_what_is_pinned_or_not_there_is_not_committed(reached: Reached) -> None:
    assert untold_commit(committed_line(5), reached, (), 10**18, Standing.CAUGHT_UP) is None
    assert untold_commit(line(2), Reached("v2", False, "v1", 0), (), 10**18, Standing.CAUGHT_UP) is None


def test_an_open_root_is_open_in_the_table_too(tmp_path: Path) -> None:
    with source_and_bucket(tmp_path, is_open=True) as here:
        here.sync()
        here.put_key("second", "2")
        here.sync()
        assert versions(here) == {here.root: (False, False)}
        here.new_version()
        here.sync()
        assert versions(here) == {here.root: (True, True), here.head: (False, False)}


def test_a_value_of_an_open_root_that_is_written_after_it_was_announced(tmp_path: Path) -> None:
    """And was therefore not read: DVID announces some values before it writes them."""
    with source_and_bucket(tmp_path, is_open=True) as here, relayed(here) as (relay, clock):
        relay.publish(announced(here, relay))
        sync(here, relay, clock)
        read_ns = here.pointer().branches["master"].base_read_ns
        here.put_key("late", "1")
        (row,) = [each for each in announced(here, relay) if each.action == "postkv"]
        relay.publish([replace(row, key=read_ns - 30 * SECOND)])
        sync(here, relay, clock)
        assert keys(here) == {"first": b'"1"', "late": b'"1"'}


def test_a_clock_that_was_set_back_after_the_commit_hides_nothing(here: SourceAndBucket) -> None:
    with relayed(here) as (relay, clock):
        relay.publish(announced(here, relay))
        here.put_key("a", "1")
        (row,) = [each for each in announced(here, relay) if each.action == "postkv"]
        relay.publish([replace(row, key=row.key - 600 * SECOND)])
        sync(here, relay, clock)
        assert keys(here) == {"first": b'"1"', "a": b'"1"'}


@pytest.mark.parametrize("label", [2**63, 2**63 + 5])
def test_what_is_said_of_a_label_that_no_table_holds_helps(here: SourceAndBucket, label: int) -> None:
    here.sync()
    here.put_key("a", "1")
    here.post(f"{LABELS}/renumber", [label, 5])
    before = here.content()
    with pytest.raises(Unfit, match=f"has {label}, .*Name {LABELS} in `own` of this destination"):
        here.sync()
    # What was done is in the log for good.
    here.post(f"{LABELS}/renumber", [5, label])
    with pytest.raises(Unfit, match="in `own`"):
        here.sync()
    assert here.content() == before
    here.sync(changed={"own": [LABELS]})
    assert keys(here)["a"] == b'"1"'
    assert not any(path.startswith(LABELS + "/") for path in here.content())
    # With the next commit it can come back.
    here.sync()
    here.new_version()
    here.sync()
    assert len(here.content()[f"{LABELS}/bodies"]) == 64


def test_of_a_first_snapshot_too(here: SourceAndBucket) -> None:
    here.post(f"{LABELS}/renumber", [2**63, 5])
    here.new_version()
    with pytest.raises(Unfit, match="in `own`"):
        here.sync()
    here.sync(changed={"own": [LABELS]})
    assert keys(here) == {"first": b'"1"'}


def test_in_another_branch_nothing_is_refused(here: SourceAndBucket) -> None:
    here.sync()
    other = here.branch(here.parent, "other")
    here.post(f"{LABELS}/renumber", [2**63, 5], version=other)
    here.put_key("a", "1")
    here.sync()
    assert keys(here)["a"] == b'"1"'
