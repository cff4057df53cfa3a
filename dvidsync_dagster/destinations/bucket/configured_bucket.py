"""Where a configured snapshot is, and how its tables' logs name who writes them."""

from __future__ import annotations

from dvidsync_dagster.config import BucketConfig
from dvidsync_dagster.snapshot.store import Bucket


def bucket_of(destination: BucketConfig) -> Bucket:
    """The bucket; it is asked for nothing yet.

    Raises:
        ConfigurationError: it is of no known kind, or packages are missing.
    """
    return Bucket.at(destination.bucket, field=f"{destination.field}.bucket")


def table_app(repo: str, destination: BucketConfig) -> str:
    """The name under which the tables' logs count commits."""
    return f"dvidsync/{repo}/{destination.name}"
