"""Whether somebody else may have changed bodies at a destination, as far as its mutation ids tell.

All operations in a repo take their ids from one sequence. So nobody has, if it stands where the run before
left it, and if in this run it moves by the requests that were done, each of which takes one id. Where it has
moved further it may have been people, but also a restart of the server, which leaves ids out, a request that
was refused, or what a run that was killed has asked for. Nothing tells these apart, so bodies are looked at
from then on.
"""

from __future__ import annotations

import threading

from dvidsync_dagster.log.checkpoint import Checkpoint


class OthersAtWork:
    """What is known of one destination in one run. It is asked by several threads.

    Args:
        matters: bodies are looked at if there are others, and only then.
    """

    def __init__(self, *, matters: bool = False) -> None:
        self.looks = False
        """Bodies are looked at before they are changed."""
        self._matters = matters
        self._suspected = False
        self._again = False
        self._began_at: int | None = None
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def is_watched(self) -> bool:
        """Whether it is still to be told where the ids stand."""
        return self._matters and not self._suspected

    def began(self, next_id: int) -> None:
        """The destination's next mutation id, before the run changes anything."""
        if self._began_at is None:
            self._began_at = next_id

    def met(self, checkpoint: Checkpoint | None, *, again: bool) -> None:
        """A pass begins at a checkpoint. Where a part of the log is read again nothing is looked at: what
        people changed since it was brought would look as if it were new."""
        if self._matters and checkpoint is not None and checkpoint.contact:
            self._suspected |= checkpoint.alone != self._began_at
        self._again = again
        self.looks = self._suspected and not again

    def seen(self) -> None:
        """A look found that there are."""
        self._suspected |= self._matters
        self.looks = self._suspected and not self._again

    def took_id(self) -> None:
        """A request of this run was done that takes a mutation id."""
        with self._lock:
            self._taken += 1

    def end_of_chunk(self, next_id: int) -> int:
        """Nothing is in flight, and the next mutation id is this. What a checkpoint keeps of it (`alone`)."""
        if self._began_at is None or next_id != self._began_at + self._taken:
            self._suspected = self.looks = True
        return 0 if self._suspected else next_id
