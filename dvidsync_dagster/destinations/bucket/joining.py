"""How an instance comes into a snapshot: it is read whole, in a committed version, which does not change.

The first snapshot is that of the branch's newest committed version. An instance that is followed later, and
one whose making the log lacks, joins with the next version that is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dvidsync_dagster.destinations.bucket.draft import Draft
from dvidsync_dagster.destinations.bucket.sides import Sides, paths
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.errors import NOT_HERE, RequestRefused
from dvidsync_dagster.events.repo import NewInstance
from dvidsync_dagster.snapshot.points import POINTS

_log = logging.getLogger(__name__)


class Joining:
    """Lets instances join.

    Args:
        sides: of the instances that are followed.
        repo: the source's.
        note: says something once per run.
    """

    def __init__(self, sides: Sides, repo: RepoInfo, note: Callable[[str], None]) -> None:
        self._sides = sides
        self._repo = repo
        self._note = note

    def missing(self, draft: Draft) -> list[str]:
        """The instances that are followed, and have no tables yet."""
        there = draft.tables.versions
        return [name for name, side in self._sides.items() if not there.keys() >= set(paths(side))]

    def read(self, draft: Draft, version: str, upto_ns: int, table_done: Callable[[], None]) -> None:
        """Read whole, in a committed version, what has no tables yet.

        Args:
            upto_ns: instances that were made later (ns since 1970) are left out.
            table_done: called after each table that is complete.
        """
        for name in self.missing(draft):
            if self._repo.born(name) > upto_ns:
                continue
            try:
                self._read(draft, name, version, table_done)
            except RequestRefused as error:
                # The repo's log tells the second alone in which it was made.
                if error.reason not in NOT_HERE:
                    raise

    def made(self, draft: Draft, event: NewInstance) -> None:
        """An instance was made. If there was one of that name, it is another now."""
        side = self._sides.get(event.name)
        if side is None:
            return
        for path in paths(side):
            draft.tables.drop(path)
        if side.begins_empty:
            for table in side.tables:
                draft.tables.create(table, iter(()))

    def tell_of_missing(self, draft: Draft) -> None:
        for name in self.missing(draft):
            self._note(f"{name} joins the snapshot with the next version that is committed")

    def forget_others(self, draft: Draft) -> None:
        """Drop the tables of what is not followed anymore: they would be of another moment than the rest."""
        followed = {path for side in self._sides.values() for path in paths(side)}
        for path in draft.tables.versions:
            if path not in followed and path != POINTS.path:
                draft.tables.drop(path)
                self._note(f"{path} is not followed anymore: it is no part of the snapshot from now on")

    def _read(self, draft: Draft, name: str, version: str, table_done: Callable[[], None]) -> None:
        complete = draft.tables.versions
        for table, batches in self._sides[name].whole(version):
            if table.path in complete:
                continue
            _log.info("reading %s of version %s", table.path, version)
            draft.tables.create(table, batches)
            _log.info("%s: %s rows", table.path, f"{draft.tables.states[table.path].rows:,}")
            table_done()
