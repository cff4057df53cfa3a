"""Mending a destination that is a DVID server: by commands, which each data type plans for its instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from dvidsync_dagster.compare.both_sides import BothSides
from dvidsync_dagster.compare.instances import InstancePair
from dvidsync_dagster.compare.versions import ordered
from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.contract import DataRepair
from dvidsync_dagster.datatypes.registry import FOLLOWED
from dvidsync_dagster.datatypes.server_side import CarryOut, Commands
from dvidsync_dagster.differences.findings import Difference, DifferenceKind
from dvidsync_dagster.differences.items import Pair, ServerPair
from dvidsync_dagster.differences.work import NotRepaired, Work
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.plan.outcome import DONE, Outcome
from dvidsync_dagster.repair.instances import repair_instances, repair_syncs
from dvidsync_dagster.repair.pending import PendingRecords
from dvidsync_dagster.repair.versions import VersionFinish, make_version

_COMMITTED = (
    "The version is committed, which takes the destination's admin token: name its variable in "
    "`admin_token_env`."
)
_OWN_VERSION = "Versions are not deleted: it may be the destination's own work."

_Mend = Callable[[ServerPair, Work, CarryOut], None]


class ServerMender:
    """See `Mender`. Both servers are looked at anew after each change of the DAG or the instances.

    Args:
        sides: both, as they are now.
        look: looks at them again.
        pending: what is left to the log.
        work: collects what is done.
        commands: takes them at the destination. Instances have the source's names in them.
        changes_committed: committed versions can be changed too.
    """

    def __init__(
        self,
        sides: BothSides,
        look: Callable[[], BothSides],
        pending: PendingRecords,
        work: Work,
        commands: Commands,
        *,
        changes_committed: bool,
    ) -> None:
        self._look = look
        self._changes_committed = changes_committed
        self._sides = sides
        self._pending = pending
        self._work = work
        self._carry_out = self._foresee if work.dry_run else commands.carry_out
        self._try_out = commands.try_out
        self._foreseen: list[Command] = []

    def versions(self) -> list[str]:
        return ordered(self._sides.source_repo, self._sides.versions)

    def instances(self) -> None:
        """They are the whole repo's."""
        if self._sides.chosen:
            return
        self._leave_other_versions()
        repair_instances(self._sides, self._pending, self._work, self._carry_out)
        self._look_again()
        repair_syncs(self._sides, self._work, self._carry_out)

    def version(self, version: str) -> bool:
        if version in self._sides.destination_repo.versions:
            return True
        if self._pending.version(self._sides, version):
            self._work.wait(version, "", "version pending", [version])
            return False
        made = make_version(self._sides, version, self._work, self._carry_out)
        if made:
            self._look_again()
        return made

    def items(self, version: str) -> None:
        for instance in self._sides.instances.pairs:
            self._instance(version, instance, lambda repair: repair.version)

    def finish_version(self, version: str) -> None:
        VersionFinish(
            self._sides,
            version,
            self._pending,
            self._work,
            self._carry_out,
            changes_committed=self._changes_committed,
        ).all()
        self._look_again()

    def counters(self) -> None:
        versions = self._sides.shared_versions()
        for instance in self._sides.instances.pairs:
            name = instance.source.name
            if self._pending.counter(self._sides, name):
                self._work.wait("", name, "label counter pending", ["label counter"])
                continue
            pairs = [_server_pair(self._sides.pair(version, instance)) for version in versions]
            root = self._sides.destination_repo.root
            repair = _repair_of(instance.source)
            if repair is not None:
                repair.instance(pairs, root, self._work, self._carry_out, self._foreseen)

    def left(self, rows: Sequence[Difference]) -> bool:
        places = {(row.version, row.instance) for row in rows if row.kind is DifferenceKind.ITEMS}
        before = len(self._work.changes)
        for version in self.versions():
            for instance in self._sides.instances.pairs:
                if (version, instance.source.name) in places:
                    self._instance(version, instance, lambda repair: repair.left)
        return len(self._work.changes) > before

    def why_left(self, row: Difference) -> str | None:
        instances = {each.source.name: each.source for each in self._sides.instances.pairs}
        if row.kind is not DifferenceKind.ITEMS or row.instance not in instances:
            return None
        repair = _repair_of(instances[row.instance])
        return repair.why_left(row.items) if repair is not None else None

    def _leave_other_versions(self) -> None:
        source, destination = self._sides.source_repo, self._sides.destination_repo
        others = destination.versions.keys() - source.versions.keys() - self._sides.own.versions
        for uuid in ordered(destination, others):
            self._work.leave(uuid, "", "version only at the destination", [uuid], _OWN_VERSION)

    def _instance(self, version: str, instance: InstancePair, mend: Callable[[DataRepair], _Mend]) -> None:
        """What a committed version forbids is planned, but not done."""
        repair = _repair_of(instance.source)
        if repair is None:
            return
        locked = self._sides.destination_repo.versions[version].locked
        forbidden = locked and not self._changes_committed
        own = replace(
            self._work,
            dry_run=self._work.dry_run or forbidden,
            changes=[],
            not_repaired=[],
            pending=[],
            own_edits=[],
        )
        both = _server_pair(self._sides.pair(version, instance))
        # A dry run has not followed before: what a run would leave to the repair is the repair's.
        left = partial(repair.own, pair=both, work=own, try_out=self._try_out)
        pair = _server_pair(
            self._pending.pair(self._sides, version, instance, own, left if self._work.dry_run else None)
        )
        try:
            carry_out = _nothing if forbidden else self._carry_out
            mend(repair)(pair, own, carry_out)
        except RequestRefused as refusal:
            own.leave(version, instance.source.name, "a change", [refusal.request], str(refusal))
        self._work.not_repaired += own.not_repaired
        self._work.pending += own.pending
        if forbidden:
            self._work.not_repaired += [NotRepaired.of(change, _COMMITTED) for change in own.changes]
        else:
            self._work.changes += own.changes
            self._work.own_edits += own.own_edits

    def _foresee(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        self._foreseen += [step.command for step in steps]
        return _nothing(steps)

    def _look_again(self) -> None:
        """In a dry run nothing has changed."""
        if not self._work.dry_run:
            self._sides = self._look()


def _server_pair(pair: Pair) -> ServerPair:
    if not isinstance(pair, ServerPair):
        raise TypeError(f"{pair.destination.name}: this destination is no DVID server")
    return pair


def _nothing(steps: Sequence[Step]) -> Sequence[Outcome]:
    """Carries out nothing."""
    return [DONE] * len(steps)


def _repair_of(instance: Instance) -> DataRepair | None:
    """That of its data type; None if it is not repaired."""
    return FOLLOWED[instance.typename].repair
