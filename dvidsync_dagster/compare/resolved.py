"""Conflicts that a comparison shows to be resolved."""

from __future__ import annotations

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.differences.findings import Comparison
from dvidsync_dagster.log.conflicts import conflicts_of

_WHY = "a repair: the instance agrees with the source's in this version"


def close_resolved(config: SyncConfig, destination: str, after: Comparison) -> int:
    """Close the rows of a destination's conflict table whose instance agrees in their version; how many.

    Raises:
        ConfigurationError, LogError: the table cannot be read or written.
    """
    table = conflicts_of(config, destination)
    differing = {(row.version, row.instance) for row in (*after.differences, *after.pending)}
    resolved = [
        row
        for row in table.open()
        if (row.version, row.instance) not in differing
        and ("", row.instance) not in differing
        and (not after.versions or row.version in after.versions)
    ]
    table.close(resolved, _WHY)
    return len(resolved)
