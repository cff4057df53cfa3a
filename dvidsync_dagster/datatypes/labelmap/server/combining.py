"""Merges that one request can repeat, and what the destination's own history then says of them.

The bodies end the same in any case. What differs is the destination's list of mutations
(`GET DATA/mutations`): there a combined merge stands once, with the user, app and target of the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, Merge
from dvidsync_dagster.datatypes.server_side import History
from dvidsync_dagster.events.event import Event

MAX_LABELS = 20_000
"""Labels in one merge. The destination announces it in one message too, which must stay below 980 kB."""


def joins(merge: Merge, open_groups: Sequence[tuple[Event, int]], history: History) -> list[int]:
    """Which open groups a merge can be one request with.

    ``[T, a]``, ``[T, b]`` are ``[T, a, b]``; ``[B, d]``, ``[A, B]`` are ``[A, B, d]``. The groups are open:
    nothing else has touched their bodies since. See docs/dvid.md, "Merges that share a body".

    Args:
        open_groups: the last event of each, and how many bodies it touches. One of these stays, the others
            are merged.
    """
    if history == "exact":
        return []
    room = MAX_LABELS - len(merge.labels)
    found = []
    for position, (last, bodies) in enumerate(open_groups):
        if not isinstance(last, Merge) or (history == "by_user" and last.user != merge.user):
            continue
        labels = bodies - 1
        if labels <= room and (last.target == merge.target or last.target in merge.labels):
            room -= labels
            found.append(position)
    return found


def requests_of(events: Iterable[BodyEvent], history: History) -> int:
    """About how many requests repeat operations of one instance, which are in log order: a merge goes along
    with the one before it into the same body."""
    last: dict[tuple[str, int], BodyEvent] = {}
    requests = 0
    for event in events:
        before = last.get((event.version, event.bodies[0]))
        goes_along = isinstance(event, Merge) and before is not None and joins(event, [(before, 2)], history)
        requests += not goes_along
        last.update(((event.version, label), event) for label in event.bodies)
    return requests
