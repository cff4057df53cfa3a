"""How an instance comes into a snapshot, and how it leaves.

It is read whole, in a committed version, which does not change. One that was made after the moment at which
the tables are, and whose log tells all that came into it, begins empty.

A record of the log that tells of its making counts for nothing: anybody who can write to the log can repeat
one, and the first messages of an instance are the likeliest to be lost. What there is, the source tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dvidsync_dagster.destinations.bucket.draft import Draft
from dvidsync_dagster.destinations.bucket.instance_identity import (
    are_of_another,
    data_uuids,
    is_newborn,
    was_in,
)
from dvidsync_dagster.destinations.bucket.sides import Sides, paths
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid import repo_log
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.outgoing_text import counted, escaped
from dvidsync_dagster.refusal_reason import NOT_HERE
from dvidsync_dagster.snapshot.points import POINTS

_SHOWN = 100
"""Characters of a name in a note."""

_log = logging.getLogger(__name__)


class Joining:
    """Lets instances join, and takes out those that are no part of the snapshot anymore.

    Args:
        sides: of the instances that are followed.
        note: says something once per run.
    """

    def __init__(self, sides: Sides, source: Source, note: Callable[[str], None]) -> None:
        self._sides = sides
        self._source = source
        self._note = note
        self._born = repo_log.born(source.repo.log)
        self._newborn: set[str] = set()
        self._checked_at = 0

    def missing(self, draft: Draft) -> list[str]:
        """The instances that are followed, and have no tables yet."""
        there = draft.tables.versions
        return [name for name, side in self._sides.items() if not there.keys() >= set(paths(side))]

    def recognise(self, draft: Draft) -> None:
        """Drop the tables of what is not followed anymore, and of instances whose names others have now: they
        would be of another moment than the rest."""
        instances = {name: side.instance for name, side in self._sides.items() if name}
        self._newborn = {
            name for name, each in instances.items() if is_newborn(draft.state, each, self._born)
        }
        others = {name for name, each in instances.items() if are_of_another(draft.state, each, self._born)}
        # Elements tell which supervoxels of the other one lay under them.
        others |= {
            name
            for name, each in instances.items()
            if self._sides[name].begins_empty and others.intersection(each.syncs)
        }
        owners = {path: name for name, side in self._sides.items() for path in paths(side)}
        for path in draft.tables.versions:
            if path == POINTS.path:
                continue
            shown = escaped(path, _SHOWN)
            if path not in owners:
                draft.tables.drop(path)
                self._note(f"{shown} is not followed anymore: it is no part of the snapshot from now on")
            elif owners[path] in others:
                draft.tables.drop(path)
                self._note(
                    f"{shown} leaves the snapshot: the source has another instance by that name now, or "
                    f"under its elements. The versions that were committed keep what it held"
                )
        draft.know_instances(data_uuids(self._source.repo.instances.values()), others)

    def read(
        self,
        draft: Draft,
        version: str,
        table_done: Callable[[], None],
        *,
        is_open: bool = False,
        committed_ns: int = 0,
    ) -> None:
        """Read whole what has no tables yet, and was there when the version was committed. Of what begins
        empty it makes no difference when it was made: the log tells all that came later.

        Args:
            table_done: called after each table that is complete.
            is_open: the version is the root, and open: whatever is there is read.
            committed_ns: when the log told that the version was committed (ns since 1970); 0 if it did not.
        """
        for name in self.missing(draft):
            side = self._sides[name]
            if not (is_open or side.begins_empty or not name or self._was_in(name, version, committed_ns)):
                continue
            try:
                self._read(draft, name, version, table_done)
            except RequestRefused as error:
                # It was deleted just now.
                if error.reason not in NOT_HERE:
                    raise

    def begin_empty(self, draft: Draft) -> None:
        """Make the tables of instances of which the log tells all that came into them."""
        for name in self._newborn.intersection(self.missing(draft)):
            side = self._sides[name]
            if side.begins_empty:
                for table in side.tables:
                    draft.tables.create(table, iter(()))

    def tell_of_missing(self, draft: Draft) -> None:
        for name in self.missing(draft):
            self._note(f"{escaped(name, _SHOWN)} joins the snapshot with the next version that is committed")

    def check(self, draft: Draft) -> None:
        """That each name still means the instance that was read by it, if anything was since the last time.

        Raises:
            ServerFailed: one does not.
        """
        if draft.tables.commits == self._checked_at:
            return
        repo = self._source.repo
        now = read_repo_info(self._source.client, repo.root).instances
        for name in self._sides.keys() - {""}:
            if name not in now or now[name].data_uuid != repo.instances[name].data_uuid:
                raise ServerFailed(
                    "GET repo info",
                    f"tells that {escaped(name, _SHOWN)} is not the instance that it was when the run began. "
                    f"Nothing of this was committed: run again",
                )
        self._checked_at = draft.tables.commits

    def _was_in(self, name: str, version: str, committed_ns: int) -> bool:
        repo = self._source.repo
        told = [each for each in (committed_ns, repo.versions[version].committed_at_latest) if each]
        return was_in(
            self._sides[name].instance, repo.versions[version], repo, self._born, min(told, default=0)
        )

    def _read(self, draft: Draft, name: str, version: str, table_done: Callable[[], None]) -> None:
        complete = draft.tables.versions
        for table, batches in self._sides[name].whole(version):
            if table.path in complete:
                continue
            _log.info("reading %s of version %s", escaped(table.path), version)
            draft.tables.create(table, batches)
            _log.info("%s: %s", escaped(table.path), counted(draft.tables.states[table.path].rows, "row"))
            table_done()
