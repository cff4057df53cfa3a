"""A snapshot: what a bucket holds of a repo, how it is written, and how it is read.

import dvidsync_dagster.snapshot

dataset = dvidsync_dagster.snapshot.open("gs://neu3-live")
bodies = dataset["segmentation/bodies"]
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvidsync_dagster.snapshot.dataset import Dataset

__all__ = ["open"]


def open(
    uri: str | os.PathLike[str],
    *,
    branch: str = "master",
    at: datetime | None = None,
    version: str | None = None,
) -> Dataset:
    """Open a snapshot for reading, at one consistent point over all tables of a branch.

    Args:
        uri: gs://BUCKET/FOLDER, s3://…, az://… or a folder's path. Logins come from the environment.
        branch: its name. Not asked for with `version`.
        at: the newest point at or before this time of the source's clock, with a time zone; without it, and
            without `version`, the newest of all.
        version: a committed version by its UUID, or the first letters of it.

    Raises:
        ConfigurationError: there is no snapshot, branch, point or version of that kind (the message tells
            which there are), or packages are missing.
        StorageError: the bucket does not answer, or does not hold what was written.
    """
    from dvidsync_dagster.errors import ConfigurationError
    from dvidsync_dagster.snapshot.store import Bucket  # what reads tables takes time to load

    place = os.fspath(uri) if isinstance(uri, os.PathLike) else uri
    if not isinstance(place, str):
        raise ConfigurationError(
            "uri",
            f"a value of type {type(uri).__name__} names no place",
            "Give a text, such as gs://neu3-live, or a path.",
        )
    bucket = Bucket.at(place, field="uri")
    # Needs the packages that Bucket.at has looked for.
    from dvidsync_dagster.snapshot.reading import dataset

    return dataset(bucket, branch=branch, at=at, version=version)
