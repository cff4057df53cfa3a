"""Who wrote the fields of a neuron, and when: DVID keeps both beside each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

USER, TIME = "_user", "_time"

_SECOND = 1_000_000_000
_BEFORE = 2 * _SECOND
"""A stamp tells whole seconds, and may be made before the message."""
_AFTER = 5 * _SECOND
"""A message is made before the write."""


def stamps(fields: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """By field when it was written, by its server's clock, and by whom; "" where that is not told."""
    for name in fields:
        if not name.endswith(TIME):
            continue
        field = name.removesuffix(TIME)
        if field in fields:
            yield field, str(fields[name]), str(fields.get(field + USER) or "")


def made_elsewhere(
    there: Mapping[str, Any], here: Mapping[str, Any], times: Sequence[int], since: int, until: int
) -> bool:
    """Whether a copy of a neuron has a field that the source cannot have written.

    Args:
        there: the copy; `here` what the source has now.
        times: when the source wrote the neuron (ns since 1970): all of `since` to `until`.
        since: the copy was made then or later.
    """
    written_here = set(stamps(here))
    for stamp in stamps(there):
        time = _ns(stamp[1])
        if time is None or not since < time <= until or stamp in written_here:
            continue
        if not any(each - _BEFORE <= time <= each + _AFTER for each in times):
            return True
    return False


def _ns(text: str) -> int | None:
    """Whole seconds. None for what is no time: anybody can post one."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(time.timestamp()) * _SECOND if time.tzinfo is not None else None
