"""The bodies of some supervoxels while events are replayed in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.labelmap.snapshot.tables import Labels

Places = npt.NDArray[np.intp]
"""Where supervoxels are in the arrays of `Supervoxels`."""


class Supervoxels:
    """Supervoxels with their bodies, as arrays.

    The supervoxels of a body are known as pieces: places that came together. Some of them may have left
    again, which is looked up only when the body as a whole is asked for.

    Args:
        ids: the supervoxels.
        bodies: of each of them; 0 for one that does not exist (yet).
    """

    def __init__(self, ids: Labels, bodies: Labels) -> None:
        order = np.argsort(ids)
        self.ids = ids[order]
        self.bodies = bodies[order]
        self.before = self.bodies.copy()
        """Their bodies at the start."""
        self._by_body = np.argsort(self.bodies, kind="stable")
        labels, counts = np.unique(self.bodies, return_counts=True)
        ends = np.cumsum(counts)
        spans = zip((ends - counts).tolist(), ends.tolist(), strict=True)
        self._spans = dict(zip(labels.tolist(), spans, strict=True))
        """Of bodies that were not asked for yet: where they are in `_by_body`."""
        self._pieces: dict[int, list[Places]] = {}
        self._left: set[int] = set()
        """Bodies of which some of the pieces may have left."""

    def of(self, body: int) -> Places:
        """Where the supervoxels of a body are."""
        pieces = self._pieces_of(body)
        if len(pieces) == 1 and body not in self._left:
            return pieces[0]
        places = np.concatenate(pieces) if pieces else np.empty(0, np.intp)
        if body in self._left:
            self._left.discard(body)
            # What left and came back is there twice.
            places = np.unique(places[self.bodies[places] == body])
        self._pieces[body] = [places]
        return places

    def at(self, ids: Labels) -> Places:
        """Where these supervoxels are. Each must be one of those that were given at the start."""
        return np.searchsorted(self.ids, ids)

    def move_all(self, body: int, target: int) -> Places:
        """Move all supervoxels of a body to another one, or with 0 to none; where they are."""
        places = self.of(body)
        self._pieces[body] = []
        self._come(places, target)
        return places

    def move(self, places: Places, target: int) -> None:
        """Move some supervoxels to a body, or with 0 to none."""
        self._left.update(np.unique(self.bodies[places]).tolist())
        self._come(places, target)

    def counts(self) -> dict[int, int]:
        """How many supervoxels each body has."""
        labels, counts = np.unique(self.bodies, return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))

    def _come(self, places: Places, target: int) -> None:
        if target and len(places):
            self._pieces_of(target).append(places)
        self.bodies[places] = target

    def _pieces_of(self, body: int) -> list[Places]:
        if body not in self._pieces:
            start, end = self._spans.get(body, (0, 0))
            self._pieces[body] = [self._by_body[start:end]]
        return self._pieces[body]
