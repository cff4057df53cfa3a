"""One run at a time per destination: a Dagster pool of one."""

from __future__ import annotations

import dagster as dg


def limit_to_one(instance: dg.DagsterInstance, pool: str) -> None:
    """Set the pool's limit. A pool without an explicit one lets two runs through on its first use."""
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits and storage.get_concurrency_info(pool).slot_count != 1:
        storage.set_concurrency_slots(pool, 1)
