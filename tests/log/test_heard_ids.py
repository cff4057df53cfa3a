"""Which ids the log has told of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.log import heard_ids
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json
from dvidsync_dagster.log.heard_ids import PATIENCE_NS, Gap, HeardIds

IDS = st.sets(st.integers(1, 400), min_size=1)


def missing(heard: HeardIds) -> set[int]:
    return {each for gap in heard.gaps for each in range(gap.first, gap.last + 1)}


@given(IDS, st.integers(1, 5))
def test_what_is_missing_is_what_nobody_told_of_whatever_the_cut(ids: set[int], pieces: int) -> None:
    ids = {each for each in ids if each % heard_ids.STRIDE}
    heard = HeardIds().with_ids([(0, 0)])
    for piece in range(pieces):
        heard = heard.with_ids((each, each) for each in ids if each % pieces == piece)
    assert missing(heard) == set(range(1, max(ids, default=0))) - ids


def test_ids_that_a_start_of_the_server_skips_are_no_gap() -> None:
    heard = HeardIds().with_ids([(1000000101, 5), (1000000200, 6), (1000000400, 7)])
    assert heard.gaps == (Gap(1000000201, 1000000399, 6, 7),)


def test_a_gap_is_given_up_after_a_while() -> None:
    heard = HeardIds().with_ids([(1, 10), (3, 20), (5, 30)])
    later, over = heard.settled(20 + PATIENCE_NS + 1)
    assert over == (Gap(2, 2, 10, 20),)
    assert later.gaps == (Gap(4, 4, 20, 30),)
    assert later.is_missing_before(5)
    assert not later.with_ids([(4, 25)]).is_missing_before(5)


def test_no_more_gaps_are_kept_than_a_checkpoint_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard_ids, "MOST_GAPS", 10)
    heard, over = HeardIds().with_ids((each, each) for each in range(1, 99, 2)).settled(0)
    assert (len(heard.gaps), len(over)) == (10, 38)


def test_a_checkpoint_holds_them_and_an_older_one_is_read() -> None:
    checkpoint = Checkpoint(1, ids=HeardIds().with_ids([(1, 10), (3, 20)]))
    stored = checkpoint_json(checkpoint)
    assert checkpoint_from_json(stored) == checkpoint
    del stored["ids"]
    assert checkpoint_from_json(stored) == replace(checkpoint, ids=HeardIds())
