"""Records whose key is ahead of the source's clock, over partitions in memory."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.log.ahead import FAR_NS
from dvidsync_dagster.log.checkpoint import PartitionPosition, Positions
from dvidsync_dagster.log.record import Partition
from tests.log.memory_feed import Stored
from tests.log.test_reading import choices, logs, reading, rows, stored

NOW = 10_000
CUT = NOW - 20


def test_what_lies_behind_a_record_that_is_ahead_of_the_clock_is_read() -> None:
    log = {
        ("a", 0): [stored(0, 5), stored(1, NOW + 40), *(stored(2 + n, 10 + n) for n in range(4_000))],
        ("b", 0): [stored(0, 7)],
    }
    pass_, _ = reading(log, cut_key=CUT, now=lambda: NOW, chunk_records=700)
    read = list(pass_.chunks())
    keys = [record.key_ns for chunk in read for record in chunk.records]
    assert keys == [5, 7, *range(10, 4_010)], "all but the one ahead, in order"
    assert (read[-1].behind, read[-1].ahead.records, read[-1].ahead.furthest_ns) == (1, 1, 40)
    assert read[-1].ahead.far == 0
    assert [record.key_ns for record in read[-1].lookahead] == [NOW + 40]
    assert pass_.positions(())["a"][0] == PartitionPosition(1, ((2, 4_002),))


def test_it_is_released_once_the_clock_has_passed_it() -> None:
    log = {("a", 0): [stored(0, NOW + 40), stored(1, 10)]}
    pass_, _ = reading(log, cut_key=CUT, now=lambda: NOW)
    assert [[record.offset for record in chunk.records] for chunk in pass_.chunks()] == [[1]]
    later, _ = reading(log, start=pass_.positions(()), cut_key=NOW + 50, now=lambda: NOW + 70)
    (chunk,) = later.chunks()
    assert ([record.offset for record in chunk.records], chunk.ahead.records, chunk.behind) == ([0], 0, 0)
    assert later.positions(())["a"][0] == PartitionPosition(2)


def test_what_is_years_ahead_is_shown_with_its_place_and_never_called_malformed() -> None:
    far = NOW + 3 * FAR_NS
    log = {("a", 0): [stored(n, far + n, timestamp=7) for n in range(30)] + [stored(30, 10), stored(31, 11)]}
    pass_, _ = reading(log, cut_key=CUT, now=lambda: NOW)
    (chunk,) = pass_.chunks()
    assert chunk.malformed == ()
    assert [record.offset for record in chunk.records] == [30, 31]
    assert (chunk.ahead.records, chunk.ahead.far, len(chunk.ahead.shown)) == (30, 30, 20)
    assert len(chunk.lookahead) == 0, "what may never come tells nothing of what comes next"
    text = str(chunk.ahead)
    assert "3 days" in text
    assert "a partition 0 offset 0 (" in text
    assert "and 10 more" in text
    assert "dvidsync quarantine skip" in text
    pass_.pass_over([record.origin for record in chunk.ahead.shown])
    assert pass_.positions(())["a"][0] == PartitionPosition(20, ((30, 32),))


def test_a_broker_whose_clock_is_days_behind_makes_no_record_malformed() -> None:
    now = 10 * FAR_NS
    log = {("a", 0): [Stored(0, str(now - 100).encode(), b"v", timestamp=7)]}
    pass_, _ = reading(log, cut_key=now - 20, now=lambda: now)
    (chunk,) = pass_.chunks()
    assert (len(chunk.records), chunk.malformed) == (1, ())


def test_many_records_ahead_do_not_fill_the_memory() -> None:
    log = {("a", 0): [*(stored(n, NOW + 1 + n) for n in range(3_000)), stored(3_000, 10)]}
    pass_, _ = reading(log, cut_key=CUT, now=lambda: NOW, chunk_records=50)
    (chunk,) = pass_.chunks()
    assert [record.offset for record in chunk.records] == [3_000]
    assert (chunk.ahead.records, chunk.behind, len(chunk.lookahead)) == (3_000, 3_000, 50)


@settings(max_examples=100)
@given(logs(disorder=10), choices(), st.integers(1, 20), st.data())
def test_records_ahead_anywhere_change_nothing_for_the_rest(
    log: dict[Partition, list[Stored]], choose: Callable[[int], int], chunk_records: int, data: st.DataObject
) -> None:
    honest: list[tuple[int, str, int, int]] = []
    ahead: list[tuple[str, int, int]] = []
    mixed: dict[Partition, list[Stored]] = {}
    for place, records in log.items():
        mixed[place] = []
        for record in records:
            if data.draw(st.integers(0, 4)) == 0:
                key = NOW + data.draw(st.sampled_from([1, 500, 2 * FAR_NS]))
                mixed[place].append(stored(record.offset, key, record.value or b""))
                ahead.append((*place, record.offset))
            else:
                mixed[place].append(record)
                honest.append((int(record.key or b""), *place, record.offset))
    pass_, _ = reading(mixed, choose=choose, chunk_records=chunk_records, cut_key=CUT, now=lambda: NOW)
    read = list(pass_.chunks())
    assert [row for chunk in read for row in rows(chunk)] == sorted(honest)
    assert read[-1].behind == read[-1].ahead.records == len(ahead)
    positions: Positions = pass_.positions(())
    then, _ = reading(mixed, start=positions, choose=choose, cut_key=4 * FAR_NS, now=lambda: 5 * FAR_NS)
    released = [row[1:] for chunk in then.chunks() for row in rows(chunk)]
    assert sorted(released) == sorted(ahead)
