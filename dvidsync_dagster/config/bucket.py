"""Buckets: destinations that hold a snapshot of one branch as tables, and need no server."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from dvidsync_dagster.config.bucket_place import bucket_place
from dvidsync_dagster.config.destination import AnyDestination
from dvidsync_dagster.config.fields import WrongValue, in_range


class BucketConfig(AnyDestination):
    """A bucket, or a folder, that holds a snapshot of one branch."""

    # Whole files are written anew for each chunk.
    usual_chunk: ClassVar[int] = 100_000

    bucket: str = Field(
        description="where the snapshot is: gs://, s3://, az:// or file://, or a folder's whole path. Logins "
        "come from the environment"
    )
    branch: str = Field(default="master", description="the branch that the snapshot follows")
    releases: Literal["none", "committed"] = Field(
        default="none",
        description="whether each committed version is also written as Feather files: none or committed",
    )

    keep_days: int = Field(
        default=7, description="how many days what a reader opened, or asks for by time, stays, 1 to 3650"
    )
    maintenance_schedule: str | None = Field(
        default="15 4 * * *",
        description="when small files are made few and old ones deleted, as a cron line in UTC; null: only "
        "by hand",
    )

    @property
    def place(self) -> str:
        return self.bucket

    @field_validator("keep_days")
    @classmethod
    def _check_days(cls, days: int) -> int:
        return in_range(days, 1, 3650)

    @field_validator("bucket")
    @classmethod
    def _check_bucket(cls, bucket: str) -> str:
        """Without a slash at its end."""
        bucket_place(bucket)
        if "://" not in bucket and not bucket.startswith(("/", "~")):
            raise WrongValue(
                "is neither a URI nor a folder's whole path", "Write it such as gs://neu3-live, or /folder."
            )
        return bucket.rstrip("/") or "/"

    @field_validator("branch")
    @classmethod
    def _check_branch(cls, branch: str) -> str:
        if not branch or not branch.isprintable() or branch == "all":
            raise WrongValue(
                "names no branch", "Name one, such as master. Each branch has a bucket of its own."
            )
        return branch
