"""The conflict table of a destination in Dagster: an asset whose newest materialization shows it.

The table itself is kept beside the quarantine; what Dagster shows of it is made anew when it has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.replaced import Replaced
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.names import conflicts_key
from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.run.conflict_table import Counts, conflict_table_of
from dvidsync_dagster.run.listed_conflict import COLUMNS, ListedConflict

OPEN = "dvidsync/open"
CLOSED = "dvidsync/closed"
TABLE = "dvidsync/conflict_table"
REPLACED = "dvidsync/replaced"
SHOWN = 200

_TEXTS = {
    "state": "open: it still differs, as far as is known; closed: it was applied or repaired since",
    "items": "bodies, keys, points: the first of them",
    "why": "why the destination could not take it",
    "depends_on": "the record of what was left out before it",
    "stops_runs": "each run stops there until it is resolved",
}
_ITEMS = 10
_NOTHING: dict[str, dg.MetadataValue] = {OPEN: dg.MetadataValue.int(0), CLOSED: dg.MetadataValue.int(0)}
"""What there is to show of a table without rows; where none was ever shown, it need not be said."""


def conflicts_spec(config: SyncConfig, destination: AnyDestination) -> dg.AssetSpec:
    """The asset of a destination's conflict table."""
    follower = destination_follower(config, destination)
    return dg.AssetSpec(
        conflicts_key(follower.key),
        deps=[follower.key],
        description=f"What {destination.place} could not take, over all runs. `dvidsync conflicts list` "
        "shows it whole.",
        kinds={"parquet"},
        group_name=config.repo_name,
    )


def show_conflicts(
    instance: dg.DagsterInstance,
    follower: Follower,
    log_event: Callable[[dg.AssetMaterialization], Any],
    say: Callable[[str], Any],
) -> None:
    """Show a destination's conflict table as it is now, if Dagster shows another one.

    One that cannot be read is no failure: the next run shows it.
    """
    if not follower.is_destination:
        return
    try:
        now = _materialization(follower)
    except LogError as error:
        say(f"The conflict table is shown by the next run: {error}")
        return
    event = instance.get_latest_materialization_event(conflicts_key(follower.key))
    before = event.asset_materialization if event is not None else None
    if dict(before.metadata if before is not None else _NOTHING) != now.metadata:
        log_event(now)


def _materialization(follower: Follower) -> dg.AssetMaterialization:
    """The open rows first."""
    table = conflict_table_of(follower.config, follower.name)
    counts = table.counts()
    kept = Replaced(follower.config, follower.name)
    replaced = kept.count()
    if counts == Counts() and not replaced:
        return dg.AssetMaterialization(conflicts_key(follower.key), metadata=_NOTHING)
    return dg.AssetMaterialization(
        conflicts_key(follower.key),
        description=f"{counts}.",
        metadata={
            OPEN: dg.MetadataValue.int(counts.open),
            CLOSED: dg.MetadataValue.int(counts.closed),
            TABLE: _table(table.first(SHOWN)),
            "dvidsync/path": dg.MetadataValue.text(table.path),
            **({REPLACED: dg.MetadataValue.text(kept.text(counted(replaced, "value")))} if replaced else {}),
        },
    )


def _table(rows: list[ListedConflict]) -> dg.TableMetadataValue:
    columns = [
        dg.TableColumn(
            name,
            "bool" if name == "stops_runs" else "string",
            description=_TEXTS.get(name),
        )
        for name in COLUMNS
    ]
    records = [dg.TableRecord(_cells(row)) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _cells(row: ListedConflict) -> dict[str, str | int | bool]:
    cells = row.as_json()
    items = row.row.items
    cells["items"] = ", ".join(items[:_ITEMS]) + (
        f" and {len(items) - _ITEMS:,} more" if items[_ITEMS:] else ""
    )
    cells["mutation_id"] = "" if row.row.mutation_id is None else str(row.row.mutation_id)
    return {name: "" if value is None else value for name, value in cells.items()}
