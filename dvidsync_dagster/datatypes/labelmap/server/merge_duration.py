"""How long a merge can go on that a run which died has asked for.

See docs/dvid.md, "Locks of label operations". A cleave or a split holds its body's lock, so a look at the
body waits for it. A merge or a renumber can work for long without a trace; but for that its bodies must be
large, and then a look at them is slow as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from dvidsync_dagster.datatypes.labelmap.claims import body_key
from dvidsync_dagster.datatypes.labelmap.events import Merge, Renumber
from dvidsync_dagster.datatypes.labelmap.server.presence import Seen
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.events.event import Event

MERGE_LOOKS = 40
"""A merge takes as long as so many looks at its largest body, at most. (18 were measured.)"""
LONGEST_SECONDS = 600.0
_TIMED_BODIES = 3


def merge_seconds(
    events: Sequence[Event], present: Collection[int], seen: Seen, labelmap: Callable[[str], Labelmap]
) -> float:
    """How long a merge or renumber could take that is among the events and not `present` (by index), and
    could be in the server's hands. 0 if their bodies are small.

    Args:
        labelmap: gives the destination's labelmap of that name.
    """
    keys = {
        body_key(event.instance, event.version, label)
        for index, event in enumerate(events)
        if index not in present and isinstance(event, Merge | Renumber)
        for label in event.bodies
    }
    slowest = sorted(keys & seen.slow.keys(), key=lambda key: seen.slow[key])[-_TIMED_BODIES:]
    longest = 0.0
    for _, instance, version, label in slowest:
        # Once more: the look may have been slow because many were made at once.
        began = time.monotonic()
        labelmap(str(instance)).last_mod(str(version), int(label))
        longest = max(longest, time.monotonic() - began)
    return min(longest * MERGE_LOOKS, LONGEST_SECONDS)
