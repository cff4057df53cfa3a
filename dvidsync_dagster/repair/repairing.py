"""The whole repair of a destination: compare, change, compare again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from dvidsync_dagster.clients import open_destination, open_source
from dvidsync_dagster.compare.comparison import compare_servers
from dvidsync_dagster.compare.later import LaterRecords
from dvidsync_dagster.compare.reading import Say
from dvidsync_dagster.compare.scene import Scene, look_at
from dvidsync_dagster.compare.versions import ordered
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.differences.items import Pair
from dvidsync_dagster.differences.work import Left, Repair, Work
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.repair.annotation import repair_annotation
from dvidsync_dagster.repair.instances import repair_instances, repair_syncs
from dvidsync_dagster.repair.keyvalue import repair_keyvalue
from dvidsync_dagster.repair.label_counters import repair_counters
from dvidsync_dagster.repair.labelmap import VOXELS, repair_labelmap
from dvidsync_dagster.repair.neuronjson import repair_neuronjson
from dvidsync_dagster.repair.pending import Pending
from dvidsync_dagster.repair.versions import finish_version, make_version

REPAIRS: Mapping[str, Callable[[Pair, Work], None]] = {
    "labelmap": repair_labelmap,
    "keyvalue": repair_keyvalue,
    "neuronjson": repair_neuronjson,
    "annotation": repair_annotation,
}
"""By data type: repairs one version."""

_COMMITTED = (
    "The version is committed, which takes the destination's admin token: name its variable in "
    "`admin_token_env`."
)


def repair(
    config: SyncConfig,
    destination: DestinationConfig,
    *,
    dry_run: bool,
    still_owner: Callable[[], None],
    checkpoint: Checkpoint | None = None,
    stuck: bool = False,
    say: Say = lambda _: None,
) -> Repair:
    """Bring a destination to its source's state, as far as that can be done.

    Nothing else may write to the destination in the meantime. It can be interrupted and started again.

    Args:
        checkpoint: from which on the log brings what it tells of, so that it is left alone. Without, a repair
            runs ahead of the log.
        stuck: the destination cannot follow. Then the repair runs ahead of what the log tells up to now.
        dry_run: change nothing, and tell what would be changed. What a version inherits from its parent then
            shows in both.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        say: gets a line per version.

    Raises:
        ConfigurationError, ServerError, BrokerUnreachable, OwnershipLost: what was changed before stays
            changed.
    """
    with (
        open_source(config) as source,
        open_destination(destination, administers=True) as copy,
    ):
        work = Work(dry_run, still_owner, destination.requests_in_flight)
        scene = look_at(config, destination, source, copy)
        with LaterRecords(config, scene, checkpoint, say, from_now=stuck) as later:
            pending = Pending(later, config.settle_seconds)
            _Repairing(config, destination, scene, pending, work, say).all()
        if dry_run:
            return Repair(tuple(work.changes), tuple(work.left), None, tuple(work.pending))
        say("Comparing once more.")
        after = compare_servers(config, destination, source, copy, reached=lambda: checkpoint)
        work.left += [
            Left(**asdict(row), why=VOXELS) for row in after.differences if row.what.startswith("bodies ")
        ]
        return Repair(tuple(work.changes), tuple(work.left), after, tuple(work.pending))


class _Repairing:
    """One repair under way. The scene is looked at anew after each change of the DAG or the instances."""

    def __init__(
        self,
        config: SyncConfig,
        destination: DestinationConfig,
        scene: Scene,
        pending: Pending,
        work: Work,
        say: Say,
    ) -> None:
        self._look: Callable[[], Scene] = lambda: look_at(config, destination, scene.source, scene.copy)
        self._scene = scene
        self._pending = pending
        self._work = work
        self._say = say

    def all(self) -> None:
        """Instances first, then each version after its parents, then the counters."""
        scene = self._scene
        for uuid in ordered(
            scene.copy_repo, scene.copy_repo.versions.keys() - scene.source_repo.versions.keys()
        ):
            why = "Versions are not deleted: it may be the destination's own work."
            self._work.leave(uuid, "", "version only at the destination", [uuid], why)
        repair_instances(scene, self._pending, self._work)
        self._look_again()
        repair_syncs(self._scene, self._work)
        for version in ordered(scene.source_repo, scene.versions):
            self._version(version)
        for twins in self._scene.instances.twins:
            if twins.source.typename == "labelmap":
                if self._pending.counter(twins.source.name):
                    self._work.wait("", twins.source.name, "label counter pending", ["label counter"])
                else:
                    repair_counters(self._scene, twins, self._work)

    def _version(self, version: str) -> None:
        if version not in self._scene.copy_repo.versions:
            if self._pending.version(version):
                self._work.wait(version, "", "version pending", [version])
                return
            if not make_version(self._scene, version, self._work):
                return
            self._look_again()
        locked = self._scene.copy_repo.versions[version].locked
        for twins in self._scene.instances.twins:
            forbidden = locked and not self._scene.copy.has_admin_token
            mended = Work(self._work.dry_run or forbidden, self._work.still_owner, self._work.in_flight)
            pair = self._pending.pair(self._scene, version, twins, mended)
            try:
                REPAIRS[twins.source.typename](pair, mended)
            except RequestRefused as refusal:
                mended.leave(version, twins.source.name, "a change", [refusal.request], str(refusal))
            self._add(mended, forbidden)
        finish_version(self._scene, version, self._pending, self._work)
        self._look_again()
        self._say(f"{version}: done")

    def _add(self, done: Work, forbidden: bool) -> None:
        self._work.left += done.left
        self._work.pending += done.pending
        if not forbidden:
            self._work.changes += done.changes
            return
        self._work.left += [Left(**asdict(change), why=_COMMITTED) for change in done.changes]

    def _look_again(self) -> None:
        """In a dry run nothing has changed."""
        if not self._work.dry_run:
            self._scene = self._look()
