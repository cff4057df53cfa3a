"""From label events to what changes in the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.datatypes.labelmap.empty_supervoxels import empty_among
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    Merge,
    Renumber,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.snapshot.body_voxels import BodyVoxels
from dvidsync_dagster.datatypes.labelmap.snapshot.edits import Edits
from dvidsync_dagster.datatypes.labelmap.snapshot.left_to_source import completed
from dvidsync_dagster.datatypes.labelmap.snapshot.supervoxels import Places, Supervoxels
from dvidsync_dagster.datatypes.labelmap.snapshot.tables import Labels, LabelTables, ascending, unfit
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.snapshot.table import HIGHEST, Change, Table, TableRows


def changes(
    events: Sequence[BodyEvent], tables: LabelTables, source: Labelmap, rows: TableRows
) -> Mapping[str, Change]:
    """The net change by path. Only the rows that the events touch are read, and held in memory.

    Args:
        events: of one instance, in an order in which they can be applied.
        source: is asked for what messages leave to it, and for nothing else: see `left_to_source` and
            `BodyVoxels.ask`.

    Raises:
        Unfit: a label from 2^63 up.
        ServerError: the source does not answer.
    """
    events = completed(events, source)
    _check(events, tables)
    bodies = ascending({label for event in events for label in event.bodies if label})
    supervoxels, absent = _touched(events, bodies, tables.mapping, source, rows)
    replay = Replay(supervoxels, BodyVoxels(rows.find(tables.bodies, "body", bodies)), absent)
    for event in events:
        replay.apply(event)
    replay.bodies.ask(source)
    found = {
        tables.mapping.path: mapping_change(supervoxels, tables.mapping),
        tables.edits.path: Change(replay.edits.rows(tables.edits)),
        tables.bodies.path: replay.bodies.change(tables.bodies, supervoxels.counts()),
    }
    return {path: change for path, change in found.items() if len(change)}


class Replay:
    """Events applied in memory, in their order.

    Args:
        supervoxels, bodies: those that the events touch.
        absent: supervoxels that have no voxels; they are left out.
    """

    def __init__(self, supervoxels: Supervoxels, bodies: BodyVoxels, absent: Collection[int]) -> None:
        self.supervoxels = supervoxels
        self.bodies = bodies
        self.edits = Edits()
        self._absent = ascending(absent)

    def apply(self, event: BodyEvent) -> None:
        self.edits.begin(event)
        match event:
            case Merge():
                for label in event.labels:
                    self._move_all(label, event.target)
            case Renumber():
                self._move_all(event.orig, event.new)
            case Cleave():
                self._move(self._present(np.array(event.supervoxels, np.int64)), event.new)
            case Split() | SplitSupervoxel():
                self._split(event)
        self.bodies.apply(event)

    def _split(self, event: Split | SplitSupervoxel) -> None:
        old = event.survivors[0]
        wholes, halves, remains = np.array(event.parts, np.int64).reshape(-1, 3).T
        homes = self.supervoxels.bodies[self.supervoxels.at(wholes)]
        homes[homes == 0] = old
        self._move(self.supervoxels.at(wholes), 0)
        for home in np.unique(homes).tolist():
            self._move(self._present(remains[homes == home]), home)
        self._move(self._present(halves), event.new if isinstance(event, Split) else event.body)

    def _move_all(self, body: int, target: int) -> None:
        places = self.supervoxels.move_all(body, target)
        self.edits.add(self.supervoxels.ids[places], np.full(len(places), body, np.int64), target)

    def _move(self, places: Places, target: int) -> None:
        before = self.supervoxels.bodies[places]
        self.supervoxels.move(places, target)
        self.edits.add(self.supervoxels.ids[places], before, target)

    def _present(self, supervoxels: Labels) -> Places:
        if len(self._absent):
            supervoxels = supervoxels[~np.isin(supervoxels, self._absent)]
        return self.supervoxels.at(supervoxels)


def mapping_change(supervoxels: Supervoxels, table: Table) -> Change:
    """The rows of supervoxels that are in another body than at the start, or came or went."""
    changed = supervoxels.bodies != supervoxels.before
    put = changed & (supervoxels.bodies != 0)
    gone = supervoxels.ids[changed & (supervoxels.bodies == 0)]
    return Change(
        pa.table([supervoxels.ids[put], supervoxels.bodies[put]], schema=table.schema),
        pa.table({"sv": gone}) if len(gone) else None,
    )


def _touched(
    events: Sequence[BodyEvent], bodies: Labels, table: Table, source: Labelmap, rows: TableRows
) -> tuple[Supervoxels, set[int]]:
    """The supervoxels of these bodies, and those that events name; with those of the latter that have no
    voxels, which DVID maps to bodies all the same: no row of theirs is ever written."""
    found = rows.find(table, "body", bodies)
    named = ascending({label for event in events for label in _named(event)})
    others = _without(named, found["sv"])
    if len(others):
        # As a rule the halves of splits, which are new.
        found = pa.concat_tables([found, rows.find(table, "sv", others)])
        others = _without(others, found["sv"])
    ids = np.concatenate([found["sv"].to_numpy(), others])
    homes = np.concatenate([found["body"].to_numpy(), np.zeros(len(others), np.int64)])
    return Supervoxels(ids, homes), _absent(events, set(others.tolist()), source)


def _without(some: Labels, many: pa.ChunkedArray) -> Labels:
    """Those of a few that are none of many: numpy would sort the many."""
    there = many.filter(pc.is_in(many, pa.array(some)))
    return np.setdiff1d(some, there.to_numpy())


def _absent(events: Sequence[BodyEvent], unknown: set[int], source: Labelmap) -> set[int]:
    """Those of supervoxels without a row that have no voxels."""
    asked: dict[str, set[int]] = defaultdict(set)
    for event in events:
        asked[event.version].update(unknown.intersection(_named(event)))
    return {each for version, some in asked.items() for each in empty_among(version, sorted(some), source)}


def _named(event: BodyEvent) -> Iterator[int]:
    """The supervoxels that an event names."""
    match event:
        case Cleave():
            yield from event.supervoxels or ()
        case Split() | SplitSupervoxel():
            for part in event.parts:
                yield from part


def _check(events: Sequence[BodyEvent], tables: LabelTables) -> None:
    for event in events:
        highest = max(*event.bodies, event.mutation_id, *_named(event))
        if highest > HIGHEST:
            what = f"{event.action} {event.mutation_id} ({event.origin})"
            raise unfit(tables.mapping.path, highest, what)
