"""The quarantine of a destination in Dagster: a job that lists it, lets a record pass, tries again, drops."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.
from collections.abc import Collection, Sequence
from enum import Enum

import dagster as dg
from pydantic import Field

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.log.quarantine import KeptRow, Quarantine, TopicPartitionOffset, quarantine_of
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.failing import failures_told
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.op_job import RESULT, op_job
from dvidsync_dagster.orchestration.owning import claimed
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.orchestration.run_log import logged_in_run
from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.run.retry import Retried, retry

QUARANTINE_OP = "quarantine"
SHOWN = 200


class Action(Enum):
    """What to do with the records of a quarantine."""

    list = "list"
    skip = "skip"
    retry = "retry"
    drop = "drop"


class QuarantineConfig(dg.Config):
    """What to do with which records."""

    action: Action = Field(
        default=Action.list,
        description="list; skip: runs that stop at these records pass them; retry: apply what can be decoded "
        "by now (no records: all); drop: forget these records",
    )
    records: list[str] = Field(default=[], description="as TOPIC/PARTITION/OFFSET, from the list")


def quarantine_job(config: SyncConfig, destination: AnyDestination) -> dg.JobDefinition:
    """The job of one destination; it lists unless its configuration says otherwise."""
    follower = destination_follower(config, destination)

    @dg.op(
        # Definitions share one room of names, over all destinations and repos.
        name=f"{follower.quarantine_job}_op",
        out=dg.Out(io_manager_key=RESULT),
        # The pool of the runs that follow: one at a time.
        pool=follower.pool,
    )
    def change_quarantine(context: dg.OpExecutionContext, config: QuarantineConfig) -> Retried:
        limit_to_one(context.instance, follower.pool)
        with failures_told(context), logged_in_run(context):
            places = [TopicPartitionOffset.parse(text) for text in config.records]
            kept = quarantine_of(follower.config, destination.name)
            done = Retried()
            match config.action:
                case Action.skip:
                    context.log.info(skip(kept, places))
                case Action.drop:
                    context.log.info(drop(kept, places))
                case Action.retry:
                    done = _retry(context, follower, destination, places)
                    context.log.info(done.summary())
        rows = kept.rows()
        context.log.info(f"{kept.path}: {counted(len(rows), 'record')}")
        context.add_output_metadata(
            {"dvidsync/kept": len(rows), "dvidsync/kept_table": _table(rows[:SHOWN], done)}
        )
        return done

    return op_job(
        change_quarantine,
        name=follower.quarantine_job,
        alias=QUARANTINE_OP,
        description=f"Lists the records of {config.source.url} that {destination.name} has set aside, or "
        "stops at, because they cannot be decoded. With `action` in its configuration: skip, retry, drop.",
    )


def skip(kept: Quarantine, places: Collection[TopicPartitionOffset]) -> str:
    """Let records pass at which runs stop; says what was done.

    Raises:
        ConfigurationError: one is not kept.
    """
    chosen = kept.chosen(places)
    stopped = {row.place for row in chosen if row.state == "stopped"}
    kept.mark(stopped, "skipped")
    passed = len(chosen) - len(stopped)
    return (
        f"{counted(len(stopped), 'record')}: the next run passes {'it' if len(stopped) == 1 else 'them'}"
        + (f"; {passed:,} were let pass before" if passed else "")
    )


def drop(kept: Quarantine, places: Collection[TopicPartitionOffset]) -> str:
    """Forget records; says what was done.

    Raises:
        ConfigurationError: one is not kept.
    """
    chosen = kept.chosen(places)
    kept.drop({row.place for row in chosen})
    return f"{counted(len(chosen), 'record')} dropped"


def _retry(
    context: dg.OpExecutionContext,
    follower: Follower,
    destination: AnyDestination,
    places: list[TopicPartitionOffset],
) -> Retried:
    checkpoint = CheckpointStore(context.instance, follower.key).latest()
    return retry(
        follower.config,
        destination,
        places or None,
        checkpoint=checkpoint,
        still_owner=claimed(context, follower),
    )


def _table(rows: Sequence[KeptRow], done: Retried) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "record": str(row.place),
                "state": row.state,
                "found": done.left.get(row.place, row.found),
                "bytes": row.size,
                "since": row.since.isoformat(timespec="seconds"),
            }
        )
        for row in rows
    ]
    columns = [
        dg.TableColumn("record", "string", description="topic, partition and offset"),
        dg.TableColumn(
            "state",
            "string",
            description="stopped: runs stop at it; quarantined: set aside; skipped: let pass by hand; "
            "applied: by a retry",
        ),
        dg.TableColumn("found", "string", description="why it could not be decoded, or not be applied now"),
        dg.TableColumn("bytes", "int"),
        dg.TableColumn("since", "string"),
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))
