"""What the source says, for tests that have records and no source."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from dvidsync_dagster.datatypes.source_places import SourcePlaces
from dvidsync_dagster.datatypes.source_side import Fate, SourceSide
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.events.event import Event

UNJUDGED = SourcePlaces(RepoInfo("", {}, {}, 0), clock=-1)
"""What the source has is not known yet, so every place will do."""


class AllFailed(SourceSide):
    """No event without a completion happened."""

    def __init__(self) -> None:
        """Without a server."""

    def fates(self, starts: Sequence[Event], done: Sequence[Event]) -> Mapping[Hashable, Fate]:
        return {start.identity: Fate.FAILED for start in starts}


ALL_FAILED: Mapping[str, SourceSide] = {"labelmap": AllFailed()}
