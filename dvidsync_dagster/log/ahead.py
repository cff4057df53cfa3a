"""Records whose key is ahead of the source's clock.

Kafka has them already, so such a key is wrong: the source's clock was ahead for a while, or no server wrote
it. They are set aside until the clock has passed their key, and hold nothing back: neither what lies
behind them in their partition nor the order of the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from dvidsync_dagster.log.merge import Entry
from dvidsync_dagster.log.record import Origin

FAR_NS = 86_400_000_000_000
"""What is further ahead than this, a day, is not just waited for: people are told where it is."""

SHOWN = 20


@dataclass(frozen=True, slots=True)
class AheadOfClock:
    """What a reading has set aside.

    Args:
        records: how many.
        furthest_ns: how far the furthest of them is ahead of the source's clock, in nanoseconds.
        far: how many are ahead by more than `FAR_NS`.
        shown: these, or the first of them in the order of the log.
    """

    records: int = 0
    furthest_ns: int = 0
    far: int = 0
    shown: tuple[Origin, ...] = ()

    def __str__(self) -> str:
        text = f"{self.records:,} records wait: their keys are up to {_span(self.furthest_ns)} ahead of the "
        text += "source's clock"
        if not self.far:
            return f"{text}. They are applied once it has passed them"
        places = "; ".join(map(str, self.shown))
        more = f" and {self.far - len(self.shown):,} more" if self.far > len(self.shown) else ""
        return (
            f"{text}. {self.far:,} of them by more than a day, which is hardly a server's doing: "
            f"{places}{more}. "
            f"If the source's clock is right, look at them with a Kafka client and pass them over with "
            f"`dvidsync quarantine skip TOPIC/PARTITION/OFFSET`; they hold nothing else back"
        )


NOTHING_AHEAD = AheadOfClock()


@dataclass
class SetAside:
    """Counts the records ahead of the clock, and remembers those that are worth showing."""

    _records: int = 0
    _furthest: int = 0
    _far: int = 0
    _shown: list[Origin] = field(default_factory=list)

    def add(self, entries: Iterable[Entry], now: int) -> list[Entry]:
        """Count these, which are ahead of `now` (ns since 1970). Returns those that are not far ahead."""
        near = []
        for entry in entries:
            self._records += 1
            self._furthest = max(self._furthest, entry.key - now)
            if entry.key - now <= FAR_NS:
                near.append(entry)
                continue
            self._far += 1
            self._shown.append(Origin(entry.key, entry.topic, entry.partition, entry.offset))
        self._shown = heapq.nsmallest(SHOWN, self._shown)
        return near

    @property
    def found(self) -> AheadOfClock:
        return AheadOfClock(self._records, self._furthest, self._far, tuple(self._shown))


def _span(nanoseconds: int) -> str:
    return str(timedelta(seconds=max(1, round(nanoseconds / 1e9))))
