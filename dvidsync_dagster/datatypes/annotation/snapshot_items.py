"""What the table holds, as a comparison lists it of a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dvidsync_dagster.datatypes.annotation.comparison import Element, Position, pages_of
from dvidsync_dagster.differences.digest import Page
from dvidsync_dagster.snapshot.table import Table, TableRows

_COLUMNS = ("x", "y", "z", "kind", "tags", "prop", "rels")


def element_pages(rows: TableRows, table: Table) -> Iterator[Page]:
    """Positions with hashes of the elements there."""
    return pages_of(elements(rows, table))


def elements(rows: TableRows, table: Table) -> Iterator[tuple[Position, Element]]:
    """All elements, as a server writes them."""
    for batch in rows.batches(table, _COLUMNS):
        for row in batch.to_pylist():
            yield (row["x"], row["y"], row["z"]), _element(row)


def _element(row: Mapping[str, Any]) -> Element:
    return {
        "Pos": [row["x"], row["y"], row["z"]],
        "Kind": row["kind"],
        "Tags": row["tags"],
        "Prop": dict(row["prop"]),
        "Rels": [{"Rel": each["rel"], "To": [each["x"], each["y"], each["z"]]} for each in row["rels"]],
    }
