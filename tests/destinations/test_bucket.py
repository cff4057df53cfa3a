"""A bucket that follows: it begins with a committed version, then goes on by the log from its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dvidsync_dagster import snapshot
from dvidsync_dagster.destinations.bucket.time_margins import MARGIN_NS
from dvidsync_dagster.errors import ConfigurationError, OwnershipLost, Unfit
from dvidsync_dagster.run.follow import Scope
from dvidsync_dagster.run.report import ChunkReport
from dvidsync_dagster.run.retry import retry
from dvidsync_dagster.snapshot.pointer import TableState
from tests.destinations.bucket_scene import KEYS, NEURONS, SourceAndBucket, source_and_bucket


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def keys(here: SourceAndBucket, version: str | None = None) -> dict[str, bytes]:
    return {row["key"]: row["value"] for row in here.content(version=version)[KEYS]}


def tables(here: SourceAndBucket) -> dict[str, TableState]:
    return here.pointer().branches["master"].tables


def operations(reports: list[ChunkReport]) -> int:
    return sum(report.operations for report in reports)


def applied(reports: list[ChunkReport]) -> int:
    """What of the log was there already does not count."""
    return operations(reports) - sum(report.present for report in reports)


def notes(reports: list[ChunkReport]) -> str:
    return "\n".join(note for report in reports for note in report.notes)


def test_it_begins_with_the_committed_version_and_goes_on_by_the_log(here: SourceAndBucket) -> None:
    """No start is configured, and nothing of before has to be in the log."""
    here.put_key("second", "2")
    first = here.sync()
    assert keys(here) == {"first": b'"1"', "second": b'"2"'}
    assert keys(here, here.parent) == {"first": b'"1"'}
    assert applied(first) == 2  # the new version, and the key
    # The log is read from an hour before on, to be sure; the tables are not behind by that.
    assert 0 < first[0].lag_before.seconds < MARGIN_NS / 1e9
    here.put_key("first", "3")
    assert operations(here.sync()) == 1
    assert keys(here) == {"first": b'"3"', "second": b'"2"'}
    assert operations(here.sync()) == 0


def test_its_own_checkpoint_counts(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    lost = here.sync()[-1].checkpoint
    here.put_key("b", "2")
    here.sync()
    before = tables(here)
    assert operations(here.sync(checkpoint=lost)) == 0
    assert tables(here) == before


def test_a_bucket_that_was_emptied_begins_anew(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    known = here.sync()[-1].checkpoint
    here.empty()
    reports = here.sync(checkpoint=known)
    assert keys(here) == {"first": b'"1"', "a": b'"1"'}
    assert applied(reports) == 2


def test_an_older_bucket_is_brought_up_to_date(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync()
    older = here.saved()
    here.put_key("b", "2")
    known = here.sync()[-1].checkpoint
    here.bring_back(older)
    reports = here.sync(checkpoint=known)
    assert keys(here) == {"first": b'"1"', "a": b'"1"', "b": b'"2"'}
    assert "the bucket's own checkpoint counts" in notes(reports)


def test_each_commit_pins_the_tables(here: SourceAndBucket) -> None:
    here.sync()
    here.put_key("a", "1")
    first = here.new_version()
    here.put_key("a", "2")
    second = here.new_version()
    here.put_key("a", "3")
    here.sync()
    assert keys(here, first)["a"] == b'"1"'
    assert keys(here, second)["a"] == b'"2"'
    assert keys(here)["a"] == b'"3"'
    state = here.pointer().branches["master"]
    assert (state.uuid, state.committed) == (here.head, second)
    versions = {row["uuid"]: row["locked"] for row in here.content()["versions"]}
    assert versions == {here.root: True, first: True, second: True, here.head: False}


def test_a_head_that_is_committed_is_pinned_until_it_has_a_child(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    done = here.commit()
    here.sync()
    state = here.pointer().branches["master"]
    assert (state.uuid, state.committed) == (done, done)
    here.go_on()
    here.put_key("a", "2")
    here.sync()
    assert keys(here) == {"first": b'"1"', "a": b'"2"'}
    assert keys(here, done) == {"first": b'"1"', "a": b'"1"'}


def test_points_tell_which_versions_belong_together(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync()
    time = snapshot.open(str(here.bucket)).log_time
    here.put_key("a", "2")
    here.sync()
    assert time is not None
    then = snapshot.open(str(here.bucket), at=time + timedelta(microseconds=1))
    assert dict(zip(then[KEYS]["key"], then[KEYS]["value"], strict=True))["a"] == b'"1"'


def test_an_open_root_is_shown_once_the_log_tells_of_the_time_in_which_it_was_read(tmp_path: Path) -> None:
    with source_and_bucket(tmp_path, is_open=True) as here:
        assert "the open root was read" in notes(here.sync())
        assert here.pointer().checkpoint is None
        here.put_key("second", "2")
        here.sync()
        assert keys(here) == {"first": b'"1"', "second": b'"2"'}
        root = here.new_version()
        here.put_key("second", "3")
        here.sync()
        assert keys(here)["second"] == b'"3"'
        assert keys(here, root)["second"] == b'"2"'


def test_an_open_root_that_was_read_is_left_for_the_committed_one(tmp_path: Path) -> None:
    with source_and_bucket(tmp_path, is_open=True) as here:
        here.sync()
        here.put_key("second", "2")
        root = here.new_version()
        here.sync()
        assert here.pointer().branches["master"].base == root
        assert keys(here) == keys(here, root) == {"first": b'"1"', "second": b'"2"'}


@pytest.mark.parametrize("name", ["versions", "dvidsync"])
def test_an_instance_with_the_name_of_an_own_table_is_refused(here: SourceAndBucket, name: str) -> None:
    here.new_instance(name, "keyvalue")
    with pytest.raises(ConfigurationError, match=name) as refused:
        here.sync()
    assert refused.value.field == "destinations[cloud].own"
    here.sync(changed={"own": [name]})
    assert keys(here) == {"first": b'"1"'}


def test_a_branch_of_its_own(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    base = here.commit()
    dev = here.branch(base, "dev")
    here.put_key("a", "on dev", version=dev)
    here.go_on()
    here.put_key("a", "on master")
    here.sync()
    here.sync(here.folder / "dev", changed={"branch": "dev"})
    assert keys(here)["a"] == b'"on master"'
    found = here.content(here.folder / "dev", branch="dev")
    assert {row["key"]: row["value"] for row in found[KEYS]}["a"] == b'"on dev"'
    assert {row["uuid"] for row in found["versions"]} == {here.root, base, dev}


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"branch": "nowhere"}, "has no branch"), ({"branch": "dev"}, "a folder of its own")],
)
def test_a_bucket_holds_one_branch_that_there_is(
    here: SourceAndBucket, changed: dict[str, Any], words: str
) -> None:
    here.branch(here.parent, "dev")
    here.sync()
    before = tables(here)
    with pytest.raises(ConfigurationError, match=words) as refused:
        here.sync(changed=changed)
    assert refused.value.field == "destinations[cloud].branch"
    assert tables(here) == before


def test_a_change_of_a_committed_version_is_listed_and_not_applied(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    committed = here.new_version()
    here.sync()
    here.put_key("a", "late", version=committed)
    (report,) = here.sync()
    (row,) = report.conflicts
    assert (row.action, row.instance, row.version) == ("postkv", KEYS, committed)
    assert "dvidsync verify" in row.found
    assert keys(here)["a"] == b'"1"'
    assert here.sync()[-1].conflicts == ()


def test_windows_that_are_read_again_change_nothing(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    known = here.sync()[-1].checkpoint
    before = tables(here)
    reports = here.sync(checkpoint=known, scope=Scope(0, known.key_ns))
    assert operations(reports) == sum(report.present for report in reports) > 0
    assert tables(here) == before


def test_an_instance_that_is_made_joins_at_once_or_with_the_next_commit(here: SourceAndBucket) -> None:
    here.sync()
    here.new_instance("more", "keyvalue")
    here.new_instance("bodies", "labelmap")
    here.post("more/key/x", "1")
    reports = here.sync()
    assert "bodies joins the snapshot with the next version" in notes(reports)
    assert [row["key"] for row in here.content()["more"]] == ["x"]
    assert "bodies/mapping" not in here.content()
    here.new_version()
    here.sync()
    assert here.content()["bodies/mapping"] == []


def test_an_instance_that_is_followed_later_joins_and_one_that_is_not_leaves(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync(changed={"own": [KEYS]})
    assert KEYS not in here.content()
    reports = here.sync()
    assert f"{KEYS} joins the snapshot with the next version" in notes(reports)
    here.put_key("b", "2")
    pinned = here.new_version()
    here.put_key("c", "3")
    here.sync()
    assert keys(here) == {"first": b'"1"', "a": b'"1"', "b": b'"2"', "c": b'"3"'}
    assert keys(here, pinned).keys() == {"first", "a", "b"}
    reports = here.sync(changed={"own": [KEYS]})
    assert f"{KEYS} is not followed anymore" in notes(reports)
    assert KEYS not in here.content()


def test_what_no_table_can_hold_ends_the_run_and_loses_nothing(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    here.sync()
    before = here.content()
    here.put_key("b", "2")
    here.post(f"{NEURONS}/key/{2**63}", {"bodyid": 2**63, "type": "X"})
    with pytest.raises(Unfit, match=str(2**63)):
        here.sync()
    assert here.content() == before
    here.sync(changed={"own": [NEURONS]})
    assert keys(here)["b"] == b'"2"'


def test_a_run_that_was_overtaken_ends(here: SourceAndBucket) -> None:
    """The older one writes nothing that a reader sees, however far it is."""
    for number in range(150):
        here.put_key(f"k{number}", "1")
    older = here.run()
    next(older)
    newer = here.sync()
    after = here.pointer()
    with pytest.raises(OwnershipLost):
        list(older)
    assert here.pointer() == after
    assert len(keys(here)) == 151
    assert operations(newer) > 0
    assert operations(here.sync()) == 0


def test_the_readme_is_there_and_a_release_for_each_committed_version(here: SourceAndBucket) -> None:
    here.sync()
    here.post(f"{NEURONS}/key/1", {"bodyid": 1, "type": "A"})
    done = here.new_version()
    here.sync(changed={"releases": "committed"})
    assert KEYS in (here.bucket / "README.md").read_text()
    for version in (here.root, done):
        assert (here.bucket / "releases" / version / "SHA256SUMS").is_file()
    (here.bucket / "releases" / done / "SHA256SUMS").unlink()
    here.sync(changed={"releases": "committed"})
    assert (here.bucket / "releases" / done / "SHA256SUMS").is_file()


def test_a_look_does_not_take_the_bucket_over(here: SourceAndBucket) -> None:
    here.put_key("a", "1")
    assert here.look().waiting > 0
    assert here.is_empty()
    here.sync()
    epoch = here.pointer().epoch
    here.look()
    assert here.pointer().epoch == epoch


def test_what_needs_a_server_is_refused(here: SourceAndBucket) -> None:
    """Records that were set aside come late, and the tables take the log in its order alone."""
    config = here.config()
    (cloud,) = config.destinations
    with pytest.raises(ConfigurationError, match="it is a bucket") as refused:
        retry(config, cloud, None, checkpoint=None, still_owner=lambda: None)
    assert refused.value.field == "destinations[cloud]"
