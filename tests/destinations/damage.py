"""A snapshot in whose tables somebody puts what does not belong there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

import pyarrow as pa

from dvidsync_dagster.config import BucketConfig, SyncConfig
from dvidsync_dagster.datatypes.labelmap.snapshot.tables import tables_of
from dvidsync_dagster.destinations.bucket.opening import opened_for_repair
from dvidsync_dagster.destinations.bucket.repaired import SnapshotRepair
from dvidsync_dagster.dvid.opening import open_source
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.snapshot.table import Change, Table
from tests.destinations.bucket_scene import KEYS, LABELS, NEURONS, SYNAPSES, Content

TABLES = tables_of(LABELS)


@contextmanager
def opened(config: SyncConfig) -> Iterator[SnapshotRepair]:
    """The bucket, open to be changed: so that tests can put in it what does not belong there."""
    (cloud,) = config.destinations
    assert isinstance(cloud, BucketConfig)
    with open_source(config) as source:
        snapshot = opened_for_repair(config, cloud, source, lambda: None)
        snapshot.contents(read_repo_info(source, config.repo))
        yield snapshot


def put(table: Table, rows: list[Mapping[str, Any]], gone: list[int] | None = None) -> Change:
    return Change(
        pa.Table.from_pylist([dict(row) for row in rows], table.schema),
        pa.table({table.key[0]: pa.array(gone, pa.int64())}) if gone else None,
    )


def damage_mapping(random: Random, rows: list[dict[str, Any]]) -> Change:
    """Supervoxels in other bodies, some missing, and one that there is not.

    Of those that are their own bodies none is missing: a comparison does not list them.
    """
    missing = random.sample([row for row in rows if row["sv"] != row["body"]], 2)
    others = random.sample([row for row in rows if row not in missing], 4)
    bodies = [row["body"] for row in rows]
    moved = [{"sv": row["sv"], "body": random.choice(bodies)} for row in others]
    return put(TABLES.mapping, [*moved, {"sv": 1 << 40, "body": bodies[0]}], [row["sv"] for row in missing])


def damage_bodies(random: Random, rows: list[dict[str, Any]]) -> Change:
    some = random.sample(rows, 4)
    other = [{**row, "voxels": random.choice([None, row["voxels"] + 1])} for row in some[:2]]
    return put(
        TABLES.bodies, [*other, {**some[0], "body": 1 << 41, "voxels": 5}], [row["body"] for row in some[2:]]
    )


def without_some(random: Random, table: Table, rows: list[dict[str, Any]]) -> Change:
    some = random.sample(rows, min(2, len(rows)))
    keys = {name: pa.array([row[name] for row in some], table.schema.field(name).type) for name in table.key}
    return Change(table.schema.empty_table(), pa.table(keys) if some else None)


def damage(random: Random, snapshot: SnapshotRepair, version: str, content: Content) -> None:
    """Change all tables of a version.

    Args:
        content: what they hold.
    """
    labels = {TABLES.mapping.path: damage_mapping, TABLES.bodies.path: damage_bodies}
    changes = []
    for instance in (LABELS, KEYS, NEURONS, SYNAPSES):
        for table in snapshot.side(version, instance).tables.tables:
            rows = content[table.path]
            if table.path in labels:
                changes.append((table, labels[table.path](random, rows)))
            elif table.key:
                changes.append((table, without_some(random, table, rows)))
    snapshot.change(version, changes)
