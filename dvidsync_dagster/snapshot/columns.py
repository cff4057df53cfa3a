"""A commit that changes a table's columns and their texts.

delta-rs has a commit for each text alone. So this one is written here, as Delta's protocol has it: an object
that must not be there yet, with one action a line.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError

from dvidsync_dagster.errors import AlreadyThere
from dvidsync_dagster.snapshot.store import Bucket


def commit_columns(
    bucket: Bucket, folder: str, delta: DeltaTable, schema: pa.Schema, properties: CommitProperties
) -> None:
    """Give a table this schema; it is then open at that commit. Columns that came later must be nullable.

    Args:
        folder: the table's.

    Raises:
        CommitFailedError: another commit came between.
        StorageError.
    """
    name = f"{folder}/_delta_log/{delta.version() + 1:020d}.json"
    lines = (json.dumps(each) for each in _actions(delta, schema, properties))
    try:
        bucket.create(name, "".join(f"{line}\n" for line in lines).encode())
    except AlreadyThere as error:
        raise CommitFailedError(str(error)) from None
    delta.update_incremental()


def _actions(delta: DeltaTable, schema: pa.Schema, properties: CommitProperties) -> list[dict[str, Any]]:
    now = time.time_ns() // 1_000_000
    before = delta.metadata()
    metadata = {
        "id": str(before.id),
        "name": before.name,
        "description": before.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": Schema.from_arrow(schema).to_json(),
        "partitionColumns": before.partition_columns,
        "createdTime": before.created_time,
        "configuration": before.configuration,
    }
    info = {"timestamp": now, "operation": "CHANGE COLUMNS", "operationParameters": {}}
    transactions = properties.app_transactions or []
    return [
        {"commitInfo": {**info, **(properties.custom_metadata or {})}},
        {"metaData": {key: value for key, value in metadata.items() if value is not None}},
        *(
            {"txn": {"appId": each.app_id, "version": each.version, "lastUpdated": now}}
            for each in transactions
        ),
    ]
