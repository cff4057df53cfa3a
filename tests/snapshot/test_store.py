"""What holds for a bucket of any kind: a folder, and S3."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
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
    StorageError,
    StorageRefused,
    StorageUnreachable,
)
from dvidsync_dagster.snapshot.answers import storage_error
from dvidsync_dagster.snapshot.store import LARGEST, Bucket, Tag
from tests.snapshot.emulated_s3 import SECRET, EmulatedS3, Faults, emulated_s3

PATIENCE = timedelta(seconds=20)
AT_ONCE = timedelta(0)
ALL = ("GET", "PUT", "POST", "DELETE", "HEAD")


@pytest.fixture(scope="module")
def s3() -> Iterator[EmulatedS3]:
    with emulated_s3() as running:
        running.make_bucket("snap")
        yield running


@pytest.fixture(params=["folder", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    if request.param == "folder":
        return Bucket.at(str(tmp_path / "with space" / "and#more%20ü"))
    request.getfixturevalue("s3")
    return Bucket.at(f"s3://snap/{tmp_path.name}", patience=PATIENCE)


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
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", _NO_GOOGLE)
    assert Bucket.at("gs://snap").seconds_between_writes == 1.0
    assert Bucket.at("s3://snap").seconds_between_writes == 0.0


_NO_GOOGLE = (
    '{"gcs_base_url": "http://127.0.0.1:9", "disable_oauth": true, "client_email": "", "private_key": "", '
    '"private_key_id": ""}'
)


def tried(bucket: Bucket, tag: Tag) -> list[StorageError]:
    """What each kind of request ends with."""
    attempts: list[Callable[[], object]] = [
        lambda: bucket.read("x"),
        lambda: bucket.write("x", b"1"),
        lambda: bucket.create("y", b"1"),
        lambda: bucket.swap("x", b"1", tag),
        lambda: bucket.names(),
        lambda: bucket.delete(["x"]),
    ]
    ends = []
    for attempt in attempts:
        with pytest.raises(StorageError) as raised:
            attempt()
        ends.append(raised.value)
    return ends


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (401, "Unauthorized"),
    ],
)
def test_a_login_that_is_not_accepted_is_told_of(s3: EmulatedS3, status: int, code: str) -> None:
    bucket, tag = stored()
    with s3.faults(Faults(status=status, code=code, methods=ALL)):
        for error in tried(bucket, tag):
            assert isinstance(error, StorageRefused), error
            assert "AWS_SECRET_ACCESS_KEY" in str(error)
            assert code in str(error)
            assert SECRET not in str(error)


def stored() -> tuple[Bucket, Tag]:
    """A bucket that is not asked for long, and the tag of the object x in it."""
    bucket = Bucket.at("s3://snap/x", patience=AT_ONCE)
    bucket.write("x", b"0")
    there = bucket.read("x")
    assert there is not None
    return bucket, there.tag


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (429, "TooManyRequests"), (500, "Broken")])
def test_a_store_that_stays_busy_is_unreachable(s3: EmulatedS3, status: int, code: str) -> None:
    bucket, tag = stored()
    with s3.faults(Faults(status=status, code=code, methods=ALL)):
        for error in tried(bucket, tag):
            assert isinstance(error, StorageUnreachable), error
            assert f"{status} {code}" in str(error)


@pytest.mark.usefixtures("s3")
def test_a_store_that_is_not_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tag = stored()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for error in tried(Bucket.at("s3://snap/x", patience=AT_ONCE), tag):
        assert isinstance(error, StorageUnreachable), error


def test_what_a_store_refuses_for_a_reason_of_its_own_is_told_as_it_says(s3: EmulatedS3) -> None:
    bucket, tag = stored()
    with s3.faults(Faults(status=400, code="ObjectLocked", methods=("DELETE", "POST"))):
        bucket.swap("x", b"1", tag)
        with pytest.raises(StorageRefused, match="refused: 400 ObjectLocked, as the test wants it"):
            bucket.delete(["x"])


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_does_not_exist_is_not_an_empty_one() -> None:
    _, tag = stored()
    for error in tried(Bucket.at("s3://elsewhere/x", patience=AT_ONCE), tag):
        assert isinstance(error, StorageRefused), error
        assert "there is no such bucket" in str(error)


def test_a_fifth_of_busy_answers_changes_nothing(s3: EmulatedS3) -> None:
    bucket = Bucket.at("s3://snap/busy", patience=PATIENCE)
    with s3.faults(Faults(busy=0.2)):
        tag = bucket.create("pointer", b"0")
        for number in range(1, 20):
            tag = bucket.swap("pointer", b"%d" % number, tag)
    assert content(bucket, "pointer") == b"19"


def test_a_write_whose_answer_was_lost_is_known_by_its_content(s3: EmulatedS3) -> None:
    bucket = Bucket.at("s3://snap/lost", patience=PATIENCE)
    with s3.faults(Faults(lost=0.4)):
        tag = bucket.create("pointer", b"0")
        for number in range(1, 20):
            tag = bucket.swap("pointer", b"%d" % number, tag)
    assert content(bucket, "pointer") == b"19"


def test_a_write_whose_answer_never_came_is_known_by_its_content(s3: EmulatedS3) -> None:
    bucket, tag = stored()
    with s3.faults(Faults(lost=1)), pytest.raises(StorageUnreachable):
        bucket.swap("x", b"1", tag)  # it is done, and nobody could see it
    assert bucket.swap("x", b"1", tag) != tag


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "no room"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "no room"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "not allowed"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "not allowed"),
        (NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), "refused"),
    ],
)
def test_what_a_disk_refuses_is_told_of(error: OSError, kind: str) -> None:
    told = storage_error("/data/snap", error)
    assert isinstance(told, StorageRefused)
    assert kind in str(told)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_disk_that_does_not_answer_is_unreachable(number: int) -> None:
    assert isinstance(storage_error("/data/snap", OSError(number, os.strerror(number))), StorageUnreachable)


def test_no_login_at_all_is_told_of() -> None:
    error = Exception("Error performing PUT http://169.254.169.254/latest/api/token - HTTP error")
    assert isinstance(storage_error("s3://snap/x", error), StorageRefused)


def test_what_is_signed_in_a_url_is_not_told() -> None:
    error = Exception(
        f"error sending request for url (https://a.blob.core.windows.net/c/x?sv=1&sig={SECRET})"
    )
    assert SECRET not in str(storage_error("az://c/x", error))


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageRefused):
        Bucket.at(str(tmp_path / "file")).write("x", b"1")
