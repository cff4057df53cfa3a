"""A snapshot that is repaired holds what its source has, in all versions that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.snapshot import open as snapshot_at
from tests.destinations.bucket_scene import (
    KEYS,
    NEURONS,
    Content,
    SourceAndBucket,
    comparable,
    source_and_bucket,
)
from tests.destinations.damage import TABLES, damage, opened, put


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def repaired(here: SourceAndBucket, *, dry_run: bool = False, behind: bool = False) -> Repair:
    """Args: behind: the log has more that no run has read."""
    config = here.config()
    return repair(
        config,
        config.destinations[0],
        dry_run=dry_run,
        still_owner=lambda: None,
        checkpoint=here.pointer().checkpoint if behind else None,
    )


def changed(done: Repair) -> set[tuple[str, str]]:
    return {(each.instance, each.what) for each in done.changes}


def agrees(here: SourceAndBucket) -> bool:
    config = here.config()
    return compare(config, config.destinations[0]).agree


def test_what_nothing_announced_is_put_right(here: SourceAndBucket) -> None:
    here.post(f"{NEURONS}/key/1", {"bodyid": 1, "type": "KC"})
    here.post(f"{NEURONS}/key/2", {"bodyid": 2, "type": "MBON"})
    here.sync()
    httpx.delete(f"{here.source.url}/api/node/{here.head}/{NEURONS}/key/1?u=amy").raise_for_status()
    epoch = here.pointer().epoch
    planned = repaired(here, dry_run=True)
    assert changed(planned) == {(NEURONS, "neurons put right")}
    assert here.pointer().epoch == epoch
    done = repaired(here)
    assert changed(done) == changed(planned)
    assert done.agree
    assert [row["body"] for row in here.content()[NEURONS]] == [2]
    assert len(snapshot_at(str(here.bucket))[NEURONS]) == 1


def test_a_version_that_was_changed_after_its_commit(here: SourceAndBucket) -> None:
    """An administrator can do that. The snapshot's versions hold each what that version has."""
    here.put_key("a", "1")
    parent = here.new_version()
    here.put_key("b", "2")
    here.sync()
    here.put_key("a", "another", version=parent)
    here.sync()
    assert not agrees(here)
    done = repaired(here)
    assert done.agree, done.after
    assert done.after is not None
    assert {row["key"]: row["value"] for row in here.content(version=parent)[KEYS]}["a"] == b'"another"'
    found = {row["key"]: row["value"] for row in here.content()[KEYS]}
    assert (found["a"], found["b"]) == (b'"another"', b'"2"')
    here.put_key("c", "3")
    here.sync()
    assert agrees(here)


def test_what_records_to_come_tell_is_left_to_them(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync()
    here.put_key("a", "2")
    done = repaired(here, behind=True)
    assert not done.changes
    assert {row.instance for row in done.pending} == {KEYS}
    here.sync()
    assert agrees(here)


def test_a_run_in_between_ends_the_repair(here: SourceAndBucket) -> None:
    here.sync()
    with opened(here.config()) as snapshot:
        here.put_key("a", "1")
        here.sync()
        with pytest.raises(OwnershipLost, match="another run has changed"):
            snapshot.change(here.head, [(TABLES.bodies, put(TABLES.bodies, []))])


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_wrong_in_whichever_version_is_put_right(here: SourceAndBucket, seed: int) -> None:
    random = Random(seed)
    with here.crowd(seed) as crowd:
        crowd.work(150)
    here.source.restart()
    here.commit_newest()
    here.go_on()
    here.sync()
    versions = [*here.pointer().pins, None]
    before = {version: comparable(here.content(version=version)) for version in versions}
    with opened(here.config()) as snapshot:
        for version in versions:
            newest = here.pointer().branches["master"].uuid
            damage(random, snapshot, version or newest, here.content(version=version))
    assert not agrees(here)
    done = repaired(here)
    assert done.agree, done.after
    for version in versions:
        assert comparable(here.content(version=version)) == before[version]
    assert_edits_lead_to_mapping(here.content())
    here.sync()
    assert agrees(here)


def assert_edits_lead_to_mapping(content: Content) -> None:
    """The newest edit of each supervoxel says where it is."""
    mapping = {row["sv"]: row["body"] for row in content[TABLES.mapping.path]}
    rows = content[TABLES.edits.path]
    assert any(row["action"] == "repair" for row in rows)
    for row in rows:
        if row["action"] == "repair":
            assert mapping.get(row["sv"]) == row["body_after"]


def test_rows_of_a_table_are_counted_anew(here: SourceAndBucket) -> None:
    here.sync()
    with opened(here.config()) as snapshot:
        snapshot.change(here.head, [(TABLES.mapping, put(TABLES.mapping, [{"sv": 1 << 40, "body": 1}]))])
    found = here.pointer().branches["master"].tables[TABLES.mapping.path].rows
    assert found == len(here.content()[TABLES.mapping.path])
