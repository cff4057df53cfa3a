"""A store that does not keep to conditions of writes gets no snapshot: two runs at once would lose data."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dvidsync_dagster.errors import StorageRefused
from dvidsync_dagster.snapshot.pointer import Pointer
from dvidsync_dagster.snapshot.store import Bucket
from tests.emulators.emulator import Emulator
from tests.emulators.faults import Faults

REPO = "28841c8277e044a7b187dda03e18da13"
AT_ONCE = timedelta(0)


def opened(place: str) -> Bucket:
    bucket = Bucket.at(place, patience=AT_ONCE)
    bucket.seconds_between_writes = 0.0  # Google's emulator takes any number
    return bucket


def test_nothing_is_left_of_the_trial(place: str) -> None:
    bucket = opened(place)
    Pointer.claimed(bucket, REPO)
    assert bucket.names() == ["snapshot.json"]


@pytest.mark.parametrize(
    ("header", "found"),
    [("If-None-Match", "wrote over an object that must not be there"), ("If-Match", "must not have changed")],
)
def test_a_store_that_ignores_conditions_is_refused_before_anything_is_made(
    s3: Emulator, tmp_path: Path, header: str, found: str
) -> None:
    bucket = opened(f"{s3.uri}/{tmp_path.name}")
    with (
        s3.faults(Faults(ignored=header)),
        pytest.raises(StorageRefused, match=f"{found}: two runs at once.*If-None-Match"),
    ):
        Pointer.claimed(bucket, REPO)
    assert bucket.names() == []
    Pointer.claimed(bucket, REPO)


def test_a_store_that_knows_no_conditions_is_refused(s3: Emulator, tmp_path: Path) -> None:
    bucket = opened(f"{s3.uri}/{tmp_path.name}")
    with (
        s3.faults(Faults(status=501, code="NotImplemented", methods=("PUT",))),
        pytest.raises(StorageRefused, match=r"cannot do that: 501 NotImplemented.*If-None-Match"),
    ):
        Pointer.claimed(bucket, REPO)


def test_a_login_that_may_not_delete_makes_a_snapshot(s3: Emulator, tmp_path: Path) -> None:
    bucket = opened(f"{s3.uri}/{tmp_path.name}")
    with s3.faults(Faults(status=403, code="AccessDenied", methods=("DELETE",))):
        Pointer.claimed(bucket, REPO)
    assert [name for name in bucket.names() if not name.startswith("dvidsync-trial-")] == ["snapshot.json"]


def test_it_is_tried_once(s3: Emulator, tmp_path: Path) -> None:
    bucket = opened(f"{s3.uri}/{tmp_path.name}")
    Pointer.claimed(bucket, REPO)
    s3.set(Faults())
    Pointer.claimed(bucket, REPO)
    assert [request.split()[0] for request in s3.requests()] == ["GET", "PUT"]
