"""Instances: made with the source's settings, and synced to what they follow there."""

from __future__ import annotations

import orjson

from dvidsync_dagster.compare.instances import syncs
from dvidsync_dagster.compare.scene import Scene
from dvidsync_dagster.datatypes.instances import creation_settings
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.repo import make_instance
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.repair.pending import Pending
from dvidsync_dagster.repair.work import Work

_REMEDIES = {
    "instance of another name": "DVID has no request that renames: use the server's own command line "
    "(`dvid repo UUID rename`).",
    "instance of another type": "Delete or rename it at the destination, then repair again.",
    "instance only at the destination": "Nothing is deleted that may be the destination's own. Name it "
    "in the destination's `own`, or delete it there.",
}


def repair_instances(scene: Scene, pending: Pending, work: Work) -> None:
    """Make what is missing. Their data comes with each version's."""
    for row in scene.instances.differences:
        if row.what in _REMEDIES:
            work.leave("", row.instance, row.what, row.examples, _REMEDIES[row.what])
    later = [instance for instance in scene.instances.missing if pending.instance(instance.name)]
    missing = [instance for instance in scene.instances.missing if instance not in later]
    work.wait("", "", "instance pending", [instance.name for instance in later])
    if not work.plan("", "", "make instance", [instance.name for instance in missing]):
        return
    for instance in missing:
        work.still_owner()
        try:
            make_instance(scene.copy, _version_to_make_in(scene), creation_settings(instance))
        except RequestRefused as refusal:
            why = f"{refusal}. Needs an open version, or the admin token."
            work.leave("", instance.name, "make instance", [instance.typename], why)


def _version_to_make_in(scene: Scene) -> str:
    versions = scene.copy_repo.versions.values()
    return next((version.uuid for version in versions if not version.locked), scene.copy_repo.root)


def repair_syncs(scene: Scene, work: Work) -> None:
    """Let instances follow what they follow at the source. Annotations sort their elements anew then."""
    for twins in scene.instances.twins:
        here, there = syncs(scene.source_repo, scene.copy_repo, twins)
        if here == there:
            continue
        if not work.plan("", twins.source.name, "sync", [", ".join(here) or "with nothing"]):
            continue
        work.still_owner()
        version = _version_to_make_in(scene)
        try:
            scene.copy.change(
                "POST",
                node_path(version, twins.copy.name, "sync"),
                query={"replace": "true"},
                body=orjson.dumps({"sync": ",".join(here)}),
            )
            if twins.copy.typename == "annotation":
                for uuid in scene.copy_repo.versions:
                    scene.copy.change("POST", node_path(uuid, twins.copy.name, "reload"))
        except RequestRefused as refusal:
            work.leave("", twins.source.name, "sync", here, str(refusal))
