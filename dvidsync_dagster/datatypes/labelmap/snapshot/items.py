"""What the tables hold, as a comparison lists it of a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dvidsync_dagster.differences.digest import Numbers, Page, numbered
from dvidsync_dagster.snapshot.table import Table, TableRows


def mapping_pages(rows: TableRows, mapping: Table) -> Iterator[Page]:
    """Supervoxels that are in another body than their own, with their bodies."""
    for batch in rows.batches(mapping, ("sv", "body")):
        supervoxels, bodies = _numbers(batch["sv"]), _numbers(batch["body"])
        moved = supervoxels != bodies
        yield numbered(supervoxels[moved], bodies[moved])


def size_pages(rows: TableRows, bodies: Table) -> Iterator[Page]:
    """Bodies with their voxels; 0 where these are not known, which no body has."""
    for batch in rows.batches(bodies, ("body", "voxels")):
        yield numbered(_numbers(batch["body"]), _numbers(batch["voxels"].fill_null(0)))


def bodies_of(rows: TableRows, mapping: Table, supervoxels: Sequence[Any]) -> Numbers:
    """The bodies of supervoxels; 0 for those that are not there."""
    asked = np.asarray(supervoxels, np.uint64)
    fitting = asked[asked < 2**63].astype(np.int64)
    found = rows.find(mapping, "sv", fitting)
    bodies = dict(zip(found["sv"].to_pylist(), found["body"].to_pylist(), strict=True))
    return np.array([bodies.get(int(each), 0) for each in asked], np.uint64)


def _numbers(column: pa.Array) -> Numbers:
    numbers: Numbers = column.to_numpy(zero_copy_only=False).astype(np.uint64)
    return numbers
