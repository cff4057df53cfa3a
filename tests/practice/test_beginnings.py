"""Which branches are of practice, what the next one begins at, what it is called, which are closed."""

from __future__ import annotations

import pytest

from dvidsync_dagster.config import PracticeConfig
from dvidsync_dagster.config.practice import LATEST_COMMIT
from dvidsync_dagster.differences.own import NOTHING_OWN, Own, practice_branches
from dvidsync_dagster.errors import ConfigurationError, NotYet
from dvidsync_dagster.practice.beginnings import beginning, branch_name, to_close
from tests.practice.repos import repo, version

PRACTICE = PracticeConfig()
DAY = 1_795_651_200_000_000_000  # 2026-11-26

SOURCE = repo(
    version("aaaa1", 1, committed=10),
    version("bbbb1", 2, "aaaa1", committed=30),
    version("cccc1", 3, "bbbb1", locked=False),
    version("dddd1", 4, "aaaa1", branch="side", committed=40),
    version("release", 5, "bbbb1", branch="tag-release", committed=50),
)
DESTINATION = repo(
    *(each for uuid, each in SOURCE.versions.items() if uuid != "dddd1"),
    version("1111", 6, "aaaa1", branch="practice-2026-11-20"),
    version("2222", 7, "1111", branch="practice-2026-11-20", locked=False),
    version("3333", 8, "1111", branch="amy", locked=False),
    version("4444", 9, "bbbb1", branch="practice-2026-11-26", locked=False),
    version("5555", 10, "bbbb1", branch="amys-trial", locked=False),
    version("6666", 11, "3333", branch="practice-inside", locked=False),
)


def test_versions_on_and_below_a_practice_branch_are_the_destinations_own() -> None:
    first, second = practice_branches(PRACTICE, SOURCE.versions, DESTINATION)
    assert (first.name, first.parent) == ("practice-2026-11-20", "aaaa1")
    assert [each.uuid for each in first.versions] == ["1111", "2222", "3333", "6666"]
    assert first.first.uuid == "1111"
    assert first.last.uuid == "2222"
    assert [each.uuid for each in first.open] == ["2222", "3333", "6666"]
    assert (second.name, second.parent) == ("practice-2026-11-26", "bbbb1")
    assert practice_branches(None, SOURCE.versions, DESTINATION) == []
    assert practice_branches(PracticeConfig(branch="other"), SOURCE.versions, DESTINATION) == []


def test_a_version_that_the_source_has_is_never_the_destinations_own() -> None:
    both = repo(version("aaaa1", 1), version("1111", 2, "aaaa1", branch="practice-2026-11-20"))
    assert practice_branches(PRACTICE, both.versions, both) == []


def test_the_line_tells_all_of_it() -> None:
    branches = tuple(practice_branches(PRACTICE, SOURCE.versions, DESTINATION))
    own = Own(True, branches, ("area",), {"segmentation": 1240, "other": 1}, 2)
    assert own.line() == (
        "the destination's own: 5 versions of practice (practice-2026-11-20, practice-2026-11-26); "
        "1 instance (area); 1 id of other ahead of the source's counter; "
        "1,240 ids of segmentation ahead of the source's counter; 2 highest labels ahead of the source's"
    )
    assert NOTHING_OWN.line() == ""


def begins(wanted: str, *followed: str) -> str:
    return beginning(wanted, "--from", SOURCE, DESTINATION, followed or SOURCE.versions).uuid


def test_it_begins_at_the_newest_commit_that_has_arrived_and_is_followed() -> None:
    assert begins(LATEST_COMMIT) == "bbbb1"
    assert begins(LATEST_COMMIT, "aaaa1", "dddd1") == "aaaa1"
    assert begins("aaaa") == "aaaa1"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("cccc", "is open"), ("dddd", "has not arrived"), ("eeee", "names none of"), ("", "names 5 of")],
)
def test_what_cannot_be_begun_at_is_told(wanted: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        begins(wanted)


def test_before_anything_was_committed_there_is_nothing_to_begin_at() -> None:
    with pytest.raises(NotYet, match=r"No committed version has arrived .* The source has"):
        begins(LATEST_COMMIT, "cccc1")


def test_a_name_says_when_and_is_free_on_both_servers() -> None:
    assert branch_name("practice", DAY, SOURCE) == "practice-2026-11-26"
    assert branch_name("practice", DAY, SOURCE, DESTINATION) == "practice-2026-11-26-2"
    taken = repo(version("a", 1, branch="practice-2026-11-26-2"))
    assert branch_name("practice", DAY, taken, DESTINATION) == "practice-2026-11-26-3"


@pytest.mark.parametrize(("keep", "closed"), [(None, []), (2, []), (1, ["2222", "3333", "6666"])])
def test_only_the_newest_stay_open(keep: int | None, closed: list[str]) -> None:
    branches = practice_branches(PRACTICE, SOURCE.versions, DESTINATION)
    assert [each.uuid for each in to_close(PracticeConfig(keep=keep), branches)] == closed
