"""What the source says, for tests that have records and no source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent, LabelEvent
from dvidsync_dagster.datatypes.labelmap.gather import Fate, Identity, identity
from dvidsync_dagster.datatypes.place import SourcePlaces
from dvidsync_dagster.dvid.repo import RepoInfo

UNJUDGED = SourcePlaces(RepoInfo("", {}, {}, 0), clock=-1)
"""What the source has is not known yet, so every place will do."""


def all_failed(starts: Sequence[BodyEvent], _done: Sequence[LabelEvent]) -> Mapping[Identity, Fate]:
    """No operation without a completion happened."""
    return {identity(start): Fate.FAILED for start in starts}
