"""The tables of one labelmap instance."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvidsync_dagster.errors import Unfit
from dvidsync_dagster.snapshot.layout import table_path
from dvidsync_dagster.snapshot.table import Column, Table

Labels = npt.NDArray[np.int64]
"""Supervoxels or bodies; 0 is none."""

TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class LabelTables:
    """Which body each supervoxel is in, what changed that, and what is known of each body."""

    mapping: Table
    edits: Table
    bodies: Table


def tables_of(instance: str) -> LabelTables:
    """The tables of an instance, by its name."""
    return LabelTables(_mapping(instance), _edits(instance), _bodies(instance))


def _mapping(instance: str) -> Table:
    return Table(
        table_path(instance, "mapping"),
        f"One supervoxel of {instance} and its body. Every supervoxel that has voxels is here.",
        (
            Column("sv", pa.int64(), "The supervoxel."),
            Column("body", pa.int64(), "The body that it belongs to."),
        ),
        ("sv",),
    )


def _edits(instance: str) -> Table:
    return Table(
        table_path(instance, "edits"),
        f"One supervoxel of {instance} that an operation moved to another body, made or took away; or that "
        "`dvidsync repair` put right. They stand in the order in which they apply.",
        (
            Column(
                "log_time",
                TIME,
                "When the operation was done, by the source's clock. Of a repair: the moment of the log at "
                "which the tables were.",
            ),
            Column("mutation_id", pa.int64(), "DVID's number of the operation. 0: it was a repair."),
            Column("action", pa.string(), "merge, cleave, renumber, split, split-supervoxel or repair."),
            Column("uuid", pa.string(), "The version in which it was done."),
            Column("user", pa.string(), "Who did it. Null: the request named nobody.", nullable=True),
            Column("app", pa.string(), "With which program. Null: the request named none.", nullable=True),
            Column("sv", pa.int64(), "The supervoxel."),
            Column(
                "body_before",
                pa.int64(),
                "Its body before. Null: the supervoxel was not there.",
                nullable=True,
            ),
            Column(
                "body_after",
                pa.int64(),
                "Its body after. Null: the supervoxel is gone, by a split or into the background.",
                nullable=True,
            ),
        ),
    )


def _bodies(instance: str) -> Table:
    return Table(
        table_path(instance, "bodies"),
        f"One body of {instance}.",
        (
            Column("body", pa.int64(), "The body."),
            Column(
                "voxels",
                pa.int64(),
                "How many voxels it has. Null: the log did not tell, and the source had changed it since.",
                nullable=True,
            ),
            Column("supervoxels", pa.int64(), "How many rows of mapping are of this body."),
            Column(
                "last_mutation",
                pa.int64(),
                "DVID's number of the operation that changed it last. Null: DVID knows of none.",
                nullable=True,
            ),
            Column("last_user", pa.string(), "Who did that. Null: nobody was named.", nullable=True),
            Column(
                "last_time",
                TIME,
                "When that was done, by the source's clock. Of what is as in the first snapshot: when it "
                "began, in whole seconds. Null: DVID does not know.",
                nullable=True,
            ),
        ),
        ("body",),
    )


def ascending(labels: Collection[int]) -> Labels:
    """Labels, each of which is there once, in order."""
    return np.sort(np.fromiter(labels, np.int64, len(labels)))


def unfit(where: str, number: int, of: str) -> Unfit:
    """A label, or another number, from 2^63 up.

    Args:
        where: the path of the table.
        of: what has it.
    """
    return Unfit(
        where,
        f"{of} has {number}, and the highest number that a table of a snapshot holds is 2^63 - 1",
        f"Name {where.partition('/')[0]} in `own` of this destination: the snapshot goes on without it.",
    )
