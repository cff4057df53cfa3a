"""Instances: made with the source's settings, and synced to what they follow there."""

from __future__ import annotations

from dvidsync_dagster.compare.both_sides import BothSides
from dvidsync_dagster.compare.instances import syncs
from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.registry import REPO
from dvidsync_dagster.datatypes.repairing import carry_out_or_leave
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.findings import DifferenceKind
from dvidsync_dagster.differences.work import ChangeKind, Work
from dvidsync_dagster.repair.pending import PendingRecords

MAKE_INSTANCE = ChangeKind("make instance")
SYNC = ChangeKind("sync")

_REMEDIES = {
    DifferenceKind.INSTANCE_NAME: "DVID has no request that renames: use the server's own command line "
    "(`dvid repo UUID rename`).",
    DifferenceKind.INSTANCE_TYPE: "Delete or rename it at the destination, then repair again.",
    DifferenceKind.INSTANCE_ONLY_AT_DESTINATION: "Nothing is deleted that may be the destination's own. "
    "Name it in the destination's `own`, or delete it there.",
}


def repair_instances(sides: BothSides, pending: PendingRecords, work: Work, carry_out: CarryOut) -> None:
    """Make what is missing. Their data comes with each version's."""
    for row in sides.instances.differences:
        if row.kind in _REMEDIES:
            work.leave("", row.instance, row.what, row.examples, _REMEDIES[row.kind])
    later = [instance for instance in sides.instances.missing if pending.instance(sides, instance.name)]
    missing = [instance for instance in sides.instances.missing if instance not in later]
    work.wait("", "", "instance pending", [instance.name for instance in later])
    if not work.plan("", "", MAKE_INSTANCE, [instance.name for instance in missing]):
        return
    version = _version_to_change(sides)
    # One after the other, as they can be synced to each other.
    steps = [
        Step(
            REPO.repo_repair.make_instance(each, version),
            waits_for=(number - 1,) if number else (),
        )
        for number, each in enumerate(missing)
    ]
    carry_out_or_leave(
        steps,
        [[each.typename] for each in missing],
        MAKE_INSTANCE,
        work,
        carry_out,
        advice="Needs an open version, or the admin token.",
        version="",
    )


def _version_to_change(sides: BothSides) -> str:
    """Instances are the whole repo's, but are changed in a version: an open one of the source's, if there is
    one."""
    versions = [sides.destination_repo.versions[uuid] for uuid in sides.shared_versions()]
    return next((version.uuid for version in versions if not version.locked), sides.destination_repo.root)


def repair_syncs(sides: BothSides, work: Work, carry_out: CarryOut) -> None:
    """Let instances follow what they follow at the source."""
    for pair in sides.instances.pairs:
        here, there = syncs(sides.source_repo, sides.destination_repo, pair)
        if here == there or not work.plan("", pair.source.name, SYNC, [", ".join(here) or "with nothing"]):
            continue
        command = REPO.repo_repair.set_sync(pair.source, here, _version_to_change(sides))
        carry_out_or_leave([Step(command)], [here], SYNC, work, carry_out, version="")
