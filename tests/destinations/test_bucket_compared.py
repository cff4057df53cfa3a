"""A snapshot compared with its source, as a server would be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.differences.findings import Comparison
from dvidsync_dagster.errors import ConfigurationError
from tests.destinations.bucket_scene import KEYS, NEURONS, SYNAPSES, SourceAndBucket, source_and_bucket


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def compared(here: SourceAndBucket, *, behind: bool = False) -> Comparison:
    """With what the bucket holds.

    Args:
        behind: the log has more that no run has read.
    """
    config = here.config()
    checkpoint = here.pointer().checkpoint
    reached = (lambda: checkpoint) if behind else (lambda: None)
    return compare(config, config.destinations[0], reached=reached)


def test_without_a_snapshot_there_is_nothing_to_compare(here: SourceAndBucket) -> None:
    with pytest.raises(ConfigurationError, match="no whole snapshot"):
        compare(here.config(), here.config().destinations[0])


def test_it_agrees_in_all_versions_that_it_holds(here: SourceAndBucket) -> None:
    here.sync()
    here.put_key("a", "1")
    here.post(f"{NEURONS}/key/1", {"bodyid": 1, "type": "KC"})
    here.post(
        f"{SYNAPSES}/elements", [{"Pos": [1, 2, 3], "Kind": "Note", "Tags": [], "Prop": {}, "Rels": []}]
    )
    here.new_version()
    here.put_key("b", "2")
    here.sync()
    found = compared(here)
    assert found.agree, found.differences
    assert found.read > 3


def test_what_nothing_announced_shows(here: SourceAndBucket) -> None:
    here.post(f"{NEURONS}/key/1", {"bodyid": 1, "type": "KC"})
    here.put_key("a", "1")
    here.sync()
    deleted = httpx.delete(f"{here.source.url}/api/node/{here.head}/{NEURONS}/key/1?u=amy")
    assert deleted.status_code == 200
    found = compared(here)
    assert {(row.instance, row.what) for row in found.differences} == {
        (NEURONS, "neurons only at the destination")
    }


def test_what_the_log_still_tells_is_pending(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync()
    here.put_key("a", "2")
    here.put_key("b", "2")
    here.new_version()
    found = compared(here, behind=True)
    assert found.agree, found.differences
    assert KEYS in {row.instance for row in found.pending}


def test_what_was_taken_from_the_tables_shows(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync()
    here.own = (KEYS,)
    here.sync()
    here.own = ()
    found = compared(here)
    assert {(row.instance, row.what) for row in found.differences} == {(KEYS, "instance only at the source")}


def test_what_joined_later_is_compared_from_then_on(here: SourceAndBucket) -> None:
    here.sync()
    [before] = here.pointer().pins
    here.new_version()
    here.new_instance("more", "keyvalue")
    here.post("more/key/a", "1")
    here.sync()
    found = compared(here)
    assert found.agree, found.differences
    assert f"more: the destination does not hold it in {before}" in found.notes
