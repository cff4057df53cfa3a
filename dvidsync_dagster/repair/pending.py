"""What a repair must not touch: records that the destination has not followed yet tell of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from dvidsync_dagster.compare.apart import apart
from dvidsync_dagster.compare.instances import Twins
from dvidsync_dagster.compare.later import LaterRecords
from dvidsync_dagster.compare.scene import Scene
from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.differences.items import Found, Pair
from dvidsync_dagster.differences.work import Work


@dataclass(frozen=True)
class Pending:
    """Asks the log, each time anew.

    Args:
        settle_seconds: how long after a change the log tells of it, at most.
    """

    later: LaterRecords
    settle_seconds: float

    def version(self, uuid: str) -> bool:
        """Whether records to come make a version, or change its state, note or log."""
        return self._explains(Difference(uuid, "", "version", 1, ()))

    def instance(self, name: str) -> bool:
        """Whether records to come make an instance."""
        return self._explains(Difference("", name, "instance", 1, ()))

    def counter(self, instance: str) -> bool:
        """Whether records to come move a label counter."""
        return self._explains(Difference("", instance, "label counter", 1, ()))

    def holds_open(self, uuid: str) -> bool:
        """Whether records to come change anything in a version."""
        touched = self.later.touched()
        return self.version(uuid) or any(
            version == uuid and items for (_, version), items in touched.items.items()
        )

    def pair(self, scene: Scene, version: str, twins: Twins, work: Work) -> Pair:
        """A pair of which only that is found which the log does not bring. The rest is noted."""
        pair = scene.pair(version, twins)
        ancestors = scene.source_repo.ancestors(version)
        noted: set[str] = set()

        def sift(found: Found) -> Found:
            clear, pending = apart(found, pair, self.later.touched(), ancestors)
            if len(clear) and not scene.source_repo.versions[version].locked and self._waited():
                clear, pending = apart(found, pair, self.later.touched(), ancestors)
            if found.kind.noun not in noted:
                noted.add(found.kind.noun)
                work.wait(version, twins.source.name, f"{found.kind.noun} pending", pending.keys.tolist())
            return clear

        return replace(pair, sieve=sift)

    def _explains(self, row: Difference) -> bool:
        return self.later.touched().explains(row) or (self._waited() and self.later.touched().explains(row))

    def _waited(self) -> bool:
        """The source changes, then says so. False if nothing is said of what is to come."""
        if self.later.known:
            time.sleep(self.settle_seconds)
        return self.later.known
