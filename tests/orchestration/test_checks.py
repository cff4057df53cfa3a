"""What a destination's checks say of the end of a run."""

from __future__ import annotations

import pytest

from dvidsync_dagster.log.ahead import FAR_NS, NOTHING_AHEAD, AheadOfClock
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.orchestration.checks import LAG_ALLOWED_SECONDS, RunEnd, check_lag
from dvidsync_dagster.run.report import ChunkReport, Lag


def end(lag: Lag, ahead: AheadOfClock = NOTHING_AHEAD) -> RunEnd:
    # The source's clock is years behind this machine's.
    run = RunEnd()
    run.add(ChunkReport(Checkpoint(1, key_ns=5), 0, 5, lag, lag, ahead=ahead))
    return run


@pytest.mark.parametrize(("seconds", "passed"), [(3.0, True), (LAG_ALLOWED_SECONDS + 1, False)])
def test_a_lag_is_one_by_the_sources_clock(seconds: float, passed: bool) -> None:
    result = check_lag(end(Lag(7, seconds)))
    assert result is not None
    assert result.passed is passed
    assert result.metadata["records"].value == 7


def test_what_would_wait_for_years_fails_the_check_and_is_shown() -> None:
    record = Record(4_102_444_800 * 10**9, "topic", 3, 17, b"", raw_key=b"")
    result = check_lag(end(Lag(1, 0.0), AheadOfClock(1, 700 * FAR_NS, 1, (record,))))
    assert result is not None
    assert not result.passed
    assert "topic partition 3 offset 17 (2100-01-01" in (result.description or "")


def test_what_waits_a_moment_is_only_told() -> None:
    result = check_lag(end(Lag(1, 0.0), AheadOfClock(1, 40 * 10**9)))
    assert result is not None
    assert result.passed
    assert "0:00:40 ahead" in (result.description or "")
