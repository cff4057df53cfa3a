"""Records whose key is ahead of the source's clock.

Kafka has them already, so such a key is wrong: the source's clock was ahead for a while, or no server wrote
it. They are set aside until the clock has passed their key, and hold nothing back: neither what lies
behind them in their partition nor the order of the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.outgoing_text import counted

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
    shown: tuple[Record, ...] = ()

    @property
    def in_short(self) -> str:
        """How many, and how far ahead."""
        text = f"{counted(self.records, 'record waits', 'records wait')}: "
        return text + f"keys are up to {_span(self.furthest_ns)} ahead of the source's clock"

    def __str__(self) -> str:
        text = self.in_short
        if not self.far:
            return f"{text}. They are applied once it has passed them"
        places = "; ".join(str(record.origin) for record in self.shown)
        more = f" and {self.far - len(self.shown):,} more" if self.far > len(self.shown) else ""
        return (
            f"{text}. {self.far:,} of them by more than a day, which is hardly a server's doing: "
            f"{places}{more}. "
            f"They hold nothing else back. If the source's clock is right: `dvidsync quarantine show` tells "
            f"what they are, `dvidsync quarantine skip` lets them pass"
        )

    def without(self, passed: Collection[Origin]) -> AheadOfClock:
        """What is left if these of the shown ones are let pass."""
        if not passed:
            return self
        shown = tuple(record for record in self.shown if record.origin not in passed)
        count = len(self.shown) - len(shown)
        return replace(self, records=self.records - count, far=self.far - count, shown=shown)


NOTHING_AHEAD = AheadOfClock()


@dataclass
class SetAside:
    """Counts the records ahead of the clock, and remembers those that are worth showing."""

    _records: int = 0
    _furthest: int = 0
    _far: int = 0
    _shown: list[Record] = field(default_factory=list)

    def add(self, records: Iterable[Record], now: int) -> list[Record]:
        """Count these, which are ahead of `now` (ns since 1970). Returns those that are not far ahead."""
        near = []
        for record in records:
            self._records += 1
            self._furthest = max(self._furthest, record.key_ns - now)
            if record.key_ns - now <= FAR_NS:
                near.append(record)
                continue
            self._far += 1
            self._shown.append(record)
        self._shown = heapq.nsmallest(SHOWN, self._shown)
        return near

    @property
    def found(self) -> AheadOfClock:
        return AheadOfClock(self._records, self._furthest, self._far, tuple(self._shown))


def _span(nanoseconds: int) -> str:
    return str(timedelta(seconds=max(1, round(nanoseconds / 1e9))))
