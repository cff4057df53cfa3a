"""Eras of mutation ids: a source that was restored counts them again."""

from __future__ import annotations

from dvidsync_dagster.log.eras import EraClock

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
BOOT = 1_795_411_076 * SECOND


def sent(eras: EraClock, seconds: int, mutation_id: int, *, boot: int = BOOT, wrong_by: int = 0) -> int:
    key = boot + seconds * SECOND + wrong_by
    return eras.era_of(key, f"2026-11-23 04:46:03.07 +0000 UTC m=+{seconds}.000000000", mutation_id)


def test_a_clock_that_was_ahead_for_a_while_does_not_hide_a_restore() -> None:
    eras = EraClock()
    assert sent(eras, 10, 1_001) == 0
    assert sent(eras, 20, 1_002, wrong_by=HOUR) == 0
    assert sent(eras, 30, 1_003) == 0
    assert eras.boot == BOOT
    restored = BOOT + HOUR // 2
    assert sent(eras, 5, 1_001, boot=restored) == restored + 5 * SECOND


def test_what_was_done_before_the_clock_went_back_is_no_new_era_though_it_is_sorted_behind() -> None:
    eras = EraClock(went_back=(BOOT - HOUR, BOOT + 20 * SECOND))
    assert sent(eras, 30, 1_003, wrong_by=-HOUR) == 0
    assert sent(eras, 10, 1_001) == 0
    assert sent(eras, 20, 1_002) == 0
    # What comes later can be one.
    restored = BOOT + HOUR
    assert sent(eras, 5, 1_001, boot=restored) == restored + 5 * SECOND


def test_a_straggler_of_the_time_before_a_restore_stays_in_its_era() -> None:
    eras = EraClock()
    sent(eras, 10, 1_005)
    restored = BOOT + HOUR
    era = sent(eras, 5, 1_001, boot=restored)
    assert sent(eras, 20, 1_006) == 0
    assert sent(eras, 6, 1_002, boot=restored) == era
