"""What holds for a bucket of any kind: a folder, S3, Google's and Azure's."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from dvidsync_dagster.errors import (
    AlreadyThere,
    ConfigurationError,
    OwnershipLost,
    SnapshotDamaged,
    StorageUnreachable,
)
from dvidsync_dagster.snapshot.store import LARGEST, Bucket, Tag
from tests.emulators.emulator import SECRET, Emulator
from tests.emulators.faults import Faults

PATIENCE = timedelta(seconds=20)
AT_ONCE = timedelta(0)


@pytest.fixture
def bucket(place: str) -> Bucket:
    return Bucket.at(place, patience=PATIENCE)


def content(bucket: Bucket, name: str) -> bytes:
    there = bucket.read(name)
    assert there is not None
    return there.content


def test_what_is_written_is_read(bucket: Bucket) -> None:
    assert bucket.read("a/b.json") is None
    assert bucket.names() == []
    bucket.write("a/b.json", b"one")
    bucket.write("a/b.json", b"two")
    bucket.write("c", b"")
    assert content(bucket, "a/b.json") == b"two"
    assert bucket.names() == ["a/b.json", "c"]
    assert bucket.names("a") == ["a/b.json"]
    assert bucket.names("nothing") == []
    bucket.delete(["a/b.json", "never there"])
    assert bucket.names() == ["c"]


def test_a_file_is_written_as_an_object(bucket: Bucket, tmp_path: Path) -> None:
    large = os.urandom(20 << 20)
    (tmp_path / "large").write_bytes(large)
    bucket.write("large", tmp_path / "large")
    assert content(bucket, "large") == large


def test_an_object_is_made_once(bucket: Bucket) -> None:
    tag = bucket.create("once", b"mine")
    assert bucket.create("once", b"mine") == tag  # as after an answer that was lost
    with pytest.raises(AlreadyThere, match="once: it is there already"):
        bucket.create("once", b"theirs")
    assert content(bucket, "once") == b"mine"


def test_only_who_knows_the_newest_content_replaces_it(bucket: Bucket) -> None:
    first = bucket.create("pointer", b"1")
    second = bucket.swap("pointer", b"2", first)
    with pytest.raises(OwnershipLost, match="pointer: another run has written it"):
        bucket.swap("pointer", b"3", first)
    bucket.swap("pointer", b"4", second)
    assert content(bucket, "pointer") == b"4"
    bucket.delete(["pointer"])
    with pytest.raises(OwnershipLost):
        bucket.swap("pointer", b"5", second)


def swapped(bucket: Bucket, tag: Tag, together: Barrier, content: bytes) -> tuple[Tag, bytes] | None:
    together.wait()
    try:
        return bucket.swap("pointer", content, tag), content
    except OwnershipLost:
        return None


def test_of_many_that_replace_at_once_one_succeeds(bucket: Bucket) -> None:
    tag = bucket.create("pointer", b"start")
    for number in range(5):
        with ThreadPoolExecutor(4) as pool:
            new = list(
                pool.map(
                    partial(swapped, bucket, tag, Barrier(4)), [b"%d%d" % (number, each) for each in range(4)]
                )
            )
        [(tag, written)] = [each for each in new if each is not None]
        assert content(bucket, "pointer") == written


def test_an_object_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "snapshot.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(SnapshotDamaged, match="too large"):
        Bucket.at(str(tmp_path)).read("snapshot.json")


def test_a_path_and_a_file_uri_are_the_same_folder(tmp_path: Path) -> None:
    Bucket.at(str(tmp_path / "a b")).write("x", b"1")
    assert content(Bucket.at(f"file://{tmp_path}/a%20b"), "x") == b"1"


@pytest.mark.parametrize("name", ["../x", "a//b", "/a", ".", "a/../b", ""])
def test_a_name_stays_inside_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name in a bucket"):
        Bucket.at(str(tmp_path)).write(name, b"")


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://somewhere/x",
        "gs://",
        f"s3://somebody:{SECRET}@snap/x",
        f"az://snap/x?sig={SECRET}",
        f"gs://snap/x#{SECRET}",
        "s3://snap/a\nb",
        "s3://snap/../x",
        "file://elsewhere/x",
        "s3://[x/y",
    ],
)
def test_a_uri_that_cannot_be_used_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^destinations\[1\]\.bucket: ") as refused:
        Bucket.at(uri, field="destinations[1].bucket")
    assert SECRET not in str(refused.value)


def test_a_login_that_is_no_login_is_refused_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", f'{{"private_key": "{SECRET}')
    with pytest.raises(ConfigurationError, match=r"^bucket: gs://snap cannot be opened") as refused:
        Bucket.at("gs://snap")
    assert SECRET not in str(refused.value)


def test_google_takes_one_write_of_an_object_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"gcs_base_url": "http://127.0.0.1:9", "disable_oauth": True, "client_email": ""}
    monkeypatch.setenv(
        "GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps({**key, "private_key": "", "private_key_id": ""})
    )
    assert Bucket.at("gs://snap").seconds_between_writes == 1.0
    assert Bucket.at("s3://snap").seconds_between_writes == 0.0


@pytest.mark.parametrize(
    "faults", [Faults(busy=0.2), Faults(lost=0.4)], ids=["a fifth is busy", "answers are lost"]
)
def test_each_write_is_there_once_whatever_became_of_its_answer(store: Emulator, faults: Faults) -> None:
    bucket = Bucket.at(f"{store.uri}/faulty-{faults.busy}", patience=PATIENCE)
    with store.faults(faults):
        tag = bucket.create("pointer", b"0")
        for number in range(1, 10):
            tag = bucket.swap("pointer", b"%d" % number, tag)
    assert content(bucket, "pointer") == b"9"


def test_a_write_whose_answer_never_came_is_known_by_its_content(store: Emulator) -> None:
    bucket = Bucket.at(f"{store.uri}/never", patience=AT_ONCE)
    tag = bucket.create("x", b"0")
    with store.faults(Faults(lost=1)), pytest.raises(StorageUnreachable):
        bucket.swap("x", b"1", tag)  # it is done, and nobody could see it
    assert bucket.swap("x", b"1", tag) != tag


def test_a_lock_that_another_process_holds_is_not_waited_for_without_end(tmp_path: Path) -> None:
    bucket = Bucket.at(str(tmp_path), patience=AT_ONCE)
    tag = bucket.create("x", b"0")
    lock = tmp_path / ".x.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(
            StorageUnreachable, match=f"{lock}: another process still holds this lock.*Run again"
        ):
            bucket.swap("x", b"1", tag)
    assert content(bucket, "x") == b"0"
    bucket.swap("x", b"1", tag)


def test_a_lock_that_another_process_holds_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    bucket = Bucket.at(str(tmp_path), patience=PATIENCE)
    tag = bucket.create("x", b"0")
    with ThreadPoolExecutor(1) as pool:
        with (tmp_path / ".x.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            swapped = pool.submit(bucket.swap, "x", b"1", tag)
            with pytest.raises(TimeoutError):
                swapped.result(timeout=0.2)
        swapped.result()
    assert content(bucket, "x") == b"1"


def test_a_path_that_leads_through_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file/below"):
        bucket = Bucket.at(str(folder), field="destinations[cloud].bucket")
        attempts: list[Callable[[], object]] = [
            partial(bucket.read, "x"),
            partial(bucket.write, "x", b""),
            partial(bucket.create, "x", b""),
            bucket.names,
        ]
        for attempt in attempts:
            with pytest.raises(ConfigurationError) as raised:
                attempt()
            found = f"{tmp_path}/file is a file, and no folder. Name a folder"
            assert str(raised.value).startswith(f"destinations[cloud].bucket: {found}")
