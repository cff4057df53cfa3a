"""Which point of a snapshot a reader gets: the newest, the newest at a time, or a committed version."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.layout import POINTER
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer, Snapshot
from dvidsync_dagster.snapshot.points import POINTS, Point, in_order, moment, nanoseconds, up_to
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.whole import WholeTables

_SHOWN = 10
"""How many names an error tells."""


def dataset(
    bucket: Bucket, *, branch: str = "master", at: datetime | None = None, version: str | None = None
) -> Dataset:
    """See `dvidsync_dagster.snapshot.open`."""
    snapshot = Pointer.load(bucket)
    if snapshot is None or not snapshot.branches:
        raise _no_snapshot(bucket, bucket.lacks(POINTER) if snapshot is None else _NOT_YET)
    if version is not None:
        if at is not None:
            raise ConfigurationError("at", "a version is given too", "Give one of them.")
        return _at_version(bucket, snapshot, version)
    state = snapshot.branches.get(branch)
    if state is None:
        raise ConfigurationError(
            "branch",
            f"the snapshot has no branch {escaped(branch)!r}",
            f"It has {_some(snapshot.branches)}.",
        )
    if snapshot.checkpoint is None and not state.committed:
        raise _no_snapshot(bucket, _NOT_YET)
    if at is not None and _exact(at) < state.log_time_ns:
        return _at_time(bucket, snapshot, branch, _exact(at))
    return Dataset(
        bucket,
        branch,
        uuid=state.uuid,
        log_time=moment(state.log_time_ns),
        versions={path: table.version for path, table in state.tables.items()},
        checkpoint=snapshot.checkpoint,
        kept_versions=snapshot.pins,
    )


_NOT_YET = "the first is still being made"


def _no_snapshot(bucket: Bucket, found: str) -> ConfigurationError:
    return ConfigurationError(
        "uri",
        f"there is no snapshot at {bucket.uri}: {found}",
        "Give the folder that dvidsync follows into, and let a run end.",
    )


def _at_time(bucket: Bucket, snapshot: Snapshot, branch: str, log_time_ns: int) -> Dataset:
    points = up_to(_points(bucket, branch, snapshot.branches[branch]), log_time_ns)
    point = points[-1] if points else None
    if point is None or WholeTables(bucket, branch).first_lost(point.tables):
        found = "the snapshot begins later" if point is None else "that point is no longer kept"
        raise ConfigurationError("at", found, _kept(bucket, snapshot, branch))
    return Dataset(
        bucket,
        branch,
        uuid=point.uuid,
        log_time=moment(point.log_time_ns),
        versions=point.tables,
        kept_versions=snapshot.pins,
    )


def _at_version(bucket: Bucket, snapshot: Snapshot, version: str) -> Dataset:
    if not isinstance(version, str) or not version:
        found = f"{escaped(repr(version), 100)} names no version"
        raise ConfigurationError("version", found, f"Give a UUID, or its first letters. {_pinned(snapshot)}")
    fitting = [uuid for uuid in snapshot.pins if uuid.startswith(version)]
    uuid = version if version in snapshot.pins else fitting[0] if len(fitting) == 1 else None
    if uuid is None:
        found = f"several begin with {escaped(version)!r}" if fitting else f"{escaped(version)!r} is not kept"
        remedy = f"Such as {_some(fitting)}." if fitting else _pinned(snapshot)
        raise ConfigurationError("version", f"of the committed versions {found}", remedy)
    # Maintenance deletes nothing of it, so nothing is listed. What somebody else has deleted is told when it
    # is read, and the other tables can be.
    pin = snapshot.pins[uuid]
    return Dataset(
        bucket,
        pin.branch,
        uuid=uuid,
        log_time=moment(pin.log_time_ns),
        versions=pin.tables,
        kept_versions=snapshot.pins,
    )


def _points(bucket: Bucket, branch: str, state: BranchState) -> list[Point]:
    if POINTS.path not in state.tables:
        return []
    versions = {POINTS.path: state.tables[POINTS.path].version}
    held = Dataset(bucket, branch, uuid=state.uuid, log_time=None, versions=versions)
    return in_order(held.arrow(POINTS.path))


def _kept(bucket: Bucket, snapshot: Snapshot, branch: str) -> str:
    """What a reader can have instead."""
    state = snapshot.branches.get(branch)
    points = _points(bucket, branch, state) if state else []
    first = WholeTables(bucket, branch).first_whole(points)
    past = f"those since {moment(first.log_time_ns).isoformat()}" if first else "none"
    return f"Of the points of branch {escaped(branch)!r} {past} are kept. {_pinned(snapshot)}"


def _pinned(snapshot: Snapshot) -> str:
    return f"Of the committed versions {_some(snapshot.pins)} are kept."


def _exact(at: datetime) -> int:
    """The end of the microsecond, so that a point's own `log_time` finds it."""
    if not isinstance(at, datetime):
        raise ConfigurationError(
            "at",
            f"{escaped(repr(at), 100)} is no datetime",
            "Give one with a time zone, such as datetime(2026, 1, 31, tzinfo=UTC).",
        )
    if at.tzinfo is None:
        raise ConfigurationError(
            "at", f"{at.isoformat()} has no time zone", "Give one, such as datetime(…, tzinfo=UTC)."
        )
    return nanoseconds(at) + 999


def _some(names: Collection[str]) -> str:
    shown = ", ".join(escaped(name, 100) for name in list(names)[-_SHOWN:])
    more = f" and {len(names) - _SHOWN} older ones" if len(names) > _SHOWN else ""
    return f"{shown or 'none'}{more}"
