"""The ledger: positions say exactly what is applied, in few words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.checkpoint import PartitionPosition
from dvidsync_dagster.log.ledger import OffsetLedger
from tests.log.positions import applied, is_tidy, partition_positions

END = 80


@settings(max_examples=300)
@given(st.data())
def test_positions_are_exact(data: st.DataObject) -> None:
    start = data.draw(partition_positions())
    ledger = OffsetLedger({"t": {1: start}})
    done, seen, outstanding = applied(start, END), start.next, set[int]()
    released: set[int] = set()
    for _ in range(data.draw(st.integers(0, 5))):
        if data.draw(st.booleans()):
            following = data.draw(st.integers(seen, END))
            fresh = set(range(seen, following)) - applied(start, END)
            holes = data.draw(st.sets(st.sampled_from(sorted(fresh)))) if fresh else set()
            ledger.read(("t", 1), following, fresh - holes)
            outstanding |= fresh - holes
            seen = max(seen, following)
        elif outstanding:
            leaving = data.draw(st.sets(st.sampled_from(sorted(outstanding))))
            ledger.release(("t", 1), leaving)
            outstanding -= leaving
            released |= leaving
    unapplied = data.draw(st.sets(st.sampled_from(sorted(released)))) if released else set()

    position = ledger.positions(Origin(0, "t", 1, offset) for offset in unapplied)["t"][1]

    assert applied(position, END) == (done | set(range(seen))) - outstanding - unapplied
    assert is_tidy(position)
    assert ledger.outstanding == len(outstanding)
    assert ledger.next_offset(("t", 1)) == seen


def test_a_million_applied_records_are_few_words() -> None:
    ledger = OffsetLedger({"t": {0: PartitionPosition(0)}})
    ledger.read(("t", 0), 1_000_000, range(1_000_000))
    ledger.release(("t", 0), range(1_000_000))
    unapplied = [Origin(0, "t", 0, offset) for offset in (10, 500_000)]
    assert ledger.positions(unapplied) == {
        "t": {0: PartitionPosition(10, ((11, 500_000), (500_001, 1_000_000)))}
    }
    assert ledger.positions() == {"t": {0: PartitionPosition(1_000_000)}}


def test_partitions_that_are_not_read_stay_as_they_are() -> None:
    start = {"other": {4: PartitionPosition(3, ((5, 6),))}, "t": {0: PartitionPosition(0)}}
    ledger = OffsetLedger(start)
    ledger.read(("t", 0), 2, [1])
    assert ledger.positions() == {**start, "t": {0: PartitionPosition(1)}}


@pytest.mark.parametrize("offset", [1, 6, 20])
def test_what_was_never_read_cannot_be_left_unapplied(offset: int) -> None:
    ledger = OffsetLedger({"t": {0: PartitionPosition(2, ((5, 7),))}})
    ledger.read(("t", 0), 10, ())
    with pytest.raises(ValueError, match=f"offset {offset}"):
        ledger.positions([Origin(0, "t", 0, offset)])
    with pytest.raises(ValueError, match="u partition 0"):
        ledger.positions([Origin(0, "u", 0, 3)])
