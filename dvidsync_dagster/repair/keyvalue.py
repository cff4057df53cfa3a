"""Keyvalue instances: keys written and deleted."""

from __future__ import annotations

from dvidsync_dagster.compare.keyvalue import KEYS_PER_REQUEST, VALUES, read_values
from dvidsync_dagster.differences.items import Pair, find
from dvidsync_dagster.differences.work import Work
from dvidsync_dagster.dvid.keyvalue import Keyvalue

BYTES_PER_REQUEST = 8 << 20


def repair_keyvalue(pair: Pair, work: Work) -> None:
    """Copy the values that differ, and delete the keys that the source does not have."""
    found, _ = find(VALUES, pair)
    if found is None:
        return
    version, name = pair.source.version, pair.source.name
    written = found.keys[found.at_source].tolist()
    deleted = found.keys[~found.at_source].tolist()
    copy = Keyvalue(pair.copy.client, pair.copy.name)
    # A key with a slash cannot stand in a path, and nothing else deletes.
    unreachable = [key for key in deleted if "/" in key]
    work.leave(
        version, name, "delete key", unreachable, "DVID has no request that deletes a key with a slash."
    )
    deleted = [key for key in deleted if "/" not in key]
    if work.plan(version, name, "delete key", deleted):
        for key in deleted:
            work.still_owner()
            copy.delete(version, key)
    if work.plan(version, name, "write key", written):
        for start in range(0, len(written), KEYS_PER_REQUEST):
            _write(pair, copy, written[start : start + KEYS_PER_REQUEST], work)


def _write(pair: Pair, copy: Keyvalue, keys: list[str], work: Work) -> None:
    source = Keyvalue(pair.source.client, pair.source.name)
    version = pair.source.version
    waiting: list[tuple[str, bytes]] = []
    size = 0
    for key, file in zip(keys, read_values(pair.source, keys), strict=True):
        value = file.read()
        if not value:
            # Empty, or deleted since: only the listing tells.
            if source.exists(version, key):
                work.still_owner()
                copy.write(version, key, b"")
            continue
        if waiting and size + len(value) > BYTES_PER_REQUEST:
            work.still_owner()
            copy.write_many(version, waiting)
            waiting, size = [], 0
        waiting.append((key, value))
        size += len(value)
    if waiting:
        work.still_owner()
        copy.write_many(version, waiting)
