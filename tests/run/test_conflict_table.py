"""The conflict table by itself: what is listed is there once, in every process, until it is closed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dvidsync_dagster.datatypes.keyvalue.events import PostKey
from dvidsync_dagster.datatypes.labelmap.events import Merge
from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.errors import LogError
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.run.conflict_table import ConflictTable, Counts
from dvidsync_dagster.run.listed_conflict import COLUMNS

DAY = 86_400 * 10**9
VERSION = "1" * 32


def merge(number: int, *bodies: int, key: int = 20_000 * DAY, offset: int | None = None) -> Merge:
    target, *labels = bodies or (1, 2)
    origin = Origin(key + number, "topic", 0, number if offset is None else offset)
    return Merge(
        origin=origin,
        version=VERSION,
        instance="segmentation",
        mutation_id=number,
        user="amy",
        target=target,
        labels=tuple(labels),
    )


def row(number: int, *bodies: int, key: int = 20_000 * DAY) -> ConflictRow:
    return ConflictRow.of(merge(number, *bodies, key=key), "non-existent label 2")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


def table(place: Path, destination: str = "copy") -> ConflictTable:
    return ConflictTable(str(place), "root", destination)


def listed(place: Path) -> list[tuple[int | None, str]]:
    return [(each.row.mutation_id, each.state) for each in table(place).rows()]


def test_a_table_that_was_never_written(place: Path) -> None:
    assert list(table(place).rows()) == []
    assert table(place).counts() == Counts()
    assert table(place).stopped_at() is None
    assert table(place).own_from() == 0
    assert table(place).applied([merge(1)]) == 0
    assert list(place.iterdir()) == []


def test_each_run_adds_its_rows_and_a_repeated_one_none(place: Path) -> None:
    table(place).keep([row(2), row(1)])
    first = list(table(place).rows())
    table(place).keep([row(1), row(2)])
    assert list(table(place).rows()) == first
    table(place).keep([row(3, key=20_001 * DAY)])
    assert listed(place) == [(1, "open"), (2, "open"), (3, "open")]
    assert sorted(path.name for path in place.rglob("*.parquet")) == [
        "2024-10-04.parquet",
        "2024-10-05.parquet",
    ]
    assert list(table(place, "other").rows()) == []


def test_another_copy_of_the_same_record_is_the_same_row(place: Path) -> None:
    table(place).keep([row(1)])
    table(place).keep([ConflictRow.of(merge(1, offset=77), "why now")])
    (only,) = table(place).rows()
    assert (only.row.found, only.row.where) == ("why now", str(merge(1, offset=77).origin))


def test_a_row_holds_what_is_known_of_the_event(place: Path) -> None:
    key = PostKey(origin=Origin(5, "keys", 1, 9), version=VERSION, instance="notes", key="k\n", size=1)
    table(place).keep([ConflictRow.of(key, "changed\nthere", "topic partition 0 offset 1")])
    (only,) = table(place).rows()
    shown = only.as_json()
    assert tuple(shown) == COLUMNS
    assert json.loads(json.dumps(shown)) == shown
    del shown["listed"]
    assert shown == {
        "state": "open",
        "operation": "postkv",
        "mutation_id": None,
        "instance": "notes",
        "version": VERSION,
        "items": ["k\\n"],
        "user": "",
        "time": "1970-01-01T00:00:00.000000Z",
        "why": "changed\\nthere",
        "depends_on": "topic partition 0 offset 1",
        "stops_runs": False,
        "closed": None,
        "closed_by": None,
        "record": str(key.origin),
    }


def test_what_is_applied_after_all_is_closed(place: Path) -> None:
    table(place).keep([row(1), row(2)])
    same = table(place)
    assert same.applied([merge(1), merge(2), merge(3)], but=[row(2)]) == 1
    assert same.applied([merge(1), merge(3)]) == 0
    assert table(place).applied([merge(1, key=20_001 * DAY)]) == 0
    assert listed(place) == [(1, "closed"), (2, "open")]
    one, _ = table(place).rows()
    assert one.closed_by == "applied"
    assert one.closed is not None
    assert one.closed >= one.listed
    assert table(place).counts() == Counts(1, 1)
    assert [each.row.mutation_id for each in table(place).rows("closed")] == [1]
    assert [each.row.mutation_id for each in table(place).first(2)] == [2, 1]
    assert [each.row.mutation_id for each in table(place).first(1)] == [2]


def test_what_is_left_out_with_a_later_event_on_the_same_key_is_not_applied(place: Path) -> None:
    """Of several events on a key only the last one is tried."""
    first, last, other = (
        PostKey(origin=Origin(number, "keys", 0, number), version=VERSION, instance="notes", key=key, size=1)
        for number, key in ((1, "k"), (2, "k"), (3, "other"))
    )
    table(place).keep([ConflictRow.of(first, "changed there"), ConflictRow.of(other, "changed there")])
    left_out = [ConflictRow.of(last, "changed there")]
    assert table(place).applied([first, last, other], but=left_out) == 1
    assert [(each.row.items, each.state) for each in table(place).rows()] == [
        (("k",), "open"),
        (("other",), "closed"),
    ]


def test_what_is_left_out_again_is_open_again(place: Path) -> None:
    table(place).keep([row(1)])
    assert table(place).repaired(lambda row: row.items == ("1", "2")) == 1
    assert table(place).repaired(lambda _: True) == 0
    (closed,) = table(place).rows()
    assert closed.closed_by == "repaired"
    table(place).keep([row(1)])
    (again,) = table(place).rows()
    assert (again.state, again.closed_by) == ("open", None)
    assert again.listed > closed.listed


def test_where_runs_stop(place: Path) -> None:
    table(place).keep([row(1)])
    table(place).keep([row(2)], stops=True)
    stopped = table(place).stopped_at()
    assert stopped is not None
    assert stopped.row == row(2)
    table(place).keep([row(2)])
    assert table(place).stopped_at() is None
    assert table(place).counts() == Counts(2, 0)


def test_what_a_killed_process_has_left_half_written_is_no_part_of_it(place: Path) -> None:
    table(place).keep([row(1)])
    (file,) = place.rglob("*.parquet")
    file.with_name(f".{file.name}.0.unfinished").write_bytes(file.read_bytes()[:100])
    assert listed(place) == [(1, "open")]


def test_a_file_that_is_broken_is_told(place: Path) -> None:
    table(place).keep([row(1)])
    (file,) = place.rglob("*.parquet")
    file.write_bytes(b"no Parquet")
    with pytest.raises(LogError, match="2024-10-04"):
        list(table(place).rows())
    with pytest.raises(LogError, match="2024-10-04"):
        table(place).keep([row(2)])


def test_many_rows_of_one_day(place: Path) -> None:
    numbers = range(1, 5001)
    table(place).keep([row(number, number, number + 1) for number in numbers])
    assert [each.row.mutation_id for each in table(place).rows()] == list(numbers)
    assert table(place).repaired(lambda row: int(row.items[0]) % 2 == 0) == 2500
    assert table(place).counts() == Counts(2500, 2500)
    assert [replace(each).row.mutation_id for each in table(place).first(3)] == [1, 3, 5]


def test_what_a_run_that_stops_saw_of_the_destinations_own_numbers_is_kept(place: Path) -> None:
    for own_from in (105, 0, 103, 103):
        table(place).stop([row(1)], own_from)
    assert table(place).own_from() == 103
    stopped = table(place).stopped_at()
    assert stopped is not None
    assert stopped.row == row(1)
    assert len(list(place.rglob("*.own"))) == 1
