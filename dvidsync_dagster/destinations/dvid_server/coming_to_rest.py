"""Waiting until what a run that died has asked of a destination is done: the server goes on without it.

See docs/dvid.md, "Requests after their client's death".
"""

from __future__ import annotations

import time

from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused

REST_LOOKS = 15


def wait_for_rest(client: Transport, root: str, pause: float) -> None:
    """Wait until two looks, `pause` seconds apart, agree.

    A server that others keep busy is waited for `REST_LOOKS` looks at most.
    """
    before = _marks(client, root)
    for look_number in range(REST_LOOKS):
        time.sleep(pause)
        now = _marks(client, root)
        if now == before and (not _is_busy(client) or look_number == REST_LOOKS - 1):
            break
        before = now


def _marks(client: Transport, root: str) -> tuple[object, ...]:
    info = read_repo_info(client, root)
    return (info.next_mutation_id, [(version.uuid, version.locked) for version in info.versions.values()])


def _is_busy(client: Transport) -> bool:
    try:
        load = client.read_json("/api/load")
    except RequestRefused:
        return False
    return isinstance(load, dict) and bool(load.get("handlers active"))
