"""What a run tells: one report per chunk, with numbers that a UI can plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.log.ahead import NOTHING_AHEAD, AheadOfClock
from dvidsync_dagster.log.checkpoint import Checkpoint

if TYPE_CHECKING:
    from dvidsync_dagster.snapshot.table import TableReport


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a destination is behind: records in Kafka that are not applied, and seconds of log time."""

    records: int
    seconds: float

    @staticmethod
    def at(records: int, clock: int, reached: int) -> Lag:
        """The lag of what is followed up to a key, by the source's clock (both ns since 1970)."""
        return Lag(records, max(0, clock - reached) / 1e9)


NO_LAG = Lag(0, 0.0)


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record that could not be decoded. The quarantine of the destination keeps it whole."""

    topic: str
    partition: int
    offset: int
    key: int
    found: str


@dataclass(frozen=True, slots=True)
class UnexplainedIds:
    """Event ids of the source that no message told of.

    `are_operations` says that the source's own list has them as operations that it did: else they are a hint
    only. They were given between the messages with the keys `after_key` and `before_key` (ns since 1970),
    when the log told of changes in `versions`.
    """

    count: int
    are_operations: bool
    after_key: int
    before_key: int
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """One chunk that is done, or (with no records) a run that found nothing to do.

    `checkpoint` is safe to store: everything before it is applied. `from_ns` and `to_ns` are the span of keys
    that the chunk covers. `operations` counts what the source announced,
    `requests` what was sent to the destination to repeat it, `seconds` the time per stage. `open_for_long`
    tells of operations that began long ago and whose end nobody knows, `ahead` of records that wait as their
    keys are ahead of the source's clock, `unexplained` of what the log may lack, `tables` of what became of a
    snapshot's tables. `resolved` counts rows of the conflict table that were closed, as their events are
    applied now, `replaced` values that may have been people's. `notes` are said once per run. `final` marks
    the last report of a run.
    """

    checkpoint: Checkpoint = Checkpoint(epoch=0)  # noqa: RUF009 (it is frozen)
    from_ns: int = 0
    to_ns: int = 0
    lag_before: Lag = NO_LAG
    lag_after: Lag = NO_LAG
    records: int = 0
    duplicates: int = 0
    empty: int = 0
    ahead: AheadOfClock = NOTHING_AHEAD
    operations: int = 0
    requests: int = 0
    present: int = 0
    held: int = 0
    open_for_long: tuple[str, ...] = ()
    unexplained: UnexplainedIds | None = None
    not_followed: Mapping[str, int] = field(default_factory=dict)
    unknown_actions: Mapping[str, int] = field(default_factory=dict)
    conflicts: tuple[ConflictRow, ...] = ()
    resolved: int = 0
    replaced: int = 0
    tables: Sequence[TableReport] = ()
    quarantined: tuple[QuarantinedRecord, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    final: bool = False

    @property
    def left_something_out(self) -> bool:
        return bool(self.conflicts or self.quarantined)
