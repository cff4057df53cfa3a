"""What a chunk's materialization tells, under keys that start with ``dvidsync/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import dagster as dg

from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.checkpoint_json import checkpoint_json
from dvidsync_dagster.outgoing_text import counted, escaped, markdown
from dvidsync_dagster.run.report import ChunkReport, Lag, QuarantinedRecord

CHECKPOINT = "dvidsync/checkpoint"
CHUNK = "dvidsync/chunk"
"""Counts the chunks of a run from 1: one that touched several windows is told in each."""
EPOCH = "dvidsync/epoch"
OWNER = "dvidsync/owner"
LOG_TIME = "dvidsync/log_time"
LAG_RECORDS_BEFORE = "dvidsync/lag_records_before"
LAG_RECORDS = "dvidsync/lag_records"
LAG_SECONDS_BEFORE = "dvidsync/lag_seconds_before"
LAG_SECONDS = "dvidsync/lag_seconds"
RECORDS = "dvidsync/records"
DUPLICATES = "dvidsync/duplicates"
EMPTY = "dvidsync/empty"
AHEAD = "dvidsync/ahead_of_clock"
"""Records that wait as their keys are ahead of the source's clock."""
OPERATIONS = "dvidsync/operations"
REQUESTS = "dvidsync/requests"
PRESENT = "dvidsync/already_there"
"""Under its old name: so that Dagster's plots go on."""
HELD = "dvidsync/held"
NOT_FOLLOWED = "dvidsync/not_followed"
UNKNOWN_ACTIONS = "dvidsync/unknown_actions"
CONFLICTS = "dvidsync/conflicts"
CONFLICTS_TABLE = "dvidsync/conflicts_table"
"""The first `SHOWN` of them."""
QUARANTINED = "dvidsync/quarantined"
QUARANTINED_TABLE = "dvidsync/quarantined_table"
"""The first `SHOWN` of them, without their content."""
NOTES = "dvidsync/notes"
SECONDS = "dvidsync/seconds_"
"""Followed by the name of a stage."""
ROW_COUNT = "dagster/row_count"

SHOWN = 20
_COUNTED = 200

Metadata = dict[str, dg.MetadataValue]

_CONFLICT_COLUMNS = dg.TableSchema(
    columns=[
        # What one wants to know comes first: a page is not wide enough for all of it.
        dg.TableColumn("action", "string"),
        dg.TableColumn("instance", "string"),
        dg.TableColumn("found", "string", description="why the destination could not take it"),
        dg.TableColumn("mutation_id", "int", description="-1 where the operation has none"),
        dg.TableColumn("version", "string"),
        dg.TableColumn("where", "string", description="topic, partition, offset and time of the record"),
    ]
)
_QUARANTINE_COLUMNS = dg.TableSchema(
    columns=[
        dg.TableColumn("topic", "string"),
        dg.TableColumn("partition", "int"),
        dg.TableColumn("offset", "int"),
        dg.TableColumn("key", "string", description="nanoseconds since 1970"),
        dg.TableColumn("found", "string", description="why it could not be decoded"),
    ]
)


def chunk_metadata(report: ChunkReport, checkpoint: Checkpoint) -> Metadata:
    """What the chunk did, and the checkpoint to store. Numbers are numbers, so that the UI plots them."""
    metadata: Metadata = {
        CHECKPOINT: dg.MetadataValue.json(checkpoint_json(checkpoint)),
        EPOCH: dg.MetadataValue.int(checkpoint.epoch),
        LAG_RECORDS_BEFORE: dg.MetadataValue.int(report.lag_before.records),
        LAG_RECORDS: dg.MetadataValue.int(report.lag_after.records),
        LAG_SECONDS_BEFORE: _seconds(report.lag_before.seconds),
        LAG_SECONDS: _seconds(report.lag_after.seconds),
        RECORDS: dg.MetadataValue.int(report.records),
        DUPLICATES: dg.MetadataValue.int(report.duplicates),
        EMPTY: dg.MetadataValue.int(report.empty),
        AHEAD: dg.MetadataValue.int(report.ahead.records),
        OPERATIONS: dg.MetadataValue.int(report.operations),
        REQUESTS: dg.MetadataValue.int(report.requests),
        PRESENT: dg.MetadataValue.int(report.present),
        HELD: dg.MetadataValue.int(report.held),
        CONFLICTS: dg.MetadataValue.int(len(report.conflicts)),
        QUARANTINED: dg.MetadataValue.int(len(report.quarantined)),
        ROW_COUNT: dg.MetadataValue.int(report.records),
    }
    if checkpoint.key_ns:
        metadata[LOG_TIME] = dg.MetadataValue.timestamp(checkpoint.key_ns / 1e9)
    for stage, seconds in report.seconds.items():
        metadata[SECONDS + stage] = _seconds(seconds)
    for key, counts in ((NOT_FOLLOWED, report.not_followed), (UNKNOWN_ACTIONS, report.unknown_actions)):
        if counts:
            metadata[key] = dg.MetadataValue.json(_most(counts))
    if report.conflicts:
        metadata[CONFLICTS_TABLE] = conflict_table(report.conflicts)
    if report.quarantined:
        metadata[QUARANTINED_TABLE] = quarantine_table(report.quarantined)
    notes = [*report.notes, *([str(report.ahead)] if report.final and report.ahead.records else [])]
    if notes:
        metadata[NOTES] = dg.MetadataValue.md("\n".join(f"- {markdown(note, 2000)}" for note in notes))
    return metadata


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    """The highest counts, by what people and records named."""
    most = sorted(counts.items(), key=lambda each: -each[1])[:_COUNTED]
    return {escaped(name, 200): count for name, count in most}


def _seconds(seconds: float) -> dg.FloatMetadataValue:
    return dg.MetadataValue.float(round(float(seconds), 3))


def log_metadata(report: ChunkReport) -> Metadata:
    """What a run saw of the source's log."""
    metadata: Metadata = {LAG_RECORDS: dg.MetadataValue.int(report.lag_after.records)}
    if report.checkpoint.key_ns:
        metadata[LOG_TIME] = dg.MetadataValue.timestamp(report.checkpoint.key_ns / 1e9)
    return metadata


def start_text(checkpoint: Checkpoint | None, epoch: int) -> str:
    """Where a run begins, in one line."""
    if checkpoint is None:
        return f"no checkpoint yet, so the configured start counts; epoch {epoch}"
    reached = key_text(checkpoint.key_ns) if checkpoint.key_ns else "the offsets of the checkpoint file"
    return f"goes on from {reached}; epoch {epoch}"


def chunk_text(report: ChunkReport) -> str:
    """What the chunk did, in one line."""
    parts = [
        counted(report.records, "record"),
        counted(report.operations, "operation"),
        counted(report.requests, "request"),
    ]
    for count, what in (
        (report.duplicates, "duplicate" if report.duplicates == 1 else "duplicates"),
        (report.empty, "empty"),
        (report.ahead.records, "ahead of the source's clock"),
        (report.present, "already there"),
        (report.held, "held"),
        (len(report.conflicts), "SKIPPED"),
        (len(report.quarantined), "QUARANTINED"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    reached = key_text(report.checkpoint.key_ns) if report.checkpoint.key_ns else "the start"
    return f"{', '.join(parts)}; up to {reached}; lag {lag_text(report.lag_after)}"


def lag_text(lag: Lag) -> str:
    """A lag, for people."""
    return (
        f"{counted(lag.records, 'record')}, {timedelta(seconds=round(lag.seconds))}"
        if lag.records
        else "none"
    )


def conflict_table(rows: Sequence[ConflictRow]) -> dg.TableMetadataValue:
    """The first `SHOWN` operations that were left out, one per row."""
    records = [
        dg.TableRecord(
            {
                "action": row.action,
                "instance": escaped(row.instance, 200),
                "found": row.found,
                "mutation_id": -1 if row.mutation_id is None else row.mutation_id,
                "version": escaped(row.version, 200),
                "where": row.where,
            }
        )
        for row in rows[:SHOWN]
    ]
    return dg.MetadataValue.table(records, schema=_CONFLICT_COLUMNS)


def quarantine_table(rows: Sequence[QuarantinedRecord]) -> dg.TableMetadataValue:
    """The first `SHOWN` records that were set aside. A key is text: a browser cannot count so far."""
    records = [
        dg.TableRecord(
            {
                "topic": row.topic,
                "partition": row.partition,
                "offset": row.offset,
                "key": str(row.key),
                "found": escaped(row.found, 200),
            }
        )
        for row in rows[:SHOWN]
    ]
    return dg.MetadataValue.table(records, schema=_QUARANTINE_COLUMNS)


def number(metadata: Mapping[str, dg.MetadataValue], key: str) -> float:
    """A number that a materialization carries, or 0."""
    value = metadata[key].value if key in metadata else 0
    return value if isinstance(value, (int, float)) else 0
