"""Whether a destination is asked what it has before a batch is brought to it.

It need not be asked if the run before ended in order: then it has all up to the checkpoint, and nothing else.
But a checkpoint can have been set back since. So it is asked whether it has anything of the first batch.
"""

from __future__ import annotations

from enum import Enum, auto

from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.log.checkpoint import Checkpoint

MAX_BATCH_RECORDS = 100_000
"""No batch is read from more records. So nothing that an interrupted run has applied lies further than this
beyond the first operation that it has not."""


class _Why(Enum):
    NOT = auto()
    UNTRIED = auto()
    """The run before ended in order; the first batch shows whether that still holds."""
    MAY_HAVE_SOME = auto()
    """Of the next `MAX_BATCH_RECORDS`."""
    ALWAYS = auto()
    """What is read again is there, but for what is missing."""


class Looking:
    """For one pass over the log."""

    def __init__(self, checkpoint: Checkpoint | None, *, again: bool) -> None:
        self._records = MAX_BATCH_RECORDS
        if again:
            self._why = _Why.ALWAYS
        elif checkpoint is None or not checkpoint.clean:
            self._why = _Why.MAY_HAVE_SOME
        else:
            self._why = _Why.UNTRIED

    @property
    def is_needed(self) -> bool:
        return self._why in (_Why.MAY_HAVE_SOME, _Why.ALWAYS)

    @property
    def is_untried(self) -> bool:
        return self._why is _Why.UNTRIED

    def tried(self, *, is_past: bool) -> None:
        """The first batch shows whether the destination is past the checkpoint."""
        self._why = _Why.MAY_HAVE_SOME if is_past else _Why.NOT

    def brought(self, batch: Batch, *, lacked_some: bool) -> None:
        """A batch was brought. Once something was missing, looks go on for `MAX_BATCH_RECORDS` records more,
        with those of that batch: an interrupted run has applied nothing further on."""
        if self._why is _Why.MAY_HAVE_SOME and lacked_some:
            self._records -= batch.records
            if self._records <= 0:
                self._why = _Why.NOT
