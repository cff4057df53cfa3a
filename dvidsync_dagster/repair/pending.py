"""What a repair leaves to the log: all that is told by records which the destination has not followed yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.compare.apart import pending_among
from dvidsync_dagster.compare.both_sides import BothSides, comparison_of
from dvidsync_dagster.compare.instances import InstancePair
from dvidsync_dagster.compare.later import LaterRecords
from dvidsync_dagster.differences.items import Found, Pair
from dvidsync_dagster.differences.touched import Touched
from dvidsync_dagster.differences.work import Work

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PendingRecords:
    """Tells what such records touch. Each question reads the log anew.

    Args:
        settle_seconds: how long after a change the log tells of it, at most.
    """

    later: LaterRecords
    settle_seconds: float

    def version(self, sides: BothSides, uuid: str) -> bool:
        """Whether records to come make a version, or change its state, note or log."""
        return self._explains(sides, lambda touched: uuid in touched.versions)

    def instance(self, sides: BothSides, name: str) -> bool:
        """Whether records to come make an instance."""
        return self._explains(sides, lambda touched: name in touched.instances)

    def counter(self, sides: BothSides, instance: str) -> bool:
        """Whether records to come move a counter of ids."""
        return self._explains(sides, lambda touched: instance in touched.counters)

    def holds_open(self, sides: BothSides, uuid: str) -> bool:
        """Whether records to come change anything in a version."""
        touched = self.later.touched()
        return self.version(sides, uuid) or touched.changes(uuid)

    def pair(
        self,
        sides: BothSides,
        version: str,
        instance: InstancePair,
        work: Work,
        left_alone: Callable[[Found], Mask] | None = None,
    ) -> Pair:
        """A pair in which a comparison finds only what the log will not bring. What it will bring is noted in
        `work` as pending.

        Args:
            left_alone: which items a run leaves as they are, whatever the log tells of them.
        """
        pair, comparison = sides.pair(version, instance), comparison_of(instance)
        ancestors = sides.source_repo.ancestors(version)
        is_open = not sides.source_repo.versions[version].locked
        noted: set[str] = set()

        def sift(found: Found) -> Found:
            is_pending = pending_among(found, pair, comparison, self.later.touched(), ancestors)
            if not is_pending.all() and is_open and self._waited(time.monotonic()):
                is_pending = pending_among(found, pair, comparison, self.later.touched(), ancestors)
            if left_alone is not None and is_pending.any():
                is_pending[is_pending] = ~left_alone(found.only(is_pending))
            if found.kind.name not in noted:
                noted.add(found.kind.name)
                what = f"{found.kind.name} pending"
                work.wait(version, instance.source.name, what, found.keys[is_pending].tolist())
            return found.only(~is_pending)

        return replace(pair, sieve=sift)

    def _explains(self, sides: BothSides, question: Callable[[Touched], bool]) -> bool:
        return question(self.later.touched()) or (
            self._waited(sides.looked_at) and question(self.later.touched())
        )

    def _waited(self, read_at: float) -> bool:
        """Wait until the log tells of all changes that were made before a read of the source: it tells of a
        change only after it is made. False if it is not known which records are still to come.

        Args:
            read_at: when the source was read (`time.monotonic`).
        """
        if self.later.known:
            time.sleep(max(0.0, read_at + self.settle_seconds - time.monotonic()))
        return self.later.known
