"""Bodies as the source has them, where the tables hold something else.

What belongs together changes together: a supervoxel that comes to a body leaves another one. So all bodies
that a supervoxel comes from or goes to are read, until no other body is met. A body's index tells all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dvidsync_dagster.datatypes.labelmap.comparison import MAPPING, SIZES
from dvidsync_dagster.datatypes.labelmap.snapshot.all_bodies import microseconds
from dvidsync_dagster.datatypes.labelmap.snapshot.tables import Labels, LabelTables, ascending, unfit
from dvidsync_dagster.datatypes.snapshot_side import Sift
from dvidsync_dagster.differences.items import Found
from dvidsync_dagster.dvid.label_lists import indices
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.snapshot.table import HIGHEST, Change, TableRows

REPAIR = "repair"
"""The action of edits that no operation has made."""

_APP = "dvidsync"
_INDICES_AT_ONCE = 4_000
"""Labels in one request."""
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class _Body:
    """As the source has it. `supervoxels` are those that have voxels."""

    label: int
    supervoxels: Labels
    voxels: int
    mutation: int | None
    user: str | None
    time: int | None


def renewed(
    found: Sequence[Found],
    version: str,
    tables: LabelTables,
    source: Labelmap,
    rows: TableRows,
    sift: Sift,
    at_ns: int,
) -> Mapping[str, Change] | None:
    """See `SnapshotSide.renewed`. The bodies that change are held in memory."""
    together = _Together(version, tables, source, rows)
    together.read(found)
    if len(sift(_as_found(together.labels))) < len(together.labels):
        return None
    return together.changes(at_ns)


class _Together:
    """Bodies that change together, as the table has them and as the source has them."""

    def __init__(self, version: str, tables: LabelTables, source: Labelmap, rows: TableRows) -> None:
        self._version = version
        self._tables = tables
        self._source = source
        self._rows = rows
        self._bodies: dict[int, _Body] = {}
        self._held: dict[int, int] = {}
        """By supervoxel the body of the table."""

    @property
    def labels(self) -> Labels:
        return ascending(self._bodies)

    def read(self, found: Sequence[Found]) -> None:
        """Read these, and all that change with them."""
        coming = {label for each in found for label in _labels(each)}
        while coming:
            if (highest := max(coming)) > HIGHEST:
                raise unfit(self._tables.mapping.path, highest, f"the mapping of version {self._version}")
            read = self._read_bodies(ascending(coming))
            coming = self._linked(ascending(coming), read) - self._bodies.keys()

    def changes(self, at_ns: int) -> Mapping[str, Change]:
        now = {each: body.label for body in self._bodies.values() for each in body.supervoxels.tolist()}
        moved = {each: label for each, label in now.items() if self._held.get(each) != label}
        gone = self._held.keys() - now.keys()
        tables = self._tables
        mapping = pa.table([ascending(moved), _of(moved)], schema=tables.mapping.schema)
        found = {
            tables.mapping.path: Change(mapping, _keys("sv", gone)),
            tables.edits.path: Change(self._edits({**moved, **dict.fromkeys(gone, 0)}, at_ns)),
            tables.bodies.path: self._body_rows(),
        }
        return {path: change for path, change in found.items() if len(change)}

    def _read_bodies(self, labels: Labels) -> list[_Body]:
        read = []
        for start in range(0, len(labels), _INDICES_AT_ONCE):
            some = labels[start : start + _INDICES_AT_ONCE].tolist()
            for label, index in indices(self._source.client, self._version, self._source.name, some):
                read.append(_body(label, index, self._tables.bodies.path))
        self._bodies |= {body.label: body for body in read}
        return read

    def _linked(self, labels: Labels, read: Sequence[_Body]) -> set[int]:
        """The bodies from which supervoxels of these come, or to which they go."""
        mapping = self._tables.mapping
        self._hold(self._rows.find(mapping, "body", labels))
        theirs = np.concatenate([_NONE, *(body.supervoxels for body in read)])
        here = [each for each in theirs.tolist() if each not in self._held]
        self._hold(self._rows.find(mapping, "sv", ascending(here)))
        own = set(theirs.tolist())
        wanted = set(labels.tolist())
        left = sorted(each for each, body in self._held.items() if body in wanted and each not in own)
        return {
            *(self._held[each] for each in own if each in self._held),
            *filter(None, self._source.mapping(self._version, left) if left else ()),
        }

    def _hold(self, found: pa.Table) -> None:
        self._held |= zip(found["sv"].to_pylist(), found["body"].to_pylist(), strict=True)

    def _edits(self, moved: Mapping[int, int], at_ns: int) -> pa.Table:
        count = len(moved)
        before = [self._held.get(each) for each in sorted(moved)]
        columns = {
            "log_time": pa.array([at_ns // 1000] * count, pa.int64()),
            "mutation_id": [0] * count,
            "action": [REPAIR] * count,
            "uuid": [self._version] * count,
            "user": [None] * count,
            "app": [_APP] * count,
            "sv": sorted(moved),
            "body_before": before,
            "body_after": [moved[each] or None for each in sorted(moved)],
        }
        schema = self._tables.edits.schema
        return pa.table([pa.array(columns[each.name]).cast(each.type) for each in schema], schema=schema)

    def _body_rows(self) -> Change:
        schema = self._tables.bodies.schema
        there = [self._bodies[label] for label in sorted(self._bodies) if self._bodies[label].voxels]
        labels = [body.label for body in there]
        columns = {
            "body": labels,
            "voxels": [body.voxels for body in there],
            "supervoxels": [len(body.supervoxels) for body in there],
            "last_mutation": [body.mutation for body in there],
            "last_user": [body.user for body in there],
            "last_time": [body.time for body in there],
        }
        held = self._rows.find(self._tables.bodies, "body", self.labels)["body"].to_pylist()
        gone = set(held).difference(labels)
        return Change(pa.Table.from_pydict(columns, schema), _keys("body", gone))


def _labels(found: Found) -> Iterable[int]:
    """The bodies that a difference names."""
    if found.kind is SIZES:
        named = found.keys
    elif found.kind is MAPPING:
        named = np.concatenate([found.source, found.destination])
    else:
        raise ValueError(f"a snapshot holds no {found.kind.name}")
    return filter(None, named.tolist())


def _body(label: int, index: LabelIndex, path: str) -> _Body:
    voxels: dict[int, int] = {}
    for block in index.blocks:
        for count in block.value.counts:
            voxels[count.key] = voxels.get(count.key, 0) + count.value
    there = sorted(each for each, count in voxels.items() if each and count)
    for number in (label, *there[-1:], index.last_mutid):
        if number > HIGHEST:
            raise unfit(path, number, f"body {label}")
    return _Body(
        label,
        np.array(there, np.int64),
        sum(voxels.values()),
        index.last_mutid or None,
        index.last_mod_user or None,
        microseconds(index.last_mod_time),
    )


def _as_found(labels: Labels) -> Found:
    """Bodies as items that differ."""
    keys = labels.astype(np.uint64)
    nothing, there = np.zeros(len(keys), np.uint64), np.ones(len(keys), np.bool_)
    return Found(SIZES, keys, nothing, nothing, there, there)


def _keys(column: str, labels: Collection[int]) -> pa.Table | None:
    return pa.table({column: ascending(labels)}) if labels else None


def _of(moved: Mapping[int, int]) -> Labels:
    return np.fromiter((moved[each] for each in sorted(moved)), np.int64, len(moved))
