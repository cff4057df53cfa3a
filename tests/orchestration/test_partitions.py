"""Windows: which keys of the log they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dvidsync_dagster.config import StartTime, SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.orchestration.partitions import FOLLOW, RANGE_END, RANGE_START, Windows, follow_tags

DESTINATION = {"name": "copy", "url": "http://c:8000"}
FIELDS: dict[str, object] = {
    "source": {"url": "http://s:8000"},
    "repo": "a78c418b6a194df1adfe21e5a081c877",
    "destinations": [DESTINATION],
}


def windows(every: str) -> Windows:
    return Windows.of(
        SyncConfig.model_validate({**FIELDS, "windows": {"every": every, "start_date": "2026-01-31"}})
    )


def key(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("every", "first", "last", "expected"),
    [
        ("hourly", "2026-02-01T10:59Z", "2026-02-01T11:00Z", ["2026-02-01-10:00"]),
        ("hourly", "2026-02-01T10:59Z", "2026-02-01T11:01Z", ["2026-02-01-10:00", "2026-02-01-11:00"]),
        ("daily", "2026-02-01T10:59Z", "2026-02-01T11:01Z", ["2026-02-01"]),
        ("daily", "2026-02-01T23:59Z", "2026-02-03T00:00Z", ["2026-02-01", "2026-02-02"]),
        ("daily", "2016-01-01T00:00Z", "2016-01-01T00:00Z", ["2026-01-31"]),
        ("daily", "2026-02-01T00:00Z", "2026-02-01T00:00Z", ["2026-02-01"]),
    ],
)
def test_a_span_of_the_log_has_windows(every: str, first: str, last: str, expected: list[str]) -> None:
    assert windows(every).between(key(first), key(last)) == expected


def test_a_key_of_the_future_is_in_the_current_window() -> None:
    daily = windows("daily")
    future = int((datetime.now(UTC) + timedelta(days=3)).timestamp()) * 10**9
    assert daily.at(future) == daily.current() == daily.definition.get_partition_keys()[-1]


def test_windows_have_keys() -> None:
    assert windows("daily").keys("2026-02-01", "2026-02-02") == (
        key("2026-02-01T00:00Z"),
        key("2026-02-03T00:00Z"),
    )


def test_a_run_goes_from_the_checkpoints_window_to_the_current_one() -> None:
    daily = windows("daily")
    current = daily.current()
    at = Checkpoint(1, key_ns=key("2026-02-01T10:00Z"))
    assert follow_tags(daily, at, None) == {RANGE_START: "2026-02-01", RANGE_END: current, FOLLOW: "true"}
    assert follow_tags(daily, None, key("2026-02-02T10:00Z"))[RANGE_START] == "2026-02-02"
    assert follow_tags(daily, None, None)[RANGE_START] == current


def test_without_a_first_day_windows_begin_with_the_earliest_start() -> None:
    destinations = [
        {"name": "a", "url": "http://a:8000", "start": {"time": "2026-03-02T01:00:00Z"}},
        {"name": "b", "url": "http://b:8000", "start": {"time": "2026-03-01T23:00:00-05:00"}},
    ]
    config = SyncConfig.model_validate({**FIELDS, "destinations": destinations})
    assert Windows.of(config).definition.get_first_partition_key() == "2026-03-02"


@pytest.mark.parametrize("every", ["daily", "hourly"])
def test_a_start_in_the_future_loads(every: str) -> None:
    """It is refused by the source's clock when a run begins, and must be legible until then."""
    destinations = [{**DESTINATION, "start": {"time": "2199-01-01T00:00:00Z"}}]
    config = SyncConfig.model_validate({**FIELDS, "destinations": destinations, "windows": {"every": every}})
    windows, start = Windows.of(config), config.servers[0].start
    assert isinstance(start, StartTime)
    assert follow_tags(windows, None, start.key_ns)[RANGE_START] == windows.current()
