"""The score sheet of a practice branch from Dagster: a job that shows it as tables. It only looks."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

from collections.abc import Collection, Iterable, Mapping, Sequence

import dagster as dg
from pydantic import Field

from dvidsync_dagster.config import DestinationConfig
from dvidsync_dagster.orchestration.failing import failures_told
from dvidsync_dagster.orchestration.followers import Follower
from dvidsync_dagster.orchestration.op_job import RESULT, op_job
from dvidsync_dagster.orchestration.run_log import logged_in_run
from dvidsync_dagster.practice.decisions import USER_COLUMNS, ScoreRow, scores
from dvidsync_dagster.practice.score import ScoreSheet, score

SCORE_OP = "score"
"""The step of each job that makes a score sheet; its configuration stands under this name."""

SHOWN = 200
"""Decisions in the table: all of them are in `dvidsync practice score --csv decisions`."""


class ScoreConfig(dg.Config):
    """Which branch, beside which version."""

    branch: str | None = Field(
        default=None, description="Of practice, such as practice-2026-11-26. Without: the newest."
    )
    at: str | None = Field(
        default=None,
        description="Put it beside this version of the source (first letters). Without: the latest commit "
        "after the version that the branch was made from.",
    )


def score_job(server: DestinationConfig, follower: Follower) -> dg.JobDefinition:
    """The job of a destination where people practise."""

    # In no pool: it changes nothing, and need not wait for runs that follow.
    @dg.op(
        # Definitions share one room of names, over all destinations and repos.
        name=f"{follower.score_job}_op",
        out=dg.Out(io_manager_key=RESULT),
    )
    def score_branch(context: dg.OpExecutionContext, config: ScoreConfig) -> ScoreSheet:
        with failures_told(context), logged_in_run(context):
            sheet = score(follower.config, server, config.branch, at=config.at)
        context.add_output_metadata(score_metadata(sheet))
        return sheet

    return op_job(
        score_branch,
        name=follower.score_job,
        alias=SCORE_OP,
        description=f"Shows what people did on a practice branch at {server.place}, beside what the source "
        "has later.",
    )


def score_metadata(sheet: ScoreSheet) -> dict[str, dg.MetadataValue]:
    """What a score sheet shows in its run."""
    decisions = [row.as_json() for row in sheet.rows]
    return {
        "dvidsync/branch": dg.MetadataValue.text(sheet.branch),
        "dvidsync/from": dg.MetadataValue.text(sheet.begin),
        "dvidsync/version": dg.MetadataValue.text(sheet.end),
        "dvidsync/beside": dg.MetadataValue.text(sheet.later),
        "dvidsync/users_table": _table(scores(sheet.rows), USER_COLUMNS, counts=USER_COLUMNS[1:]),
        "dvidsync/decisions": dg.MetadataValue.int(len(decisions)),
        "dvidsync/decisions_table": _table(decisions[:SHOWN], ScoreRow.COLUMNS, counts=["supervoxels"]),
        "dvidsync/supervoxels_not_compared": dg.MetadataValue.int(sheet.not_compared),
    }


def _table(
    rows: Iterable[Mapping[str, str | int]], names: Sequence[str], *, counts: Collection[str]
) -> dg.TableMetadataValue:
    columns = [dg.TableColumn(name, "int" if name in counts else "string") for name in names]
    # Ids as text: a browser rounds large numbers.
    records = [
        dg.TableRecord({name: row[name] if name in counts else str(row[name]) for name in names})
        for row in rows
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))
