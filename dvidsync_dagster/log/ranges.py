"""Ranges of offsets: (first, one past the last)."""

from __future__ import annotations

from collections.abc import Iterable

Range = tuple[int, int]


def joined(ranges: Iterable[Range]) -> list[Range]:
    """The same offsets in ascending ranges, none empty, those that touch or overlap made one."""
    result: list[Range] = []
    for first, last in sorted(ranges):
        if first >= last:
            continue
        if result and first <= result[-1][1]:
            result[-1] = result[-1][0], max(result[-1][1], last)
        else:
            result.append((first, last))
    return result


def without(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """The offsets of `ranges` that are not in `others`, in ascending ranges."""
    taken_away = joined(others)
    result: list[Range] = []
    for first, last in joined(ranges):
        for other_first, other_last in taken_away:
            if other_last <= first:
                continue
            if other_first >= last:
                break
            if first < other_first:
                result.append((first, other_first))
            first = other_last
        if first < last:
            result.append((first, last))
    return result
