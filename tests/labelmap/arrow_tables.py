"""The tables of a labelmap in memory, as arrays: `TableRows`, and what changes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.datatypes.labelmap.snapshot.tables import LabelTables, tables_of
from dvidsync_dagster.snapshot.table import Change, Table

INSTANCE = "segmentation"


class ArrowTables:
    """The three tables of an instance; empty at first."""

    def __init__(self, instance: str = INSTANCE) -> None:
        self.tables: LabelTables = tables_of(instance)
        every = (self.tables.mapping, self.tables.edits, self.tables.bodies)
        self.held: dict[str, pa.Table] = {table.path: table.schema.empty_table() for table in every}
        self._by_path = {table.path: table for table in every}
        self.finds = 0

    @classmethod
    def of(cls, mapping: Mapping[int, int], voxels: Mapping[int, int]) -> ArrowTables:
        """With these bodies by supervoxel, and voxels by body."""
        self = cls()
        counts: dict[int, int] = {}
        for body in mapping.values():
            counts[body] = counts.get(body, 0) + 1
        self.put(self.tables.mapping, {"sv": list(mapping), "body": list(mapping.values())})
        columns = {
            "body": list(voxels),
            "voxels": list(voxels.values()),
            "supervoxels": [counts.get(body, 0) for body in voxels],
        }
        nothing = {name: [None] * len(voxels) for name in ("last_mutation", "last_user", "last_time")}
        self.put(self.tables.bodies, {**columns, **nothing})
        return self

    def create(self, table: Table, batches: Iterator[pa.RecordBatch]) -> None:
        self.held[table.path] = _checked(table, pa.Table.from_batches(list(batches), table.schema))

    def put(self, table: Table, columns: Mapping[str, Any]) -> None:
        self.held[table.path] = _checked(table, pa.Table.from_pydict(dict(columns), table.schema))

    def commit(self, changes: Mapping[str, Change]) -> None:
        for path, change in changes.items():
            table = self._by_path[path]
            _checked(table, change.put)
            if not table.key:
                self.held[path] = pa.concat_tables([self.held[path], change.put])
                continue
            (key,) = table.key
            away = change.put[key].to_numpy()
            if change.gone is not None:
                gone = change.gone[key].to_numpy()
                assert len(gone) == len(np.unique(gone))
                assert not np.isin(gone, away).any()
                away = np.concatenate([away, gone])
            kept = self.held[path].filter(pc.invert(pc.is_in(self.held[path][key], pa.array(away))))
            self.held[path] = _checked(table, pa.concat_tables([kept, change.put]))

    # `TableRows`

    def schema(self, table: Table) -> pa.Schema:
        return table.schema

    def find(self, table: Table, column: str, values: npt.NDArray[Any] | list[Any]) -> pa.Table:
        self.finds += 1
        held = self.held[table.path]
        return held.filter(pc.is_in(held[column], pa.array(values, held.schema.field(column).type)))

    def batches(self, table: Table, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self.held[table.path].select(list(columns or table.schema.names)).to_batches()

    # What a test looks at

    @property
    def mapping(self) -> dict[int, int]:
        rows = self.held[self.tables.mapping.path]
        return dict(zip(rows["sv"].to_pylist(), rows["body"].to_pylist(), strict=True))

    @property
    def bodies(self) -> dict[int, dict[str, Any]]:
        return {row.pop("body"): row for row in self.held[self.tables.bodies.path].to_pylist()}

    @property
    def voxels(self) -> dict[int, int | None]:
        return {body: row["voxels"] for body, row in self.bodies.items()}

    @property
    def edits(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.held[self.tables.edits.path].to_pylist()
        return rows

    def replayed_edits(self, mapping: Mapping[int, int]) -> dict[int, int]:
        """A mapping as it was, with all edits."""
        result: dict[int, int | None] = dict(mapping)
        for row in self.edits:
            assert result.get(row["sv"]) == row["body_before"]
            result[row["sv"]] = row["body_after"]
        return {supervoxel: body for supervoxel, body in result.items() if body is not None}

    def assert_counted(self) -> None:
        """`supervoxels` of each body is what the mapping says."""
        counts = dict.fromkeys(self.bodies, 0)
        for body in self.mapping.values():
            counts[body] += 1
        assert {body: row["supervoxels"] for body, row in self.bodies.items()} == counts


def _checked(table: Table, rows: pa.Table) -> pa.Table:
    assert rows.schema.equals(table.schema, check_metadata=True), (rows.schema, table.schema)
    for field in table.schema:
        assert field.nullable or not rows[field.name].null_count, field.name
    if table.key:
        (key,) = table.key
        assert len(pc.unique(rows[key])) == len(rows)
    rows.validate(full=True)
    return rows
