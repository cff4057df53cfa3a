"""Eras: a source that was restored from a backup counts its mutation ids again.

Every message tells how long its server has been up (Go's ``m=+6.97`` in `Timestamp`). A server that
restarts goes on above all ids that it gave away; one that was restored does not. So: a new boot whose ids are
not above those seen before begins a new era, named by the key of its first such message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UPTIME = re.compile(r" m=\+?(\d{1,12})(?:\.(\d{1,9}))?$")
# Two clocks make the time of a boot: they drift apart a little.
_SAME_BOOT = 60 * 1_000_000_000


def boot_time(key: int, timestamp: str) -> int | None:
    """When the server that sent a message was started (ns since 1970); None if the text does not tell."""
    match = _UPTIME.search(timestamp)
    if match is None:
        return None
    seconds, fraction = match.groups()
    return key - int(seconds) * 1_000_000_000 - int((fraction or "0").ljust(9, "0"))


@dataclass(slots=True)
class EraClock:
    """Tells the era of each label operation, given in log order.

    Args:
        era: the key at which the current era began, or 0.
        boot: when the source was started, as last seen; 0 if never seen.
        highest: the highest mutation id of the current era.
        went_back: between these keys the records are in disorder, as the clock went back (`LogChunk`): what
            looks like another boot can be the one before, and begins no era.
    """

    era: int = 0
    boot: int = 0
    highest: int = 0
    went_back: tuple[int, int] | None = None
    _previous_era: int = 0

    def era_of(self, key: int, timestamp: str, mutation_id: int) -> int:
        boot = boot_time(key, timestamp)
        if boot is None:
            return self.era
        if self.boot and boot < self.boot - _SAME_BOOT:
            # A straggler of the server before the last start.
            if self.era > boot:
                return self._previous_era
            if mutation_id > self.highest:
                # Or the same server, whose clock was ahead when it sent those before.
                self.boot, self.highest = boot, mutation_id
            return self.era
        is_new = bool(self.boot) and boot > self.boot + _SAME_BOOT and mutation_id <= self.highest
        if is_new and not self._is_in_disorder(key):
            self._previous_era, self.era, self.highest = self.era, key, 0
        if not self.boot or boot > self.boot + _SAME_BOOT:
            self.boot = boot
        self.highest = max(self.highest, mutation_id)
        return self.era

    def _is_in_disorder(self, key: int) -> bool:
        return self.went_back is not None and self.went_back[0] <= key <= self.went_back[1]
