"""Versions: made with the source's ids, noted, logged and committed as there."""

from __future__ import annotations

from dvidsync_dagster.compare.both_sides import BothSides
from dvidsync_dagster.compare.versions import log_texts
from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.registry import REPO
from dvidsync_dagster.datatypes.repairing import carry_out_or_leave
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.work import ChangeKind, Work
from dvidsync_dagster.repair.pending import PendingRecords

MAKE_VERSION = ChangeKind("make version")
NOTE = ChangeKind("note")
LOG = ChangeKind("log")
COMMIT = ChangeKind("commit")

_NEEDS_TOKEN = "Name the admin token in `admin_token_env`: the version is committed."


def make_version(sides: BothSides, uuid: str, work: Work, carry_out: CarryOut) -> bool:
    """Make a version that the destination does not have. True if it is there now."""
    version = sides.source_repo.versions[uuid]
    if len(version.parents) != 1:
        why = "It has several parents (or none), which no request can make: make a fresh copy."
        work.leave(uuid, "", MAKE_VERSION, [version.note], why)
        return False
    parent = version.parents[0]
    there = sides.destination_repo.versions.get(parent)
    if not work.dry_run and (there is None or not there.locked):
        why = f"Its parent {parent} is not committed there."
        work.leave(uuid, "", MAKE_VERSION, [version.note], why)
        return False
    if not work.plan(uuid, "", MAKE_VERSION, [f"child of {parent}"]):
        return False
    step = Step(REPO.repo_repair.make_version(sides.source_repo.versions[parent], version))
    return carry_out_or_leave([step], [[version.note]], MAKE_VERSION, work, carry_out, version=uuid)


class VersionFinish:
    """Note, log and lock of a version that both have, once its items are repaired."""

    def __init__(
        self,
        sides: BothSides,
        uuid: str,
        pending: PendingRecords,
        work: Work,
        carry_out: CarryOut,
        *,
        changes_committed: bool,
    ) -> None:
        self._changes_committed = changes_committed
        self._sides = sides
        self._uuid = uuid
        self._here = sides.source_repo.versions[uuid]
        self._there = sides.destination_repo.versions[uuid]
        self._pending = pending
        self._work = work
        self._carry_out = carry_out

    def all(self) -> None:
        here, there = self._here, self._there
        self._leave_what_is_made_once()
        same_log = log_texts(here) == log_texts(there)
        if (here.note, here.locked) == (there.note, there.locked) and same_log:
            return
        if self._pending.version(self._sides, self._uuid):
            self._work.wait(self._uuid, "", "version pending", [self._uuid])
            return
        if here.note != there.note and self._work.plan(self._uuid, "", NOTE, [here.note]):
            self._do(REPO.repo_repair.write_note(here), NOTE, here.note)
        self._write_log()
        if here.locked and not there.locked:
            self._commit()

    def _leave_what_is_made_once(self) -> None:
        here, there = self._here, self._there
        for what, one, other in (
            ("parents of the version", sorted(here.parents), sorted(there.parents)),
            ("branch of the version", here.branch or "master", there.branch or "master"),
        ):
            if one != other:
                why = "A version is made once: make a fresh copy."
                self._work.leave(self._uuid, "", what, [f"{one} here, {other} there"], why)
        if there.locked and not here.locked:
            why = "A committed version cannot be opened again: make a fresh copy."
            self._work.leave(self._uuid, "", COMMIT, ["open here, committed there"], why)

    def _write_log(self) -> None:
        wanted, has = log_texts(self._here), log_texts(self._there)
        if wanted[: len(has)] != has:
            why = "A log can only be added to, and the destination's has other lines."
            self._work.leave(self._uuid, "", LOG, wanted, why)
            return
        missing = wanted[len(has) :]
        if self._work.plan(self._uuid, "", LOG, missing):
            self._do(REPO.repo_repair.write_log(self._here, missing), LOG, str(list(missing)))

    def _commit(self) -> None:
        note = self._here.note
        if self._pending.holds_open(self._sides, self._uuid):
            self._work.wait(self._uuid, "", "commit pending", [note])
        elif self._work.plan(self._uuid, "", COMMIT, [note]):
            self._do(REPO.repo_repair.commit(self._here), COMMIT, note)

    def _do(self, command: Command, kind: ChangeKind, shown: str) -> None:
        advice = "" if self._changes_committed else _NEEDS_TOKEN
        carry_out_or_leave([Step(command)], [[shown]], kind, self._work, self._carry_out, advice=advice)
