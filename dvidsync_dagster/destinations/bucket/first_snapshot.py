"""The first snapshot of a branch.

It is that of the newest committed version, which does not change while it is read. A repo may have none, as
its root is open. Then the root is read, and the log tells later whether bodies were changed meanwhile: values
are read again where they were, but a body could have been read half before and half after. In that case it
is read anew. Readers see nothing before it is sure.
"""

from __future__ import annotations

from collections.abc import Callable

from dvidsync_dagster.config import BucketConfig
from dvidsync_dagster.destinations.bucket.draft import Draft
from dvidsync_dagster.destinations.bucket.joining import Joining
from dvidsync_dagster.destinations.bucket.time_margins import with_margin
from dvidsync_dagster.destinations.bucket.versions import BranchVersions
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.repo import read_server_info
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event, NumberedEvent
from dvidsync_dagster.log.checkpoint import LogStart
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.pointer import BranchState, Snapshot


class FirstSnapshot:
    """Makes it.

    Args:
        config: names the destination.
        versions: of the branch.
        joining: reads what has no tables yet.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        note: says something once per run.
    """

    def __init__(
        self,
        config: BucketConfig,
        source: Source,
        versions: BranchVersions,
        joining: Joining,
        *,
        still_owner: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._config = config
        self._source = source
        self._versions = versions
        self._joining = joining
        self._still_owner = still_owner
        self._note = note
        self._was_read_now = False
        self._waits = False

    def state(self, snapshot: Snapshot) -> BranchState:
        """Of the branch, as the bucket has it; of a new snapshot, where it begins.

        Raises:
            ConfigurationError: the bucket holds another branch, or versions that the source does not have.
        """
        field = f"{self._config.field}.branch"
        others = sorted(snapshot.branches.keys() - {self._config.branch})
        if others:
            raise ConfigurationError(
                field,
                f"the bucket holds branch {escaped(others[0])}",
                "Give each branch a folder of its own.",
            )
        known = snapshot.branches.get(self._config.branch)
        base = self._versions.base(self._source.info.clock)
        if known is None or (known.read_until_ns and base.is_committed):
            clock = self._source.info.clock
            return BranchState(uuid=base.uuid, base=base.uuid, base_read_ns=clock, log_time_ns=base.start_ns)
        if self._versions.place(known.uuid) is None:
            raise ConfigurationError(
                field,
                f"the snapshot is at version {escaped(known.uuid)}, which the source's branch does not have",
                "Give the branch a new folder.",
            )
        return known

    def make(self, draft: Draft) -> None:
        """Make it, or go on where an earlier run was stopped.

        Raises:
            Unfit: a table cannot hold what the source has.
            StorageError, ServerError, OwnershipLost.
        """
        if draft.state.committed or draft.state.read_until_ns:
            return
        if self._versions.is_committed(draft.state.base):
            self._read_committed(draft)
        else:
            self._read_open(draft)
            self._note(
                "no version of the branch is committed, so the open root was read. Readers see the snapshot "
                "once a later run has found in the log that no body was changed meanwhile"
            )

    def log_start(self, draft: Draft) -> LogStart:
        """From where on the log is read: what the tables have of it is left out."""
        there = draft.state.log_time_ns
        return LogStart(with_margin(there), there)

    def was_read_anew(self, draft: Draft, batch: Batch, concerns: Callable[[Event], bool]) -> bool:
        """Whether the events are there, as all was read after them.

        Args:
            concerns: whether an event can change the tables at all.
        """
        if not draft.state.read_until_ns:
            return False
        numbered = [
            each
            for each in batch.events
            if isinstance(each, NumberedEvent)
            and concerns(each)
            and each.origin.key_ns > draft.state.base_read_ns
        ]
        if not self._was_read_now and any(each.started_ns <= draft.state.read_until_ns for each in numbered):
            self._note(
                "bodies were changed while the open root of the repo was read, so it was read once more. "
                "To be sure of a snapshot soon, commit the root at the source"
            )
            self._read_open(draft)
        self._waits = any(
            each.origin.key_ns <= draft.state.read_until_ns
            for each in batch.awaited
            if isinstance(each, NumberedEvent) and concerns(each)
        )
        return self._was_read_now

    def is_sure_at(self, draft: Draft, log_time_ns: int) -> bool:
        """Whether the log has told enough, once it is applied up to a moment (ns since 1970)."""
        if draft.state.read_until_ns:
            if self._was_read_now or self._waits or log_time_ns <= draft.state.read_until_ns:
                return False
            draft.state = draft.state.model_copy(update={"read_until_ns": 0})
        return True

    def _read_committed(self, draft: Draft) -> None:
        def table_done() -> None:
            self._still_owner()
            self._joining.check(draft)
            draft.commit(None)

        self._joining.read(draft, draft.state.base, table_done)
        draft.pin(draft.state.log_time_ns)
        draft.commit(None)

    def _read_open(self, draft: Draft) -> None:
        """All at once: what is read later is of another moment."""
        for path in draft.tables.versions:
            draft.tables.drop(path)
        begin = self._clock()
        self._joining.read(draft, draft.state.base, self._still_owner, is_open=True)
        self._joining.check(draft)
        draft.state = draft.state.model_copy(
            update={
                "log_time_ns": begin,
                "base_read_ns": begin,
                "read_until_ns": self._clock(),
                "uuid": draft.state.base,
            }
        )
        draft.commit(None)
        self._was_read_now = True

    def _clock(self) -> int:
        """The source's time, as it says now: what it was asked for before is read, and what comes after is
        not."""
        return read_server_info(self._source.client).clock
