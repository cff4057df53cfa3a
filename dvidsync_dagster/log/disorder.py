"""Keys that go back inside a partition: the source's clock went back, or messages came that much later.

The log is ordered by keys. Where they go back, what came later is sorted before what came earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import itemgetter, sub

from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.record import Partition, Record

_SECOND = 1_000_000_000
# Without a loop's step for each record: there are millions.
_KEY, _OFFSET = (itemgetter(Record._fields.index(name)) for name in ("key_ns", "offset"))


class Disorder:
    """Watches the keys of each partition in the order of its offsets.

    Args:
        allowed_ns: how far keys may be out of order.
    """

    def __init__(self, allowed_ns: int) -> None:
        self.found: tuple[int, int] | None = None
        """From the lowest key that went back to the highest one before such a key."""
        self._allowed = allowed_ns
        self._highest: dict[Partition, int] = {}

    def watch(
        self, partition: Partition, fresh: Sequence[Record], applied: Sequence[Record], now: int
    ) -> None:
        """The next records of a partition, well-formed ones. Those ahead of the clock (`now`) do not count.

        Args:
            applied: those that are applied already, which lie among the fresh ones.
        """
        records = sorted((*fresh, *applied), key=_OFFSET) if applied else fresh
        keys = list(map(_KEY, records))
        if max(keys, default=0) > now:
            keys = [key for key in keys if key <= now]
        highest = self._highest.get(partition, 0)
        self._highest[partition] = max(highest, max(keys, default=0))
        if max(map(sub, accumulate(keys, max, initial=highest), keys), default=0) <= self._allowed:
            return
        for key in keys:
            highest = max(highest, key)
            if key < highest - self._allowed:
                lowest, top = self.found or (key, highest)
                self.found = min(lowest, key), max(top, highest)


def went_back_text(lowest: int, highest: int) -> str:
    """For people: what it means that keys went back (ns since 1970)."""
    seconds = (highest - lowest) // _SECOND
    return (
        f"the source's clock went back, by up to {seconds} s: what it announced between {key_text(lowest)} "
        f"and {key_text(highest)} is not in the order in which it was done (or messages came that late). "
        f"Operations on bodies of one version keep their order. Where others could not be applied, `dvidsync "
        f"repair --apply` brings over what is missing."
    )
