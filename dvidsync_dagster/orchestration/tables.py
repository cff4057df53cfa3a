"""What differs, changes or is left, as tables of Dagster's pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg

from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.differences.work import Change, Left

_COLUMNS = ("version", "instance", "what", "count", "examples")


def table(rows: Sequence[Difference | Change | Left], *more: str) -> dg.TableMetadataValue:
    """One record per row; `more` are names of further columns."""
    names = (*_COLUMNS, *more)
    records = []
    for row in rows:
        cells = asdict(row)
        cells["examples"] = "; ".join(row.examples)
        records.append(dg.TableRecord({name: cells[name] for name in names}))
    columns = [dg.TableColumn(name, "int" if name == "count" else "string") for name in names]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))
