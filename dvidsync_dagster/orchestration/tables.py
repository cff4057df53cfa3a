"""What differs, changes or is not repaired, as tables of Dagster's pages."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.differences.work import NotRepaired, OwnEdit, Pending, RepairChange

_COLUMNS = ("version", "instance", "what", "count", "examples")


def table(
    rows: Sequence[Difference | RepairChange | Pending | NotRepaired], *more: str
) -> dg.TableMetadataValue:
    """One record per row; `more` are names of further columns."""
    names = (*_COLUMNS, *more)
    records = []
    for row in rows:
        cells = row.as_json()
        cells["examples"] = "; ".join(row.examples)
        records.append(dg.TableRecord({name: cells[name] for name in names}))
    columns = [dg.TableColumn(name, "int" if name == "count" else "string") for name in names]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def own_edits_table(edits: Sequence[OwnEdit]) -> dg.TableMetadataValue:
    """What of the destination's own a repair takes back, one record for each."""
    names = ("version", "instance", "item", "user", "time")
    columns = [dg.TableColumn(name, "string") for name in names]
    records = [dg.TableRecord(edit.as_json()) for edit in edits]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))
