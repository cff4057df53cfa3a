"""What `replay` takes for operations, as the choice between the ways counts it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Merge
from dvidsync_dagster.datatypes.labelmap.server.combining import requests_of
from dvidsync_dagster.datatypes.server_side import History
from dvidsync_dagster.events.origin import Origin
from tests.labelmap.test_following import NO_SPLITS, OPERATIONS, PEOPLE, SEEDS, scene


def merge(number: int, target: int, label: int, user: str = "ann") -> Merge:
    origin = Origin(number, "labels", 0, number)
    return Merge(
        origin=origin,
        instance="bodies",
        version="v",
        mutation_id=number,
        user=user,
        target=target,
        labels=(label,),
    )


def cleave(number: int, orig: int, new: int) -> Cleave:
    origin = Origin(number, "labels", 0, number)
    return Cleave(
        origin=origin,
        instance="bodies",
        version="v",
        mutation_id=number,
        user="ann",
        orig=orig,
        new=new,
        supervoxels=(orig,),
    )


@pytest.mark.parametrize(
    ("events", "requests"),
    [
        ([merge(1, 7, 1), merge(2, 7, 2), merge(3, 8, 3)], {"by_user": 2, "condensed": 2, "exact": 3}),
        ([merge(1, 7, 1), merge(2, 7, 2, "bob")], {"by_user": 2, "condensed": 1, "exact": 2}),
        ([merge(1, 7, 1), cleave(2, 7, 90), merge(3, 7, 2)], {"by_user": 3, "condensed": 3, "exact": 3}),
    ],
    ids=["one user", "two users", "a cleave in between"],
)
def test_merges_into_one_body_go_along(events: list[BodyEvent], requests: dict[History, int]) -> None:
    assert {history: requests_of(events, history) for history in requests} == requests


@settings(max_examples=50)
@given(SEEDS, OPERATIONS, PEOPLE)
def test_more_is_combined_where_it_may_be_of_several_people(seed: int, operations: int, people: int) -> None:
    this = scene(seed, operations, people, NO_SPLITS)
    events = [event for event in this.follower().read(this.log) if isinstance(event, BodyEvent)]
    counts = [requests_of(events, history) for history in ("condensed", "by_user", "exact")]
    assert counts == sorted(counts)
    assert counts[-1] == len(events)
