"""Whether somebody else may have changed bodies at a destination, as far as its mutation ids tell.

All operations in a repo take their ids from one sequence. So nobody has, if it stands where the run before
left it, and if in this run it moves by the requests that were done, each of which takes one id. Where it has
moved further it may have been people, but also a restart of the server, which leaves ids out, a request that
was refused, or what a run that was killed has asked for. Nothing tells these apart, so bodies are looked at
from then on, until a comparison that began later has found that both servers hold the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from dvidsync_dagster.log.checkpoint import Checkpoint


class OthersAtWork:
    """What is known of one destination in one run. It is asked by several threads.

    Args:
        matters: bodies are looked at if there are others, and only then.
        clock: asks for the source's clock (ns since 1970).
        agreed: when by that clock a comparison began that found no difference, the last time.
    """

    def __init__(
        self,
        *,
        matters: bool = False,
        clock: Callable[[], int] = lambda: 0,
        agreed: Callable[[], int] = lambda: 0,
    ) -> None:
        self.looks = False
        """Bodies are looked at before they are changed."""
        self.matters = matters
        self.doubt = 0
        """When it was seen last that others may have worked (ns since 1970, the source's clock); 0 if
        nobody did."""
        self._clock = clock
        self._agreed = agreed
        self._again = False
        self._began_at: int | None = None
        self._stood_at: int | None = None
        self._taken = 0
        self._lock = threading.Lock()

    def began(self, next_id: int) -> None:
        """The destination's next mutation id, before the run changes anything."""
        if self._began_at is None:
            self._began_at = self._stood_at = next_id

    def met(self, checkpoint: Checkpoint | None, *, again: bool) -> None:
        """A pass begins at a checkpoint. Where a part of the log is read again nothing is looked at: what
        people changed since it was brought would look as if it were new."""
        if self.matters and checkpoint is not None and checkpoint.contact:
            self.doubt = max(self.doubt, checkpoint.doubt)
            if checkpoint.alone != self._began_at:
                self.doubt = self._clock()
            elif self.doubt and self._agreed() > self.doubt:
                self.doubt = 0
        self._again = again
        self.looks = bool(self.doubt) and not again

    def seen(self) -> None:
        """A look found that there are."""
        if self.matters:
            self._suspect()

    def met_first(self, own_from: int) -> None:
        """The destination was met in this run, and mutation ids from this one on are its own. If it had given
        some of them before the run, nobody knows to which bodies."""
        if self.matters and self._began_at is not None and own_from < self._began_at:
            self._suspect()

    def took_id(self) -> None:
        """A request of this run was done that takes a mutation id."""
        with self._lock:
            self._taken += 1

    def end_of_chunk(self, next_id: int) -> int:
        """Nothing is in flight, and the next mutation id is this. What a checkpoint keeps of it (`alone`)."""
        if self._stood_at is None or next_id != self._stood_at + self._taken:
            self._suspect()
        self._stood_at, self._taken = next_id, 0
        return next_id

    def _suspect(self) -> None:
        self.doubt = self._clock()
        self.looks = not self._again
