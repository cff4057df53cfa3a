"""`snapshot.json`: the commit over all tables of a bucket.

It names the version of each table, and holds the checkpoint that belongs to them. A run claims it first: from
then on no earlier run can commit.
"""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from dvidsync_dagster.errors import (
    AlreadyThere,
    CheckpointError,
    ConfigurationError,
    OwnershipLost,
    SnapshotDamaged,
    StorageUnreachable,
)
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json
from dvidsync_dagster.snapshot.conditions import try_conditions
from dvidsync_dagster.snapshot.layout import POINTER, branch_folder
from dvidsync_dagster.snapshot.store import Bucket, Stored, Tag

FORMAT = 1
_CLAIMS = 20
"""How often a claim is tried while others claim too."""


def _checkpoint(stored: Any) -> Checkpoint | None:
    return stored if stored is None or isinstance(stored, Checkpoint) else checkpoint_from_json(stored)


_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Checkpoint = Annotated[
    Checkpoint | None,
    BeforeValidator(_checkpoint),
    PlainSerializer(lambda checkpoint: checkpoint and checkpoint_json(checkpoint)),
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, arbitrary_types_allowed=True)


class TableState(_Part):
    """A table at the commit.

    Args:
        version: Delta's.
        rows: how many.
    """

    version: _Count
    rows: _Count


class BranchState(_Part):
    """A branch at the commit.

    Args:
        uuid: its newest version.
        committed: its newest version that is committed; "" if none is.
        base: the version that the tables began with.
        base_read_ns: when the reading of it began, by the source's clock (ns since 1970).
        read_until_ns: when it ended, if the base was open, until the log has told that the tables are of one
            moment.
        log_time_ns: the moment of the log (ns since 1970) at which the tables are.
        tables: by path.
        instances: the data UUIDs of all instances that the source had when the last run began, by name; those
            of tables are among them. None if an earlier dvidsync wrote this.
    """

    uuid: str
    committed: str = ""
    base: str = ""
    base_read_ns: _Count = 0
    read_until_ns: _Count = 0
    log_time_ns: _Count
    tables: dict[str, TableState] = {}
    instances: dict[str, str] | None = None


class Pin(_Part):
    """The tables as they were when a version was committed.

    Args:
        branch: the version's.
        log_time_ns: the moment of the log (ns since 1970) at which the tables are.
        tables: Delta's version, by path.
        instances: the data UUIDs of the instances that the tables are of, by name; one that is not here was
            not told.
    """

    branch: str
    log_time_ns: _Count
    tables: dict[str, _Count] = {}
    instances: dict[str, str] = {}


class Snapshot(_Part):
    """What a bucket holds, all from one point of the log.

    Args:
        format: of this file. A newer one is not read.
        repo: the UUID of the repo's root.
        epoch: how many runs have owned the bucket.
        owner: the run that does: two that claim at once differ by it.
        checkpoint: how far the log is in the tables; None before the first commit.
        branches: by name.
        pins: by the UUID of a committed version.
    """

    format: int = FORMAT
    repo: str
    epoch: _Count
    owner: str = ""
    checkpoint: _Checkpoint = None
    branches: dict[str, BranchState] = {}
    pins: dict[str, Pin] = {}


class Pointer:
    """A bucket's `snapshot.json`, open for one run that owns it."""

    def __init__(self, bucket: Bucket, snapshot: Snapshot, tag: Tag) -> None:
        self.snapshot = snapshot
        self._bucket = bucket
        self._tag = tag
        self._written = time.monotonic()

    @classmethod
    def load(cls, bucket: Bucket) -> Snapshot | None:
        """The newest commit, for readers; None if there is none.

        Raises:
            SnapshotDamaged: it is not what a run writes, or of a newer format.
            StorageError.
        """
        stored = bucket.read(POINTER)
        return _parsed(bucket, stored) if stored else None

    @classmethod
    def claimed(cls, bucket: Bucket, repo: str) -> Pointer:
        """Make this run the owner. It is made if there is none, and the store keeps to conditions of writes.

        Raises:
            ConfigurationError: it holds a snapshot of another repo.
            StorageError: as `load`.
        """
        owner = uuid.uuid4().hex
        for _ in range(_CLAIMS):
            stored = bucket.read(POINTER)
            if stored is None:
                try_conditions(bucket)
            before = _parsed(bucket, stored) if stored else Snapshot(repo=repo, epoch=0)
            if before.repo != repo:
                raise ConfigurationError(
                    "bucket",
                    f"{bucket.uri} holds a snapshot of another repo, {before.repo}",
                    "Give each repo a folder of its own.",
                )
            snapshot = before.model_copy(update={"epoch": before.epoch + 1, "owner": owner})
            try:
                return cls(bucket, snapshot, _put(bucket, snapshot, stored))
            except (OwnershipLost, AlreadyThere):
                continue
        raise StorageUnreachable(
            f"{bucket.uri}/{POINTER}", "other runs claim it all the time", "Let one run at a time write it."
        )

    def commit(self, snapshot: Snapshot) -> None:
        """Make this the snapshot that readers see.

        Raises:
            OwnershipLost: a newer run has claimed it.
            StorageError.
        """
        rest = self._written + self._bucket.seconds_between_writes - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        own = {"format": FORMAT, "epoch": self.snapshot.epoch, "owner": self.snapshot.owner}
        snapshot = snapshot.model_copy(update=own)
        self._tag = self._bucket.swap(POINTER, _content(snapshot), self._tag)
        self._written = time.monotonic()
        self.snapshot = snapshot


def refuse_tables_alone(bucket: Bucket, branch: str) -> None:
    """Tables that no pointer speaks of are not written over: the versions that were pinned would be lost.

    Raises:
        SnapshotDamaged: a branch has such.
        StorageError.
    """
    has_tables = any("/_delta_log/" in name for name in bucket.names(branch_folder(branch)))
    # Looked for last: another run can make its first tables just now.
    if has_tables and bucket.read(POINTER) is None:
        raise SnapshotDamaged(f"{bucket.uri}/{POINTER}", "it is gone, and its tables are there", _REMEDY)


def _put(bucket: Bucket, snapshot: Snapshot, before: Stored | None) -> Tag:
    if before is None:
        return bucket.create(POINTER, _content(snapshot))
    return bucket.swap(POINTER, _content(snapshot), before.tag)


def _content(snapshot: Snapshot) -> bytes:
    return snapshot.model_dump_json(indent=1).encode()


class _Format(BaseModel):
    model_config = ConfigDict(strict=True)

    format: int


def _parsed(bucket: Bucket, stored: Stored) -> Snapshot:
    where = f"{bucket.uri}/{POINTER}"
    try:
        version = _Format.model_validate_json(stored.content).format
        if version > FORMAT:
            raise SnapshotDamaged(
                where,
                f"it has format {version}, this version of dvidsync reads up to {FORMAT}",
                "Update dvidsync.",
            )
        return Snapshot.model_validate_json(stored.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise SnapshotDamaged(where, f"it is not what was written: {place} {first['msg']}", _REMEDY) from None
    except CheckpointError as error:
        raise SnapshotDamaged(where, "its checkpoint cannot be used", str(error)) from None


_REMEDY = (
    "Bring back an older one, if the bucket keeps old versions of objects. Else nothing tells anymore which "
    "versions belong together: keep releases/, delete the rest of the folder, and the next run makes it anew."
)
