"""What people did in a copied folder before dvidsync met it is told from what came with the copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Merge, Renumber
from dvidsync_dagster.datatypes.labelmap.server.copied_folder import first_own_number
from dvidsync_dagster.dvid.labelmap import LastMod
from dvidsync_dagster.events.origin import Origin

BEGAN = 1_795_411_081
"""Seconds since 1970."""


def origin(number: int) -> Origin:
    return Origin((BEGAN + number) * 1_000_000_000, "topic", 0, number)


def merge(number: int, target: int, *labels: int) -> Merge:
    return Merge(origin=origin(number), version="v", mutation_id=number, target=target, labels=labels)


def cleave(number: int, orig: int, new: int, *supervoxels: int) -> Cleave:
    return Cleave(
        origin=origin(number), version="v", mutation_id=number, orig=orig, new=new, supervoxels=supervoxels
    )


def renumber(number: int, orig: int, new: int) -> Renumber:
    return Renumber(origin=origin(number), version="v", mutation_id=number, orig=orig, new=new)


def last(number: int, *, app: str = "neu3", late: int = 0) -> LastMod:
    changed = datetime.fromtimestamp(BEGAN + number + late, UTC)
    return LastMod(number, "amy", app, changed.strftime("%Y-%m-%dT%H:%M:%SZ"))


def found(events: Sequence[BodyEvent], lasts: Mapping[int, LastMod | None], **homes: int) -> int | None:
    """With 200 as the number at which the destination was met; `homes` as sv5=1."""
    there = {int(name[2:]): body for name, body in homes.items()}
    return first_own_number(
        events,
        {("v", label): each for label, each in lasts.items()},
        lambda _, supervoxels: {each: there[each] for each in supervoxels},
        era=0,
        below=200,
    )


def test_what_came_with_the_copy_is_the_sources() -> None:
    events = [merge(10, 1, 2), merge(11, 1, 3), cleave(12, 4, 50, 5), renumber(13, 6, 60)]
    lasts = {1: last(11), 2: None, 3: None, 4: last(12), 50: last(12), 6: None, 60: last(13)}
    assert found(events, lasts, sv5=50) is None


def test_from_the_first_event_that_is_not_there_on_all_is_the_destinations_own() -> None:
    events = [merge(10, 1, 2), merge(11, 7, 8), merge(12, 9, 1)]
    assert found(events, {1: last(10), 2: None, 7: last(3), 8: last(4), 9: last(5)}) == 11


def test_a_body_that_the_event_ended_is_still_there() -> None:
    assert found([merge(10, 1, 2)], {1: last(15), 2: last(3)}) == 10
    assert found([renumber(10, 2, 1)], {1: last(15), 2: last(3)}) == 10
    assert found([merge(10, 1, 2)], {1: last(15), 2: last(12)}) is None  # made again since


def test_a_number_that_the_source_gave_to_other_bodies_is_the_destinations_own() -> None:
    events = [merge(10, 1, 2), merge(11, 7, 8), merge(12, 1, 9)]
    assert found(events, {1: last(12), 2: None, 9: None, 7: last(12), 8: None}) == 12
    assert found(events, {1: last(12), 2: None, 9: None, 7: last(11), 8: None}) is None


def test_a_number_that_no_message_tells_of_may_be_that_of_voxels_written() -> None:
    assert found([merge(10, 1, 2)], {1: last(15), 2: None}) is None


@pytest.mark.parametrize("late", [-3600, 3600])
def test_the_source_did_it_at_another_time(late: int) -> None:
    event = replace(merge(10, 1, 2), started_ns=origin(10).key_ns)
    assert found([event], {1: last(10, late=late), 2: None}) == 10


def test_what_the_event_cleaved_is_still_in_the_old_body() -> None:
    event = cleave(10, 1, 50, 5)
    assert found([event], {1: last(10), 50: last(10)}, sv5=1) == 10
    assert found([event], {1: last(12), 50: last(10)}, sv5=1) is None  # merged again since


def test_what_dvidsync_did_and_what_came_later_is_no_matter() -> None:
    events = [merge(10, 1, 2), merge(11, 7, 8)]
    assert found(events, {1: last(3, app="neu3+dvidsync@9"), 7: last(210), 8: None}) is None
    assert found([merge(300, 1, 2)], {1: last(10), 2: last(10)}) is None
