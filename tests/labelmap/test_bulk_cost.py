"""What costs less in bulk: what was measured on a real DVID."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Cleave, Merge
from dvidsync_dagster.datatypes.labelmap.server.bulk_cost import costs_less_in_bulk, work_of
from dvidsync_dagster.datatypes.labelmap.server.combining import requests_of
from dvidsync_dagster.events.origin import Origin


def operations(count: int, bodies: int, cleaves: float) -> list[BodyEvent]:
    """On bodies 1 to so many, drawn; such a share are cleaves."""
    random = Random(1)
    made: list[BodyEvent] = []
    for number in range(count):
        common: dict[str, Any] = {
            "origin": Origin(number, "topic", 0, number),
            "instance": "segmentation",
            "version": "v",
            "mutation_id": number,
            "user": "amy",
            "app": "",
        }
        body, other = random.randint(1, bodies), 1_000_000 + number
        if random.random() < cleaves:
            made.append(Cleave(**common, orig=body, new=other, supervoxels=(number,), data_ref=""))
        else:
            made.append(Merge(**common, target=body, labels=(other,)))
    return made


@pytest.mark.parametrize(
    ("count", "bodies", "cleaves", "blocks", "less"),
    [
        # Small bodies: the table of "choice".
        (100, 400, 0.0, 10, True),
        (2_000, 400, 0.0, 10, True),
        (2_000, 400, 0.3, 10, True),
        (10_000, 400, 0.3, 70, True),
        # Merges of many fragments into few bodies: requests are few.
        (10_000, 50, 0.0, 800, False),
        # Neurons of 50,000 blocks each.
        (1_000, 100, 0.3, 50_000, True),
        (500, 100, 0.3, 50_000, False),
        (100, 100, 0.0, 50_000, False),
    ],
)
def test_as_measured(count: int, bodies: int, cleaves: float, blocks: int, less: bool) -> None:
    events = operations(count, bodies, cleaves)
    work = work_of(events, requests_of(events, "by_user"))
    assert costs_less_in_bulk(work, blocks) is less


def test_what_is_counted() -> None:
    work = work_of(operations(1, 1, 0.0) + operations(2, 1, 1.0), 3)
    assert (work.requests, work.changed, work.surviving, work.touched) == (3, [1], 3, 3)
