"""Which labels nobody has: asked for many at once, with room for those that others take meanwhile."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.labelmap.counter_rule import HIGHEST_GIVEN
from dvidsync_dagster.datatypes.labelmap.server.free_labels import FreeLabels
from dvidsync_dagster.dvid.labelmap import Labelmap
from tests.labelmap.crowd import ROOT
from tests.labelmap.model import CopysView, ModelLabelmap


def free_labels(taken: set[int], room: int) -> FreeLabels:
    model = ModelLabelmap.filled(ROOT, 0)
    for label in taken:
        model.new_body(ROOT, label)
    return FreeLabels(cast(Labelmap, CopysView(model)), room)


def expected(taken: set[int], label: int, room: int) -> int:
    while taken & set(range(label, label + room)):
        label += 1
    return label


@given(
    st.sets(st.integers(1, 3000), max_size=40),
    st.lists(st.integers(1, 3000), min_size=1, max_size=5),
    st.sampled_from([1, 2, 50, 500]),
)
def test_the_first_label_with_room_is_found(taken: set[int], labels: list[int], room: int) -> None:
    free = free_labels(taken, room)
    for label in labels:
        assert free.first(ROOT, label) == expected(taken, label, room)


def test_what_was_given_is_no_longer_free() -> None:
    free = free_labels({1500}, 100)
    assert free.first(ROOT, 10) == 10
    free.take(10, 700)
    assert free.first(ROOT, 701) == 701
    assert free.first(ROOT, 1450) == 1501


def test_at_the_end_of_all_labels_there_need_be_no_room() -> None:
    free = free_labels({HIGHEST_GIVEN - 1}, 500)
    assert free.first(ROOT, HIGHEST_GIVEN - 3) == HIGHEST_GIVEN
    assert free_labels({HIGHEST_GIVEN}, 500).first(ROOT, HIGHEST_GIVEN) == HIGHEST_GIVEN + 1
