"""What operations on bodies cost in bulk, and one by one. Pure.

In bulk each body that operations change is read and written whole, once; one by one the server does so for
each request, in a third of the time. So a few operations on each of some large neurons cost less one by one.
The figures are those of a real DVID, on two processors: benchmarks/README.md, "choice". What counts is which
of the two costs is higher.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent

_REQUEST, _BLOCK_OF_REQUEST, _BODY_OF_REQUEST = 1.7e-3, 1.3e-6, 20e-6
"""Seconds for a request, for each block of the body that it changes, and for each body that is merged."""

_MAPPED, _BLOCK_IN_BULK, _BODY_IN_BULK = 0.35e-3, 4.7e-6, 50e-6
"""Seconds for a body that gets supervoxels, for each block of a body that is changed, and for each body."""


@dataclass(frozen=True, slots=True)
class Work:
    """Operations on the bodies of one labelmap.

    Args:
        requests: that it takes to repeat them one by one.
        changed: the bodies into which others are merged, and from which others come: the large ones.
        surviving: how many bodies are there after an operation on them.
        touched: how many bodies there are in all.
    """

    requests: int
    changed: Sequence[int]
    surviving: int
    touched: int


def work_of(events: Iterable[BodyEvent], requests: int) -> Work:
    """Operations that take so many requests one by one."""
    changed: dict[int, None] = {}
    surviving: set[int] = set()
    touched: set[int] = set()
    for event in events:
        changed.setdefault(event.bodies[0])
        surviving.update(event.survivors)
        touched.update(event.bodies)
    return Work(requests, list(changed), len(surviving), len(touched))


def costs_less_in_bulk(work: Work, blocks: float) -> bool:
    """Whether it does, where the bodies that are changed have so many blocks each, on average."""
    in_bulk = (
        work.surviving * _MAPPED + work.touched * _BODY_IN_BULK + len(work.changed) * blocks * _BLOCK_IN_BULK
    )
    one_by_one = work.requests * (_REQUEST + blocks * _BLOCK_OF_REQUEST) + work.touched * _BODY_OF_REQUEST
    return in_bulk < one_by_one
