"""A bucket as a destination: it holds a snapshot of one branch as tables, and its checkpoint with them.

What a run writes to the tables is seen by nobody until `snapshot.json` names it. So nothing is ever half
done, and a run that dies leaves nothing behind that the next one does not take back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from types import TracebackType

from dvidsync_dagster.config import BucketConfig
from dvidsync_dagster.destinations.bucket.beside import write_readme, write_releases
from dvidsync_dagster.destinations.bucket.commits import untold_commit
from dvidsync_dagster.destinations.bucket.configured_bucket import table_app
from dvidsync_dagster.destinations.bucket.draft import Draft
from dvidsync_dagster.destinations.bucket.first_snapshot import FirstSnapshot
from dvidsync_dagster.destinations.bucket.joining import Joining
from dvidsync_dagster.destinations.bucket.sides import snapshot_sides, table_paths, under
from dvidsync_dagster.destinations.bucket.stretches import VersionStretch, in_stretches
from dvidsync_dagster.destinations.bucket.table_places import refuse_nested, refuse_places
from dvidsync_dagster.destinations.bucket.tables import BranchTables
from dvidsync_dagster.destinations.bucket.versions import BranchVersions
from dvidsync_dagster.destinations.in_order import in_order
from dvidsync_dagster.destinations.protocol import Brought, ConflictRow, Standing
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.events.repo import Commit
from dvidsync_dagster.log.checkpoint import Checkpoint, LogStart
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer, Snapshot, refuse_tables_alone
from dvidsync_dagster.snapshot.points import POINTS
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Change, Table

_LATE = (
    "it changes a version that the snapshot holds as committed. `dvidsync verify` shows what differs, "
    "and `dvidsync repair --apply` brings it over"
)


class BucketDestination:
    """A `Destination`.

    Args:
        config: names it.
        bucket: where the snapshot is.
        source: what it follows.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        note: says something once per run.
    """

    def __init__(
        self,
        config: BucketConfig,
        bucket: Bucket,
        source: Source,
        *,
        still_owner: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._config = config
        self._bucket = bucket
        self._source = source
        self._still_owner = still_owner
        self._note = note
        self._versions = BranchVersions.of(source.repo, config.branch)
        self._sides = snapshot_sides(source, config.branch, config.field, note)
        refuse_places(bucket, config.branch, table_paths(self._sides), config.field)
        self._joining = Joining(self._sides, source, note)
        self._first = FirstSnapshot(
            config, source, self._versions, self._joining, still_owner=still_owner, note=note
        )
        self._draft: Draft | None = None
        self._again = False
        self._told: object = None
        self._waits_in: frozenset[str] = frozenset()

    def __enter__(self) -> BucketDestination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open, and nothing in flight."""

    # As a destination

    def meet(self, checkpoint: Checkpoint | None) -> Checkpoint | LogStart:
        """Own the bucket, and take back what a run left that was stopped. Its own checkpoint counts."""
        root = self._source.repo.root
        # A bucket that does not fit is left as it is.
        there = Pointer.load(self._bucket)
        if there is None:
            refuse_tables_alone(self._bucket, self._config.branch)
        known = self._first.state(there or Snapshot(repo=root, epoch=0))
        self._refuse_nested(known)
        pointer = Pointer.claimed(self._bucket, root)
        snapshot = pointer.snapshot
        state = self._first.state(snapshot)
        tables = BranchTables(
            self._bucket,
            self._config.branch,
            app=table_app(snapshot.repo, self._config),
            epoch=snapshot.epoch,
            states=state.tables,
        )
        draft = self._draft = Draft(pointer, self._config.branch, tables, state)
        self._joining.recognise(draft)
        if snapshot.checkpoint is None:
            self._first.make(draft)
        if draft.reached.is_committed:
            self._joining.read(draft, draft.state.uuid, self._still_owner)
        self._joining.begin_empty(draft)
        self._joining.tell_of_missing(draft)
        if snapshot.checkpoint is None:
            return self._first.log_start(draft)
        if checkpoint is not None and checkpoint.key_ns > snapshot.checkpoint.key_ns:
            self._note(
                f"the bucket's own checkpoint counts, of {key_text(snapshot.checkpoint.key_ns)}: it is older "
                f"than the one that is known of it"
            )
        return snapshot.checkpoint

    def _refuse_nested(self, state: BranchState) -> None:
        """Of tables that are to be made: there is a place for each."""
        new = {
            name: [path for path in own if path not in state.tables]
            for name, own in table_paths(self._sides).items()
            if name
        }
        refuse_nested(self._bucket, self._config.branch, new, self._config.field)

    def begin_pass(self, checkpoint: Checkpoint | None, *, again: bool) -> None:
        """What is read again is there: the tables hold all that lies before their checkpoint."""
        self._again = again

    def contents(self) -> RepoInfo:
        """What it has of the source, or is to have: once a run has met it, no version that it has not
        reached."""
        repo, versions = self._source.repo, self._versions.versions
        if self._draft is not None:
            versions = versions[: (self._versions.place(self._draft.state.uuid) or 0) + 1]
        return replace(
            repo,
            versions={each.uuid: each for each in versions},
            instances={name: repo.instances[name] for name in repo.instances if self._source.followed(name)},
        )

    def bring(self, batch: Batch) -> Brought:
        if self._again or batch.again:
            return Brought(applied=list(batch.events), present=len(batch.events))
        draft = self._met
        if self._first.was_read_anew(draft, batch, self._concerns):
            return Brought(applied=list(batch.events), present=len(batch.events))
        began = time.monotonic()
        missing = self._joining.missing(draft)
        ordered = in_order(batch)
        self._waits_in = frozenset(event.version for event in (*ordered.held, *batch.awaited))
        shared = {each.name for each in self._source.repo.instances.values() if not each.is_versioned}
        found = in_stretches(ordered.events, self._versions, draft.reached, shared)
        for version in found.untold:
            shown = escaped(version, 100)
            self._note(f"the log lacks the making of version {shown}: it is followed as the source has it")
        for stretch in found.stretches:
            self._bring(draft, stretch)
        reports = draft.tables.reports(draft.state.uuid)
        return Brought(
            applied=ordered.events,
            held=ordered.held,
            present=found.present,
            conflicts=tuple(
                ConflictRow.of(event, _LATE)
                for event in found.late
                if event.instance not in missing and self._concerns(event)
            ),
            tables=reports,
            seconds={"apply": time.monotonic() - began},
        )

    def _concerns(self, event: Event) -> bool:
        side = self._sides.get(event.instance)
        return side is None or side.concerns(event)

    def keep(self, checkpoint: Checkpoint, standing: Standing) -> Checkpoint:
        """All tables and the checkpoint change together."""
        if self._again:
            return checkpoint
        draft = self._met
        if not self._first.is_sure_at(draft, checkpoint.key_ns):
            return checkpoint
        untold = untold_commit(self._versions, draft.reached, self._waits_in, checkpoint.key_ns, standing)
        if untold is not None:
            self._note(
                f"the log lacks the commit of version {escaped(untold.version, 100)}: the source tells of it"
            )
            self._bring(draft, untold)
        self._joining.check(draft)
        draft.commit(checkpoint)
        if standing is not Standing.UNDER_WAY:
            self._write_beside(draft)
        return checkpoint

    def agreeing(self, rows: Sequence[ConflictRow]) -> Collection[str]:
        """What it cannot take stays as it is until a repair."""
        return ()

    @property
    def requests(self) -> int:
        """Commits to tables, and to the pointer."""
        return self._draft.commits if self._draft is not None else 0

    def _write_beside(self, draft: Draft) -> None:
        """What readers find beside the tables. The snapshot stands without it."""
        snapshot = draft.pointer.snapshot
        told = (draft.state.uuid, draft.tables.states, bool(snapshot.pins))
        if told != self._told:
            tables = [table for side in self._sides.values() for table in side.tables]
            held = [table for table in [*tables, POINTS] if table.path in draft.tables.versions]
            write_readme(self._bucket, snapshot, self._config.branch, held, draft.tables.rows)
            self._told = told
        if self._config.releases == "committed":
            write_releases(
                self._bucket,
                snapshot,
                synced=under(self._sides),
                still_owner=self._still_owner,
                note=self._note,
            )

    # What happened since

    @property
    def _met(self) -> Draft:
        if self._draft is None:
            raise RuntimeError("a run meets a destination before it brings anything")
        return self._draft

    def _bring(self, draft: Draft, stretch: VersionStretch) -> None:
        self._still_owner()
        draft.go_on_to(stretch.version)
        key_ns = max((event.origin.key_ns for event in stretch.events), default=draft.state.log_time_ns)
        if stretch.events:
            self._change(draft, stretch.events, stretch.version, key_ns)
        if stretch.is_committed and not draft.reached.is_committed:
            committed_ns = min(
                (each.origin.key_ns for each in stretch.events if isinstance(each, Commit)), default=0
            )
            self._joining.read(draft, stretch.version, self._still_owner, committed_ns=committed_ns)
            draft.pin(key_ns)
        self._joining.tell_of_missing(draft)

    def _change(self, draft: Draft, events: list[Event], version: str, key_ns: int) -> None:
        """All changes come from the tables as they were before, so that one can look up another's rows."""
        rows = draft.tables.rows
        missing = set(self._joining.missing(draft))
        changes: list[tuple[Table, Change]] = []
        for name, side in self._sides.items():
            if name not in missing:
                tables = {table.path: table for table in side.tables}
                found = side.changes(events, version, rows)
                changes += [(tables[path], change) for path, change in found.items()]
        draft.tables.change(changes, key_ns=key_ns)
