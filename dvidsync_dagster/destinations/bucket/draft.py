"""The next snapshot of a branch while a run makes it. Readers see it when it is committed to the pointer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dvidsync_dagster.destinations.bucket.stretches import Reached
from dvidsync_dagster.destinations.bucket.tables import BranchTables
from dvidsync_dagster.destinations.bucket.time_margins import with_margin
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.snapshot.layout import table_path
from dvidsync_dagster.snapshot.pointer import BranchState, Pin, Pointer


@dataclass(slots=True)
class Draft:
    """The tables of a branch, and what the pointer is to say of them.

    Args:
        pointer: of the bucket, which this run owns.
        branch: its name.
        tables: as they are now.
        state: of the branch; its tables are those of `tables`.
        pins: versions that were committed since the last snapshot.
        swaps: how often the pointer was written; first of all when it was claimed.
    """

    pointer: Pointer
    branch: str
    tables: BranchTables
    state: BranchState
    pins: dict[str, Pin] = field(default_factory=dict)
    swaps: int = 1

    @property
    def commits(self) -> int:
        """How many there were, to tables and to the pointer, since the run owns the bucket."""
        return self.tables.commits + self.swaps

    @property
    def reached(self) -> Reached:
        state = self.state
        # An open root changes while it is read. Once the log has told what happened meanwhile, the tables
        # have all values too.
        values_read_ns = with_margin(state.base_read_ns) if state.read_until_ns else state.base_read_ns
        return Reached(
            state.uuid, state.committed == state.uuid, state.base, state.base_read_ns, values_read_ns
        )

    def go_on_to(self, version: str) -> None:
        """What comes next happened in this version."""
        self.state = self.state.model_copy(update={"uuid": version})

    def pin(self, log_time_ns: int) -> None:
        """The version is committed: keep its tables as they are.

        Args:
            log_time_ns: the moment of the log (ns since 1970).
        """
        self._settle(log_time_ns)
        self.state = self.state.model_copy(update={"committed": self.state.uuid})
        tables = self.tables.versions
        self.pins[self.state.uuid] = Pin(
            branch=self.branch,
            log_time_ns=self.state.log_time_ns,
            tables=tables,
            instances=owners(self.state, tables),
        )

    def know_instances(self, instances: Mapping[str, str], others: Collection[str]) -> None:
        """Which instances the source has. Where it was not told so far whose the tables are, those of pins
        included, they are of these.

        Args:
            instances: their data UUIDs, by name.
            others: names under which the tables were of others.
        """
        is_told = self.state.instances is not None
        self.state = self.state.model_copy(update={"instances": dict(instances)})
        for uuid, pin in self.pointer.snapshot.pins.items() if not is_told else ():
            if pin.branch == self.branch and not pin.instances:
                found = {**owners(self.state, pin.tables), **dict.fromkeys(others, "")}
                self.pins[uuid] = pin.model_copy(update={"instances": found})

    def commit(self, checkpoint: Checkpoint | None) -> None:
        """Make it the snapshot that readers see.

        Args:
            checkpoint: the log is in the tables up to here; None while the first snapshot is made.

        Raises:
            OwnershipLost: a newer run owns the bucket.
            StorageError.
        """
        if checkpoint is not None:
            self._settle(checkpoint.key_ns)
        before = self.pointer.snapshot
        state = self.state.model_copy(update={"tables": self.tables.states})
        self.pointer.commit(
            before.model_copy(
                update={
                    "checkpoint": checkpoint,
                    "branches": {**before.branches, self.branch: state},
                    "pins": {**before.pins, **self.pins},
                }
            )
        )
        self.pins = {}
        self.swaps += 1

    def _settle(self, log_time_ns: int) -> None:
        # What had to wait comes late: the moments go forward all the same.
        log_time_ns = max(log_time_ns, self.state.log_time_ns)
        self.state = self.state.model_copy(update={"log_time_ns": log_time_ns})
        self.tables.settle(log_time_ns=log_time_ns, uuid=self.state.uuid)


def owners(state: BranchState, tables: Collection[str]) -> dict[str, str]:
    """The data UUIDs of the instances that tables (by path) are of, by name."""
    held = {path.partition("/")[0] for path in tables}
    return {name: uuid for name, uuid in (state.instances or {}).items() if table_path(name) in held}
