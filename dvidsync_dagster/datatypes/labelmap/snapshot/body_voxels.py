"""What is known of some bodies while events are replayed in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    Merge,
    Renumber,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.snapshot.table import HIGHEST, Change, Table


class BodyVoxels:
    """BodyVoxels with their voxels, and the event that changed each last.

    Voxels follow from the log: a merge adds them up, a cleave tells them, a split takes away those of its
    volume, and a split of a supervoxel leaves them as they are. They are None where that is not enough: a
    message of an old server that tells no sizes, or a body that an earlier message, which was lost, has made.

    Args:
        rows: what the table has of them.
    """

    def __init__(self, rows: pa.Table) -> None:
        known = zip(rows["body"].to_pylist(), rows["voxels"].to_pylist(), strict=True)
        self._voxels: dict[int, int | None] = dict(known)
        self._before = frozenset(self._voxels)
        self._last: dict[int, BodyEvent] = {}

    def apply(self, event: BodyEvent) -> None:
        """Change the voxels as an event did; it must be complete (`left_to_source.completed`)."""
        match event:
            case Merge():
                merged = self._taken(event.labels)
                if event.target:
                    self._voxels[event.target] = _sum(self._voxels.get(event.target), merged)
            case Renumber():
                voxels = self._taken((event.orig,))
                # A body without voxels is gone then: docs/dvid.md, "Odd requests that are taken".
                if event.new and voxels != 0:
                    self._voxels[event.new] = voxels
            case Cleave():
                self._voxels[event.orig] = _or(
                    event.remaining_voxels, _difference(self._voxels.get(event.orig), event.cleaved_voxels)
                )
                self._voxels[event.new] = _held(event.cleaved_voxels)
            case Split():
                self._voxels[event.target] = _difference(self._voxels.get(event.target), event.voxels)
                self._voxels[event.new] = _held(event.voxels)
            case SplitSupervoxel():
                self._voxels.setdefault(event.body, None)
        for body in event.survivors:
            self._last[body] = event

    def ask(self, source: Labelmap) -> None:
        """Ask the source for the voxels that are not known, one body at a time: there are hardly any. Its
        answer counts if the body was not changed since; else they stay unknown.

        Raises:
            ServerError: it does not answer.
        """
        for body, event in self._last.items():
            if self._voxels.get(body, 0) is None:
                index = source.index(event.version, body)
                if index.last_mutid == event.mutation_id:
                    counts = (entry.value for block in index.blocks for entry in block.value.counts)
                    self._voxels[body] = _held(sum(counts))

    def change(self, table: Table, supervoxels: dict[int, int]) -> Change:
        """What changed.

        Args:
            supervoxels: how many each body has.
        """
        changed = sorted(body for body in self._last if body in self._voxels)
        events = [self._last[body] for body in changed]
        columns = {
            "body": changed,
            "voxels": [self._voxels[body] for body in changed],
            "supervoxels": [supervoxels.get(body, 0) for body in changed],
            "last_mutation": [event.mutation_id for event in events],
            "last_user": [event.user or None for event in events],
            "last_time": np.array([event.origin.key_ns // 1000 for event in events], "datetime64[us]"),
        }
        gone = sorted(self._before - self._voxels.keys())
        return Change(
            pa.Table.from_pydict(columns, table.schema),
            pa.table({"body": pa.array(gone, pa.int64())}) if gone else None,
        )

    def _taken(self, labels: Iterable[int]) -> int | None:
        """The voxels of bodies that are no more."""
        return _sum(*(self._voxels.pop(label, None) for label in labels))


def _sum(*voxels: int | None) -> int | None:
    known = [each for each in voxels if each is not None]
    return _held(sum(known)) if len(known) == len(voxels) else None


def _difference(voxels: int | None, fewer: int | None) -> int | None:
    return None if voxels is None or fewer is None else _held(voxels - fewer)


def _or(voxels: int | None, otherwise: int | None) -> int | None:
    return otherwise if voxels is None else _held(voxels)


def _held(voxels: int | None) -> int | None:
    """None for what no body can have: the messages contradict each other then."""
    return voxels if voxels is not None and 0 <= voxels <= HIGHEST else None
