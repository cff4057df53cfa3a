"""Whether a store keeps to conditions of writes: all that keeps two runs apart rests on it.

Some stores that speak S3's language take If-None-Match and If-Match, and write all the same.
"""

from __future__ import annotations

import uuid
from contextlib import suppress

from dvidsync_dagster.errors import AlreadyThere, OwnershipLost, StorageError, StorageRefused
from dvidsync_dagster.snapshot.answers import ANOTHER_STORE
from dvidsync_dagster.snapshot.store import Bucket


def try_conditions(bucket: Bucket) -> None:
    """Try with objects of our own, which are gone afterwards.

    Raises:
        StorageRefused: a write was done though its condition did not hold.
        StorageError.
    """
    one, other = (f"dvidsync-trial-{uuid.uuid4().hex}" for _ in range(2))
    try:
        bucket.create(one, b"one")
        try:
            bucket.create(one, b"once more")
        except AlreadyThere:
            pass
        else:
            raise _ignored(bucket, "an object that must not be there")
        try:
            bucket.swap(one, b"swapped", bucket.create(other, b"other"))
        except OwnershipLost:
            pass
        else:
            raise _ignored(bucket, "an object that must not have changed")
    finally:
        # A login may write and not delete. What is left is named so that people know it.
        with suppress(StorageError):
            bucket.delete([one, other])


def _ignored(bucket: Bucket, what: str) -> StorageRefused:
    return StorageRefused(
        bucket.uri, f"the store wrote over {what}: two runs at once would lose data", ANOTHER_STORE
    )
