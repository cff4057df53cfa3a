"""The tables of a snapshot as assets below their destination's.

Which tables there are is known at the source and in the bucket, and neither is asked while definitions load:
a code location has to load when they are away. What runs told Dagster of the tables is enough. So a new table
is first a materialization, and a defined asset once the code location is loaded again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import dagster as dg

from dvidsync_dagster.config import BucketConfig, SyncConfig
from dvidsync_dagster.orchestration.names import comparison_key, destination_key
from dvidsync_dagster.outgoing_text import escaped, markdown, python_text
from dvidsync_dagster.snapshot.layout import coded, path_folders

TABLE = "dvidsync/table"
"""The table's path in the snapshot."""
HOLDS = "dvidsync/holds"
"""What a row is."""
DELTA_VERSION = "dvidsync/delta_version"
IN_SNAPSHOT = "dvidsync/in_snapshot"
COLUMNS = "dagster/column_schema"
URI = "dagster/uri"

PATIENCE_SECONDS = 5.0
"""How long definitions wait for Dagster's own storage."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownTable:
    """What Dagster was last told of a table.

    Args:
        path: as the snapshot has it.
        text: what a row is.
        version: Delta's.
        is_in_snapshot: it was not dropped since.
    """

    key: dg.AssetKey
    path: str
    text: str
    uri: str
    columns: dg.TableSchema
    version: int
    is_in_snapshot: bool

    @classmethod
    def of(cls, materialization: dg.AssetMaterialization) -> KnownTable | None:
        """None if it is none of a table."""
        told = {name: value.value for name, value in materialization.metadata.items()}
        path, columns, version = told.get(TABLE), told.get(COLUMNS), told.get(DELTA_VERSION)
        if not (isinstance(path, str) and isinstance(columns, dg.TableSchema) and isinstance(version, int)):
            return None
        return cls(
            key=materialization.asset_key,
            path=path,
            text=str(told.get(HOLDS) or ""),
            uri=str(told.get(URI) or ""),
            columns=columns,
            version=version,
            is_in_snapshot=told.get(IN_SNAPSHOT) is not False,
        )


Tables = Mapping[dg.AssetKey, Sequence[KnownTable]]
"""Those of each destination that is a bucket."""


def table_key(destination: dg.AssetKey, path: str) -> dg.AssetKey:
    """The asset of a table, such as ``neu3/cloud/segmentation/mapping``: named as its folder in the bucket,
    which holds no character that Dagster or a URL minds."""
    key = dg.AssetKey([*destination.path, *path_folders(path)])
    if key == comparison_key(destination):
        return dg.AssetKey([*destination.path, coded(path)])
    return key


def known_tables(instance: dg.DagsterInstance, destination: dg.AssetKey) -> list[KnownTable]:
    """The tables of a destination that Dagster was ever told of."""
    depth = len(destination.path)
    # The storage compares the beginnings of texts: `cloud` finds `cloud2` too.
    below = [
        key
        for key in instance.get_asset_keys(prefix=destination.path)
        if list(key.path[:depth]) == list(destination.path) and len(key.path) > depth
    ]
    events = instance.get_latest_materialization_events(below).values() if below else ()
    told = [event.asset_materialization for event in events if event is not None]
    tables = [KnownTable.of(each) for each in told if each is not None]
    return sorted((table for table in tables if table is not None), key=lambda table: table.path)


def tables_known_here(*configs: SyncConfig) -> Tables:
    """What the Dagster instance of DAGSTER_HOME tells of the tables of all buckets; for definitions that
    load. Nothing, and a warning, if it does not tell in time."""
    keys = [destination_key(config, bucket) for config in configs for bucket in config.buckets]
    if not keys:
        return {}
    if not os.environ.get("DAGSTER_HOME"):
        _log.warning(
            "DAGSTER_HOME is not set where this code location loads. Tables of buckets show only what runs "
            "made of them. Set it here as for Dagster's other processes, and load the code location again."
        )
        return {}
    future: Future[Tables] = Future()
    # A thread that nothing waits for: whoever connects to a database cannot be interrupted.
    threading.Thread(target=_answer, args=(future, keys), daemon=True).start()
    try:
        return future.result(PATIENCE_SECONDS)
    except Exception as error:
        found = f"no answer in {PATIENCE_SECONDS:.0f} seconds" if isinstance(error, TimeoutError) else error
        _log.warning(
            "Dagster's storage did not tell which tables buckets have, so they are not defined: %s. Load the "
            "code location again once it answers.",
            escaped(str(found)),
        )
        return {}


def _answer(future: Future[Tables], keys: Sequence[dg.AssetKey]) -> None:
    try:
        with dg.DagsterInstance.get() as instance:
            future.set_result({key: known_tables(instance, key) for key in keys})
    except Exception as error:
        future.set_exception(error)


def table_specs(config: SyncConfig, bucket: BucketConfig, tables: Tables) -> list[dg.AssetSpec]:
    """The assets of a destination's tables. They are external: the destination's runs write them."""
    key = destination_key(config, bucket)
    return [
        dg.AssetSpec(
            table.key,
            deps=[key],
            description=_description(bucket, key, table),
            kinds={"deltalake", "table"},
            group_name=f"{config.repo_name}_{bucket.name}_tables",
            metadata={
                COLUMNS: dg.MetadataValue.table_schema(table.columns),
                URI: dg.MetadataValue.text(table.uri),
                TABLE: dg.MetadataValue.text(table.path),
            },
        )
        for table in tables.get(key, ())
        if table.is_in_snapshot
    ]


def _description(bucket: BucketConfig, destination: dg.AssetKey, table: KnownTable) -> str:
    branch = "" if bucket.branch == "master" else f", branch={python_text(bucket.branch)}"
    return f"""{markdown(table.text)}

A table of the snapshot of branch {markdown(bucket.branch)}. Runs of {destination.to_user_string()} bring
it up to date. To read it:

```python
from dvidsync_dagster import snapshot

snapshot.open({python_text(bucket.bucket)}{branch})[{python_text(table.path)}]
```
"""
