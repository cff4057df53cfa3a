"""Windows of the source's time: Dagster's partitions, and the keys of the log that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

import dagster as dg

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
FOLLOW = "dvidsync/follow"
"""The tag of a run that goes from the checkpoint to now, whatever windows it was planned for."""

PLANNED_AT_MOST = 400
"""Windows of a run from the checkpoint to now."""

_NS = 1_000_000_000


@dataclass(frozen=True)
class Windows:
    """The windows of one repo, hourly or daily, from the configuration's first day to the current one."""

    definition: dg.TimeWindowPartitionsDefinition

    @staticmethod
    def of(config: SyncConfig) -> Windows:
        first = datetime.combine(config.first_window, time(), UTC)
        kind = (
            dg.HourlyPartitionsDefinition
            if config.windows.every == "hourly"
            else dg.DailyPartitionsDefinition
        )
        return Windows(kind(start_date=first, end_offset=1))

    def at(self, key: int) -> str:
        """The window that holds a record key (ns since 1970); the first or current one if it lies beyond."""
        now = datetime.now(UTC).timestamp()
        seconds = max(min(key // _NS, now), self.definition.start_ts.timestamp)
        return self.definition.get_partition_key_for_timestamp(seconds)

    def current(self) -> str:
        """The window of this moment."""
        return self.at(int(datetime.now(UTC).timestamp()) * _NS)

    def between(self, from_key: int, to_key: int) -> list[str]:
        """The windows that hold the keys in [from_key, to_key), at least one."""
        return self.span(self.at(from_key), self.at(max(from_key, to_key - 1)))

    def span(self, first: str, last: str) -> list[str]:
        """The windows from `first` to `last`."""
        return list(self.definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))

    def keys(self, first: str, last: str) -> tuple[int, int]:
        """The record keys that the windows from `first` to `last` hold: [from, to) in nanoseconds.

        Raises:
            ValueError: one of them is no window.
        """
        start = self.definition.time_window_for_partition_key(first).start
        end = self.definition.time_window_for_partition_key(last).end
        return int(start.timestamp()) * _NS, int(end.timestamp()) * _NS


def range_tags(first: str, last: str) -> Mapping[str, str]:
    """The tags of a run over these windows."""
    return {RANGE_START: first, RANGE_END: last}


def follow_tags(windows: Windows, checkpoint: Checkpoint | None, start_key: int | None) -> Mapping[str, str]:
    """The tags of a run from the checkpoint (or the configured start time) to now."""
    selected = follow_windows(windows, checkpoint, start_key)
    return {**range_tags(selected[0], selected[-1]), FOLLOW: "true"}


def follow_windows(windows: Windows, checkpoint: Checkpoint | None, start_key: int | None) -> list[str]:
    """The windows of a run from the checkpoint (or the configured start time) to now.

    Without either, only the current window is planned: the windows that the log turns out to reach are
    added as they are done, and those before it stay empty. So it is where there would be more than
    `PLANNED_AT_MOST`: a clock that is wrong for one run must not fill years of windows.
    """
    begin = checkpoint.key_ns if checkpoint is not None and checkpoint.key_ns else start_key
    current = windows.current()
    selected = windows.span(windows.at(begin), current) if begin is not None else []
    return selected if 0 < len(selected) <= PLANNED_AT_MOST else [current]
