"""One pass over the log, over partitions in memory: order, bounds, nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.checkpoint import PartitionPosition, Positions
from dvidsync_dagster.log.chunk import LogChunk
from dvidsync_dagster.log.reading import LogReading
from dvidsync_dagster.log.record import Partition
from tests.log.memory_feed import MemoryFeed, Stored

REORDER = 10
PARTITIONS: list[Partition] = [("a", 0), ("a", 1), ("b", 0)]
FIRST: Callable[[int], int] = lambda n: n - 1  # noqa: E731


def stored(offset: int, key: int, value: bytes = b"v", **more: Any) -> Stored:
    return Stored(offset, str(key).encode(), value, **more)


def reading(
    partitions: Mapping[Partition, list[Stored]],
    *,
    start: Positions | None = None,
    choose: Callable[[int], int] = FIRST,
    ends: Mapping[Partition, int] | None = None,
    **options: Any,
) -> tuple[LogReading, MemoryFeed]:
    ends = ends or {place: max((r.offset + 1 for r in rs), default=0) for place, rs in partitions.items()}
    full: dict[str, dict[int, PartitionPosition]] = {}
    for topic, partition in partitions:
        given_start = (start or {}).get(topic, {}).get(partition, PartitionPosition(0))
        full.setdefault(topic, {})[partition] = given_start
    feed = MemoryFeed(partitions, ends, {(t, p): full[t][p].next for t, p in partitions}, choose)
    defaults: dict[str, Any] = {
        "cut_key": 10**18,
        "from_key": 0,
        "now": lambda: 10**18,
        "chunk_records": 3,
        "chunk_bytes": 1 << 20,
        "reorder_ns": REORDER,
    }
    return LogReading(feed, full, ends, **(defaults | options)), feed


def rows(chunk: LogChunk) -> list[tuple[int, str, int, int]]:
    return [record[:4] for record in chunk.records]


@st.composite
def logs(draw: st.DrawFn, disorder: int) -> dict[Partition, list[Stored]]:
    """Partitions nearly in key order, with holes between the offsets. Values are all different."""
    result: dict[Partition, list[Stored]] = {}
    for topic, partition in PARTITIONS:
        times = sorted(draw(st.lists(st.integers(disorder, 200), max_size=25)))
        offset = draw(st.integers(0, 3))
        records = []
        for time in times:
            key = time - draw(st.integers(0, disorder))
            records.append(stored(offset, key, f"{topic}{partition}{offset}".encode()))
            offset += draw(st.sampled_from([1, 1, 1, 2, 5]))
        result[topic, partition] = records
    return result


@st.composite
def choices(draw: st.DrawFn) -> Callable[[int], int]:
    random = draw(st.randoms(use_true_random=False))
    return lambda n: random.randrange(n)


@settings(max_examples=300)
@given(logs(disorder=REORDER), choices(), st.integers(1, 20), st.integers(-1, 220), st.booleans())
def test_all_up_to_the_cut_comes_once_and_in_order(
    log: dict[Partition, list[Stored]],
    choose: Callable[[int], int],
    chunk_records: int,
    cut_key: int,
    reads_on: bool,
) -> None:
    pass_, _ = reading(log, choose=choose, chunk_records=chunk_records, cut_key=cut_key)
    horizon = -1
    found: list[tuple[int, str, int, int]] = []
    chunks = []
    for chunk in pass_.chunks():
        chunks.append(chunk)
        if reads_on:
            pass_.read_on(lambda: choose(4) == 0)
    for chunk in chunks:
        got = rows(chunk)
        assert all(key > horizon for key, *_ in got), "a record came although the horizon had passed it"
        found += got
        horizon = chunk.horizon
        assert all(key <= horizon for key, *_ in got)
    expected = sorted(
        (int(r.key or b""), *place, r.offset) for place, records in log.items() for r in records
    )
    assert found == [row for row in expected if row[0] <= cut_key]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert horizon >= cut_key
    released = 0
    for chunk in chunks:
        released += len(chunk.records)
        after = [record[:4] for record in chunk.lookahead]
        assert after == sorted(after)
        assert set(after) <= set(expected[released:])
        assert chunk.behind >= len(after)


@settings(max_examples=200)
@given(logs(disorder=60), choices(), st.integers(1, 8), st.integers(0, 220), st.booleans(), st.data())
def test_runs_from_checkpoint_to_checkpoint_lose_nothing_and_repeat_nothing(
    log: dict[Partition, list[Stored]],
    choose: Callable[[int], int],
    chunk_records: int,
    cut_key: int,
    reads_on: bool,
    data: st.DataObject,
) -> None:
    """Records far out of order, runs that die after any chunk, operations left unapplied, cuts by time."""
    applied: list[tuple[str, int, int]] = []
    checkpoint: Positions = {}
    cuts = sorted([cut_key, *data.draw(st.lists(st.integers(0, 220), max_size=3))])
    for cut in [*cuts, 10**18]:
        pass_, _ = reading(log, start=checkpoint, choose=choose, chunk_records=chunk_records, cut_key=cut)
        is_final = cut == 10**18
        for chunk in pass_.chunks():
            got = rows(chunk)
            skipped = [] if is_final else [row for row in got if data.draw(st.integers(0, 4)) == 0]
            applied += [(topic, partition, offset) for _, topic, partition, offset in got]
            for row in skipped:
                applied.remove(row[1:])
            unapplied = [Origin(*row) for row in skipped]
            if reads_on:
                pass_.read_on(lambda: choose(4) == 0)
            # A run that left something out ends there: what follows would need the positions of both chunks.
            checkpoint = pass_.positions(unapplied)
            if skipped or (not is_final and data.draw(st.integers(0, 3)) == 0):
                break
    assert sorted(applied) == sorted((*place, r.offset) for place, records in log.items() for r in records)


@settings(max_examples=20)
@given(st.integers(1, 50), st.integers(1, 5))
def test_memory_follows_the_chunk_not_the_backlog(chunk_records: int, batch: int) -> None:
    backlog = {
        ("late", 0): [stored(offset, 10_000 + offset) for offset in range(1_000)],
        ("early", 0): [stored(offset, 1 + 9 * offset) for offset in range(1_000)],
    }
    pass_, feed = reading(backlog, choose=lambda n: min(n - 1, batch), chunk_records=chunk_records)
    released = 0
    most = 0
    for chunk in pass_.chunks():
        assert len(chunk.records) <= chunk_records
        most = max(most, feed.delivered - released)
        released += len(chunk.records)
    assert released == 2_000
    assert most <= 4 * chunk_records + 2 * REORDER + 4 * feed.batch_records


def test_the_next_chunk_is_read_on_until_it_is_full() -> None:
    log = {("a", 0): [stored(offset, 100 * offset) for offset in range(100)]}
    pass_, feed = reading(log, chunk_records=10)
    chunks = pass_.chunks()
    next(chunks)
    before = feed.delivered
    pass_.read_on(lambda: True)
    assert feed.delivered == before, "there was no time for it"
    pass_.read_on(lambda: False)
    assert before < feed.delivered <= 20 + feed.batch_records
    polls = feed.polls
    assert rows(next(chunks)) == [(100 * offset, "a", 0, offset) for offset in range(10, 20)]
    assert feed.polls == polls, "all of it had been read"


def test_what_fails_while_it_is_read_on_shows_with_the_next_chunk() -> None:
    log = {("a", 0): [stored(offset, 100 * offset) for offset in range(100)]}
    pass_, feed = reading(log, chunk_records=10)
    chunks = pass_.chunks()
    next(chunks)
    feed.choose = lambda _: (_ for _ in ()).throw(ConnectionError("the broker is gone"))
    pass_.read_on(lambda: False)
    assert pass_.positions(()) == {"a": {0: PartitionPosition(10)}}
    feed.choose = FIRST
    with pytest.raises(ConnectionError, match="the broker is gone"):
        next(chunks)


def test_a_chunk_is_bounded_in_bytes_too() -> None:
    log = {("a", 0): [stored(offset, 100 * offset, b"x" * 100) for offset in range(20)]}
    pass_, _ = reading(log, chunk_records=1_000, chunk_bytes=300)
    assert [len(chunk.records) for chunk in pass_.chunks()] == [3, 3, 3, 3, 3, 3, 2]


def test_records_of_one_key_are_never_torn_apart() -> None:
    log = {("a", 0): [stored(offset, 100 * (offset // 4), bytes([offset])) for offset in range(12)]}
    pass_, _ = reading(log, chunk_records=3)
    assert [len(chunk.records) for chunk in pass_.chunks()] == [4, 4, 4]


def test_kafkas_own_duplicates_are_dropped_and_counted() -> None:
    log = {
        ("a", 0): [stored(0, 5, b"x"), stored(1, 5, b"x"), stored(2, 5, b"y"), stored(3, 6, b"x")],
        ("a", 1): [Stored(0, b"5", None), stored(1, 5, b"y")],
        ("b", 0): [stored(0, 5, b"x")],
    }
    pass_, _ = reading(log, chunk_records=100)
    (chunk,) = pass_.chunks()
    assert rows(chunk) == [(5, "a", 0, 0), (5, "a", 0, 2), (5, "b", 0, 0), (6, "a", 0, 3)]
    assert chunk.duplicates == 2
    assert [record.origin for record in chunk.malformed] == [Origin(5, "a", 1, 0)]
    assert pass_.positions([Origin(5, "a", 0, 0)])["a"][0] == PartitionPosition(0, ((1, 4),))


def test_a_partition_is_not_read_far_beyond_the_cut() -> None:
    log = {("a", 0): [stored(offset, offset) for offset in range(1_000)], ("b", 0): [stored(0, 3)]}
    pass_, feed = reading(log, cut_key=50, chunk_records=1_000)
    (chunk,) = pass_.chunks()
    assert len(chunk.records) == 52
    assert feed.delivered <= 50 + REORDER + 3 + 1 + feed.batch_records
    assert chunk.behind == 1_001 - 52
    assert [record.key_ns for record in chunk.lookahead] == list(range(51, 51 + len(chunk.lookahead)))
    assert len(chunk.lookahead) >= REORDER


def test_each_chunk_shows_what_comes_next() -> None:
    log = {("a", 0): [stored(offset, offset) for offset in range(40)]}
    pass_, _ = reading(log, cut_key=30, chunk_records=10)
    horizons = []
    for chunk in pass_.chunks():
        horizons.append(chunk.horizon)
        ahead = [record.key_ns for record in chunk.lookahead]
        assert ahead[:3] == [chunk.horizon + 1, chunk.horizon + 2, chunk.horizon + 3]
    assert len(horizons) > 1
    assert horizons[-1] == 30


def test_what_is_before_the_start_in_time_counts_as_applied() -> None:
    log = {("a", 0): [stored(0, 40), stored(1, 50), stored(2, 60)]}
    pass_, _ = reading(log, from_key=50)
    (chunk,) = pass_.chunks()
    assert [record.offset for record in chunk.records] == [1, 2]
    assert pass_.positions([Origin(60, "a", 0, 2)])["a"][0] == PartitionPosition(2)


def test_what_came_after_the_start_is_read_though_the_clock_went_back() -> None:
    log = {("a", 0): [stored(0, 40), stored(1, 50), stored(2, 20)], ("b", 0): [stored(0, 30), stored(1, 60)]}
    pass_, _ = reading(log, from_key=50)
    (chunk,) = pass_.chunks()
    assert [(record.topic, record.offset) for record in chunk.records] == [("a", 2), ("a", 1), ("b", 1)]
    # As much as keys may be out of order is nothing to tell of.
    assert chunk.went_back == (20, 50)
    (chunk,) = reading({("a", 0): [stored(0, 30), stored(1, 20)]})[0].chunks()
    assert chunk.went_back is None


def test_a_clock_that_went_back_shows_in_what_is_applied_already_and_not_in_the_future() -> None:
    log = {("a", 0): [stored(0, 50), stored(1, 20), stored(2, 900), stored(3, 55)]}
    applied = {"a": {0: PartitionPosition(0, ((1, 2),))}}
    pass_, _ = reading(log, start=applied, now=lambda: 100, cut_key=100)
    (chunk,) = pass_.chunks()
    assert [record.offset for record in chunk.records] == [0, 3]
    assert chunk.went_back == (20, 50)


def test_what_is_applied_already_is_left_out_and_far_ranges_are_not_even_read() -> None:
    log = {("a", 0): [stored(offset, offset) for offset in range(20_000)]}
    start = {"a": {0: PartitionPosition(3, ((4, 6), (10, 19_990), (19_995, 19_998)))}}
    pass_, feed = reading(log, start=start, chunk_records=1_000)
    (chunk,) = pass_.chunks()
    assert [record.offset for record in chunk.records] == [
        3,
        6,
        7,
        8,
        9,
        *range(19_990, 19_995),
        19_998,
        19_999,
    ]
    assert feed.delivered < 100
    assert pass_.positions(()) == {"a": {0: PartitionPosition(20_000)}}


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (Stored(1, None, b"v", 7), "key is missing"),
        (Stored(1, b"", b"v", 7), "not a time"),
        (Stored(1, b"12a", b"v", 7), "not a time"),
        (Stored(1, b"-5", b"v", 7), "not a time"),
        (Stored(1, "٣".encode(), b"v", 7), "not a time"),
        (Stored(1, b"9" * 19, b"v", 7), "not a time"),
        (Stored(1, b"9" * 400, b"v", 7), "not a time"),
        (Stored(1, b"7000000", None, 7), "no value"),
    ],
)
def test_what_no_server_writes_is_handed_over_in_its_place(record: Stored, found: str) -> None:
    log = {("a", 0): [stored(0, 6_000_000), record, stored(2, 8_000_000)]}
    pass_, _ = reading(log, chunk_records=2)
    first, second = pass_.chunks()
    assert ([record.offset for record in first.records], [record.offset for record in second.records]) == (
        [0],
        [2],
    )
    (malformed,) = first.malformed
    assert second.malformed == ()
    assert found in (malformed.found or "")
    assert (malformed.key, malformed.value) == (record.key, record.value)
    assert malformed.origin == Origin(7_000_000, "a", 0, 1)
    assert pass_.positions([malformed.origin])["a"][0] == PartitionPosition(1, ((2, 3),))


@pytest.mark.parametrize("key", [None, b""])
@pytest.mark.parametrize("value", [None, b""])
def test_a_record_without_key_and_value_is_counted_and_done(key: bytes | None, value: bytes | None) -> None:
    """DVID's Kafka client leaves one where a topic is new."""
    records = [Stored(0, key, value, 5), stored(1, 5), Stored(2, key, value, 5)]
    pass_, _ = reading({("a", 0): records})
    (chunk,) = pass_.chunks()
    assert (chunk.empty, chunk.malformed, len(chunk.records)) == (2, (), 1)
    assert pass_.positions(())["a"][0] == PartitionPosition(3)
    again, _ = reading({("a", 0): records}, start={"a": {0: PartitionPosition(1, ((2, 3),))}})
    (chunk,) = again.chunks()
    assert (chunk.empty, len(chunk.records)) == (0, 1)


def test_an_empty_log_gives_one_empty_chunk() -> None:
    pass_, _ = reading({("a", 0): []}, cut_key=77)
    (chunk,) = pass_.chunks()
    assert (chunk.last, chunk.horizon, chunk.behind, len(chunk.records)) == (True, 77, 0, 0)
    assert (chunk.malformed, list(chunk.lookahead)) == ((), [])
