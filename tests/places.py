"""Places for tests that decode records without a source."""

from __future__ import annotations

from dvidsync_dagster.datatypes.place import SourcePlaces
from dvidsync_dagster.dvid.repo import RepoInfo

UNJUDGED = SourcePlaces(RepoInfo("", {}, {}, 0), clock=-1)
"""What the source has is not known yet, so every place will do."""
