"""Mending a snapshot in a bucket: rows that differ are written as the source has them.

The branch's newest version is mended, and the older ones as they were kept when they were committed. Tables
and versions that are missing come with runs, which make them from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dvidsync_dagster.compare.both_sides import BothSides, comparison_of
from dvidsync_dagster.compare.instances import InstancePair
from dvidsync_dagster.compare.versions import log_texts, ordered
from dvidsync_dagster.datatypes.registry import REPO
from dvidsync_dagster.destinations.bucket.compared import BucketSide
from dvidsync_dagster.destinations.bucket.repaired import SnapshotRepair, TableChange
from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.differences.items import Found
from dvidsync_dagster.differences.work import ChangeKind, Work
from dvidsync_dagster.dvid.repo import Version
from dvidsync_dagster.repair.pending import PendingRecords
from dvidsync_dagster.repair.versions import COMMIT

VERSION_ROW = ChangeKind("version put right")

_JOINS = "A run adds it, with the newest version that is committed."
_NO_VERSION = "A run makes it, from the log."
_OWN_NAMES = "Delete the snapshot's folder, and the next run makes it anew."


class BucketMender:
    """See `Mender`.

    Args:
        sides: both, as they are now.
        pending: what is left to the log.
        work: collects what is done.
        snapshot: takes the changes.
        say: gets a line on what stays as it was.
    """

    def __init__(
        self,
        sides: BothSides,
        pending: PendingRecords,
        work: Work,
        snapshot: SnapshotRepair,
        say: Callable[[str], None],
    ) -> None:
        self._sides = sides
        self._pending = pending
        self._work = work
        self._snapshot = snapshot
        self._say = say
        self._changes: list[TableChange] = []

    def versions(self) -> list[str]:
        return ordered(self._sides.source_repo, self._sides.versions)

    def instances(self) -> None:
        """They are the whole repo's."""
        if self._sides.chosen:
            return
        missing = {each.name for each in self._sides.instances.missing}
        for row in self._sides.instances.differences:
            why = _JOINS if row.instance in missing else _OWN_NAMES
            self._work.leave("", row.instance, row.what, row.examples, why)

    def version(self, version: str) -> bool:
        if version in self._sides.destination_repo.versions:
            return True
        if self._pending.version(self._sides, version):
            self._work.wait(version, "", "version pending", [version])
        else:
            self._work.leave(version, "", "version only at the source", [version], _NO_VERSION)
        return False

    def items(self, version: str) -> None:
        self._changes = []
        for instance in self._sides.instances.pairs:
            if self._snapshot.holds(version, instance.destination.name):
                self._instance(version, instance)

    def finish_version(self, version: str) -> None:
        here = self._sides.source_repo.versions[version]
        there = self._sides.destination_repo.versions[version]
        committed = self._row(here, there)
        if not (self._changes or committed) or self._work.dry_run:
            return
        self._snapshot.change(version, self._changes, committed=committed)
        if self._snapshot.has_release(version):
            self._say(
                f"the release of version {version} stays as it was written: delete its folder below "
                f"releases/, and a run writes it anew"
            )

    def counters(self) -> None:
        """A snapshot counts nothing."""

    def left(self, rows: Sequence[Difference]) -> bool:
        return False

    def why_left(self, row: Difference) -> str | None:
        return None

    def _instance(self, version: str, instance: InstancePair) -> None:
        name = instance.source.name
        pair = self._pending.pair(self._sides, version, instance, self._work)
        found, _ = comparison_of(instance).items(pair, lower_scales=False)
        if not found or not isinstance(pair.destination, BucketSide):
            return
        side = pair.destination
        if not self._work.dry_run:
            changes = side.tables.renewed(found, version, side.rows, pair.sieve, self._snapshot.log_time_ns)
            if changes is None:
                for each in found:
                    what = f"{each.kind.name} tied to pending ones"
                    self._work.wait(version, name, what, each.keys.tolist())
                return
            tables = {table.path: table for table in side.tables.tables}
            self._changes += [(tables[path], change) for path, change in changes.items()]
        for each in found:
            self._work.plan(version, name, put_right(each), each.keys.tolist())

    def _row(self, here: Version, there: Version) -> bool:
        """Put a version's own row right. True if it is committed at the source, and not yet here."""
        uuid = here.uuid
        committed = here.locked and not there.locked
        if not committed and _told(here) == _told(there):
            return False
        if self._pending.version(self._sides, uuid) or (
            committed and self._pending.holds_open(self._sides, uuid)
        ):
            self._work.wait(uuid, "", "version pending", [uuid])
            return False
        if there.locked and not here.locked:
            self._work.leave(uuid, "", COMMIT, ["open here, committed there"], _OWN_NAMES)
        kind = COMMIT if committed else VERSION_ROW
        if self._work.plan(uuid, "", kind, [here.note]):
            self._changes.append(REPO.renewed_version(here, locked=here.locked or there.locked))
        return committed


def put_right(found: Found) -> ChangeKind:
    """What is done about items that differ."""
    return ChangeKind(f"{found.kind.name} put right")


def _told(version: Version) -> tuple[object, ...]:
    """What a version's row holds of it that can differ."""
    return sorted(version.parents), version.branch or "master", version.note, log_texts(version)
