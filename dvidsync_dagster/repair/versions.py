"""Versions: made with the source's ids, noted, logged and committed as there."""

from __future__ import annotations

from collections.abc import Callable

from dvidsync_dagster.compare.scene import Scene
from dvidsync_dagster.compare.versions import log_texts
from dvidsync_dagster.dvid.repo import Version, commit_version, new_version, write_log, write_note
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.repair.pending import Pending
from dvidsync_dagster.repair.work import Work


def make_version(scene: Scene, uuid: str, work: Work) -> bool:
    """Make a version that the destination does not have. True if it is there now."""
    version = scene.source_repo.versions[uuid]
    if len(version.parents) != 1:
        why = "It has several parents (or none), which no request can make: make a fresh copy."
        work.leave(uuid, "", "make version", [version.note], why)
        return False
    parent = version.parents[0]
    there = scene.copy_repo.versions.get(parent)
    if not work.dry_run and (there is None or not there.locked):
        work.leave(uuid, "", "make version", [version.note], f"Its parent {parent} is not committed there.")
        return False
    if not work.plan(uuid, "", "make version", [f"child of {parent}"]):
        return False
    work.still_owner()
    try:
        _post_child(scene.copy, version, scene.source_repo.versions[parent])
    except RequestRefused as refusal:
        work.leave(uuid, "", "make version", [version.note], str(refusal))
        return False
    return True


def _post_child(copy: Transport, version: Version, parent: Version) -> None:
    if version.branch == f"tag-{version.uuid}":
        endpoint, body = "tag", {"tag": version.uuid, "note": version.note}
    elif version.branch != parent.branch:
        endpoint = "branch"
        body = {"branch": version.branch, "note": version.note, "uuid": version.uuid}
    else:
        endpoint, body = "newversion", {"note": version.note, "uuid": version.uuid}
    new_version(copy, parent.uuid, endpoint, body)


def finish_version(scene: Scene, uuid: str, pending: Pending, work: Work) -> None:
    """Note, log and lock of a version that both have, once its data is repaired."""
    here, there = scene.source_repo.versions[uuid], scene.copy_repo.versions[uuid]
    for what, one, other in (
        ("parents of the version", sorted(here.parents), sorted(there.parents)),
        ("branch of the version", here.branch or "master", there.branch or "master"),
    ):
        if one != other:
            why = "A version is made once: make a fresh copy."
            work.leave(uuid, "", what, [f"{one} here, {other} there"], why)
    if there.locked and not here.locked:
        why = "A committed version cannot be opened again: make a fresh copy."
        work.leave(uuid, "", "commit", ["open here, committed there"], why)
    same_log = log_texts(here) == log_texts(there)
    if (here.note, here.locked) == (there.note, there.locked) and same_log:
        return
    if pending.version(uuid):
        work.wait(uuid, "", "version pending", [uuid])
        return
    if here.note != there.note and work.plan(uuid, "", "note", [here.note]):
        _take(lambda: write_note(scene.copy, uuid, here.note), scene, uuid, "note", here.note, work)
    _log(scene, here, there, work)
    if here.locked and not there.locked and pending.holds_open(uuid):
        work.wait(uuid, "", "commit pending", [here.note])
    elif here.locked and not there.locked and work.plan(uuid, "", "commit", [here.note]):
        _take(lambda: commit_version(scene.copy, uuid, {}), scene, uuid, "commit", here.note, work)


def _log(scene: Scene, here: Version, there: Version, work: Work) -> None:
    wanted, has = log_texts(here), log_texts(there)
    if wanted == has:
        return
    if wanted[: len(has)] != has:
        why = "A log can only be added to, and the destination's has other lines."
        work.leave(here.uuid, "", "log", wanted, why)
        return
    missing = list(wanted[len(has) :])
    if work.plan(here.uuid, "", "log", missing):
        _take(lambda: write_log(scene.copy, here.uuid, missing), scene, here.uuid, "log", str(missing), work)


def _take(step: Callable[[], None], scene: Scene, uuid: str, what: str, shown: str, work: Work) -> None:
    work.still_owner()
    try:
        step()
    except RequestRefused as refusal:
        why = f"{refusal}. Name the admin token in `admin_token_env`: the version is committed."
        work.leave(uuid, "", what, [shown], why if not scene.copy.has_admin_token else str(refusal))
