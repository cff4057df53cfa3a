"""Waiting until what a run that died has asked of a destination is done: the server goes on without it.

A cleave or a split holds its body's lock, so a look at the body waits for it. A merge or a renumber can work
for long without a trace; but for that its bodies must be large, and then a look at them is slow as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from dvidsync_dagster.datatypes.labelmap.claims import body_key
from dvidsync_dagster.datatypes.labelmap.events import Merge, Renumber
from dvidsync_dagster.datatypes.labelmap.presence import Seen
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused

REST_LOOKS = 15
MERGE_LOOKS = 40
"""A merge takes as long as so many looks at its largest body, at most. (18 were measured.)"""
LONGEST_SECONDS = 600.0
_TIMED_BODIES = 3


def wait_for_rest(client: Transport, root: str, pause: float) -> None:
    """Wait until two looks, `pause` seconds apart, agree.

    A server that others keep busy is waited for `REST_LOOKS` looks at most.
    """
    before = _marks(client, root)
    for look_number in range(REST_LOOKS):
        time.sleep(pause)
        now = _marks(client, root)
        if now == before and (not _is_busy(client) or look_number == REST_LOOKS - 1):
            break
        before = now


def merge_seconds(
    events: Sequence[object], there: Collection[int], seen: Seen, here: Callable[[str], Labelmap]
) -> float:
    """How long a merge or renumber could take that is among the events and not `there` (by index), and
    could be in the server's hands. 0 if their bodies are small.

    Args:
        here: the destination's labelmap of that name.
    """
    keys = {
        body_key(event.instance, event.version, label)
        for index, event in enumerate(events)
        if index not in there and isinstance(event, Merge | Renumber)
        for label in event.bodies
    }
    slowest = sorted(keys & seen.slow.keys(), key=lambda key: seen.slow[key])[-_TIMED_BODIES:]
    longest = 0.0
    for _, instance, version, label in slowest:
        # Once more: the look may have been slow because many were made at once.
        began = time.monotonic()
        here(str(instance)).last_mod(str(version), int(label))
        longest = max(longest, time.monotonic() - began)
    return min(longest * MERGE_LOOKS, LONGEST_SECONDS)


def _marks(client: Transport, root: str) -> tuple[object, ...]:
    info = read_repo_info(client, root)
    return (info.next_mutation_id, [(version.uuid, version.locked) for version in info.versions.values()])


def _is_busy(client: Transport) -> bool:
    try:
        load = client.read_json("/api/load")
    except RequestRefused:
        return False
    return isinstance(load, dict) and bool(load.get("handlers active"))
