"""Times as DVID writes them, in nanoseconds since 1970.

A time that the tables of a snapshot cannot hold, or that most readers of tables do not know, is no time here:
that before 1970 (Go's own zero is the year 1) and that from the year 2262 on, where 64 bits end.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([+-]\d{4})")
_JSON_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_END = 2**63


def json_time(text: object) -> int:
    """A time as Go writes it to JSON (``2026-11-23T05:18:01.720954221Z``), else 0."""
    match = _JSON_TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return 0
    seconds, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(seconds + zone.replace("Z", "+00:00"))
    except ValueError:
        return 0
    return _known(moment, fraction)


def line_time(text: str) -> int:
    """The time of a log's line or of a body's last change, with its zone, else 0."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return _known(moment, None) if moment.tzinfo is not None else 0


def go_time(text: str) -> int:
    """Go's text of a time (``2026-11-23 05:18:01.720954221 +0000 UTC m=+5.39``).

    Raises ValueError if it is none.
    """
    match = _GO_TIME.match(text)
    if not match:
        raise ValueError(f"no time: {text!r}")
    seconds, fraction, zone = match.groups()
    sign = -1 if zone[0] == "-" else 1
    offset = timezone(sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])))
    moment = datetime.strptime(seconds, "%Y-%m-%d %H:%M:%S").replace(tzinfo=offset)
    return nanoseconds(str(_seconds(moment)), fraction)


@lru_cache(maxsize=1024)
def index_time(seconds: int) -> str:
    """As the index of a body tells when it was changed last: of a time in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def nanoseconds(seconds: str, fraction: str | None) -> int:
    """Of a number of seconds with its decimal places."""
    return int(seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def _known(moment: datetime, fraction: str | None) -> int:
    time = nanoseconds(str(_seconds(moment)), fraction)
    return time if 0 < time < _END else 0


def _seconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _SECOND
