"""What the table holds, as a comparison lists it of a server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dvidsync_dagster.differences.digest import Page, numbered
from dvidsync_dagster.differences.hashes import hashed
from dvidsync_dagster.dvid.exact_json import canonical, fields_of
from dvidsync_dagster.snapshot.table import Table, TableRows


def neuron_pages(rows: TableRows, table: Table) -> Iterator[Page]:
    """Body ids with hashes of all fields."""
    for batch in rows.batches(table, ("body", "json")):
        bodies = batch["body"].to_numpy(zero_copy_only=False).astype(np.uint64)
        values = [hashed(canonical(fields_of(text))) for text in batch["json"].to_pylist()]
        yield numbered(bodies, np.array(values, np.uint64))
