"""Maintenance as a process of its own: ``python -m tests.destinations.maintenance_child URI REPO APP``.

It says that it is ready, and begins when it gets a line.
"""

from __future__ import annotations

import sys

from dvidsync_dagster.destinations.bucket.maintenance import SHORTEST, maintain
from dvidsync_dagster.snapshot.store import Bucket


def main(uri: str, repo: str, app: str) -> None:
    bucket = Bucket.at(uri)
    print("ready", flush=True)
    sys.stdin.readline()
    maintain(bucket, repo, app=app, kept=SHORTEST)


if __name__ == "__main__":
    main(*sys.argv[1:])
