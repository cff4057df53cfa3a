"""Runs into object stores that are killed at requests or refused: readers see one whole snapshot, and the
next run ends as if nothing had been."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from dvidsync_dagster.errors import StorageRefused
from dvidsync_dagster.snapshot.pointer import Pointer
from dvidsync_dagster.snapshot.store import Bucket
from tests.destinations.bucket_scene import Content, SourceAndBucket, comparable, source_and_bucket
from tests.destinations.test_bucket_killed import assert_same, start
from tests.emulators.emulator import KINDS, SECRET, Emulator
from tests.emulators.faults import Faults

MANY = os.environ.get("DVIDSYNC_ALL_FAULTS") == "1"
STORES = KINDS if MANY else ["s3"]
pytestmark = pytest.mark.timeout(1800 if MANY else 300)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def killed(here: SourceAndBucket, store: Emulator, uri: str, at: int) -> bool:
    """Kill a run at one of its requests, before it is carried out or after; False if it ended before."""
    process = start(here, uri)
    store.set(Faults(kill=process.pid, at=at, done=at % 2 == 0))
    printed, _ = process.communicate()
    store.set(Faults())
    assert process.returncode in (0, -9), printed
    return process.returncode == -9


def seen(here: SourceAndBucket, uri: str) -> Content | None:
    """By readers; None while the first snapshot is made."""
    snapshot = Pointer.load(Bucket.at(uri))
    if snapshot is None or snapshot.checkpoint is None:
        return None
    return comparable(here.content(uri), edits=True)


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_run_that_is_killed_at_a_request_leaves_the_snapshot_of_before_or_the_next(
    here: SourceAndBucket, store: Emulator, record_property: Callable[[str, object], None]
) -> None:
    here.chunk_records = 100_000  # one commit a run
    uri, undisturbed, random = f"{store.uri}/{here.folder.name}", here.folder / "undisturbed", Random(3)
    here.sync(undisturbed)
    first = comparable(here.content(undisturbed), edits=True)
    kills, request = 0, 3
    while killed(here, store, uri, request):
        assert seen(here, uri) in (None, first)
        kills += 1
        request += 20 if MANY else 60
    with here.crowd(3) as crowd:
        for _ in range(20 if MANY else 2):
            before = seen(here, uri)
            crowd.work(40)
            here.sync(undisturbed)
            after = comparable(here.content(undisturbed), edits=True)
            kills += killed(here, store, uri, random.randint(1, 150))
            assert seen(here, uri) in (before, after)
            if random.random() < 0.5:
                here.sync(uri)
                assert seen(here, uri) == after
    here.sync(uri)
    assert_same(here, undisturbed, uri)
    record_property("kills", kills)
    assert kills > (15 if MANY else 1)


REFUSED = [
    (403, "ExpiredToken", ("GET", "PUT", "POST", "HEAD"), "not expired"),
    (401, "Unauthorized", ("PUT", "POST"), "not expired"),
    (403, "QuotaExceeded", ("PUT", "POST"), r"no room: 403 QuotaExceeded, .* Make room, or raise the quota"),
]


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_run_that_is_refused_says_what_to_do_and_the_next_one_ends(
    here: SourceAndBucket, store: Emulator
) -> None:
    uri, undisturbed = f"{store.uri}/{here.folder.name}", here.folder / "undisturbed"
    here.sync(uri)
    here.sync(undisturbed)
    before = seen(here, uri)
    with here.crowd(4) as crowd:
        crowd.work(60)
    for status, code, methods, told in REFUSED:
        with (
            store.faults(Faults(status=status, code=code, methods=methods)),
            pytest.raises(StorageRefused, match=told) as refused,
        ):
            here.sync(uri)
        assert SECRET not in str(refused.value)
        assert seen(here, uri) == before
    with store.faults(Faults(status=403, code="AccessDenied", methods=("DELETE", "POST"))):
        here.sync(uri)  # which deletes nothing
    here.sync(undisturbed)
    assert_same(here, undisturbed, uri)
