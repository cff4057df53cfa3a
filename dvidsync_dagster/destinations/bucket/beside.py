"""What stands beside the tables for those who read them: `README.md`, and the releases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pyarrow as pa

from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.layout import release_folder
from dvidsync_dagster.snapshot.pointer import Snapshot
from dvidsync_dagster.snapshot.reading import dataset
from dvidsync_dagster.snapshot.readme import readme
from dvidsync_dagster.snapshot.release import SUMS, release
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Column, Table, TableRows

README = "README.md"
_log = logging.getLogger(__name__)


def write_readme(
    bucket: Bucket, snapshot: Snapshot, branch: str, tables: Iterable[Table], rows: TableRows
) -> None:
    """Write how the snapshot is read, unless that is there: a run can have been killed before it.

    Args:
        tables: of the branch.
        rows: what they hold; it tells which columns they have.
    """
    held = [_with_columns(table, rows.schema(table)) for table in tables]
    text = readme(bucket.uri, snapshot, {branch: held}).encode()
    there = bucket.read(README)
    if there is None or there.content != text:
        bucket.write(README, text)


def write_releases(
    bucket: Bucket,
    snapshot: Snapshot,
    *,
    synced: Mapping[str, str],
    still_owner: Callable[[], None],
    note: Callable[[str], None],
) -> None:
    """Write the releases of all committed versions that have none.

    Args:
        synced: the instance that lies under one of annotations, by name.
        still_owner: raises OwnershipLost if a newer run owns the bucket.
        note: is told what a release does not hold.
    """
    there = set(bucket.names("releases"))
    for uuid in snapshot.pins:
        if f"{release_folder(uuid)}/{SUMS}" in there:
            continue
        _log.info("writing the release of version %s", escaped(uuid))
        pinned = dataset(bucket, version=uuid)
        for text in release(pinned, bucket, synced=synced, still_owner=still_owner).notes:
            note(f"the release of version {escaped(uuid)}: {text}")


def _with_columns(table: Table, schema: pa.Schema) -> Table:
    return replace(table, columns=tuple(map(Column.of, schema)))
