"""Each error of a store says what was found, and what to do. No login is ever in it."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import Callable
from datetime import timedelta

import pytest

from dvidsync_dagster.errors import StorageError, StorageRefused, StorageUnreachable
from dvidsync_dagster.snapshot.answers import storage_error
from dvidsync_dagster.snapshot.store import Bucket, Tag
from tests.emulators.emulator import SECRET, Emulator
from tests.emulators.faults import Faults

AT_ONCE = timedelta(0)
ALL = ("GET", "PUT", "POST", "DELETE", "HEAD")
WRITES = ("PUT", "POST")
LOGINS = {
    "s3": "AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_KEY",
}


def stored(store: Emulator) -> tuple[Bucket, Tag]:
    """A bucket that is not asked for long, and the tag of the object x in it."""
    bucket = Bucket.at(f"{store.uri}/answers", patience=AT_ONCE)
    bucket.write("x", b"0")
    there = bucket.read("x")
    assert there is not None
    return bucket, there.tag


def ends(attempts: list[Callable[[], object]]) -> list[StorageError]:
    """What each ends with."""
    errors = []
    for attempt in attempts:
        with pytest.raises(StorageError) as raised:
            attempt()
        assert SECRET not in str(raised.value)
        errors.append(raised.value)
    return errors


def writing(bucket: Bucket, tag: Tag) -> list[Callable[[], object]]:
    return [
        lambda: bucket.write("x", b"1"),
        lambda: bucket.create("y", b"1"),
        lambda: bucket.swap("x", b"1", tag),
    ]


def tried(bucket: Bucket, tag: Tag) -> list[StorageError]:
    """What each kind of request ends with."""
    others: list[Callable[[], object]] = [
        lambda: bucket.read("x"),
        lambda: bucket.names(),
        lambda: bucket.delete(["x"]),
    ]
    return ends([*writing(bucket, tag), *others])


NOT_ACCEPTED = {
    "s3": [
        (400, "ExpiredToken"),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (401, "Unauthorized"),
    ],
    "gs": [(401, "AuthenticationRequired"), (403, "AccessDenied"), (403, "InvalidSecurity")],
    "az": [
        (403, "AuthenticationFailed"),
        (403, "AuthorizationFailure"),
        (403, "AuthorizationPermissionMismatch"),
        (401, "NoAuthenticationInformation"),
    ],
}


def test_a_login_that_is_not_accepted_is_told_of(store: Emulator) -> None:
    bucket, tag = stored(store)
    for status, code in NOT_ACCEPTED[store.kind]:
        with store.faults(Faults(status=status, code=code, methods=ALL)):
            for error in tried(bucket, tag):
                assert isinstance(error, StorageRefused), error
                assert f"{status} {code}" in str(error)
                assert LOGINS[store.kind] in str(error)
                assert "not expired" in str(error)


@pytest.mark.azurite
@pytest.mark.parametrize("store", ["az"], indirect=True)
def test_a_key_that_was_renewed_is_told_of(store: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tag = stored(store)
    former = base64.b64encode(b"the key of before").decode()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", former)
    for error in tried(Bucket.at(f"{store.uri}/answers", patience=AT_ONCE), tag):
        assert isinstance(error, StorageRefused), error
        assert LOGINS["az"] in str(error)
        assert former not in str(error)


@pytest.mark.parametrize(
    ("status", "code"), [(507, "StorageFull"), (507, "InsufficientStorage"), (403, "QuotaExceeded")]
)
def test_a_bucket_that_is_full_is_told_of(store: Emulator, status: int, code: str) -> None:
    bucket, tag = stored(store)
    with store.faults(Faults(status=status, code=code, methods=WRITES)):
        for error in ends(writing(bucket, tag)):
            assert isinstance(error, StorageRefused), error
            assert f"there is no room: {status} {code}" in str(error)
            assert "Make room, or raise the quota; then run again." in str(error)
        assert bucket.names() == ["x"]


def test_a_bucket_that_does_not_exist_is_not_an_empty_one(store: Emulator) -> None:
    _, tag = stored(store)
    for error in tried(Bucket.at(f"{store.kind}://elsewhere/x", patience=AT_ONCE), tag):
        assert isinstance(error, StorageRefused), error
        assert "there is no such bucket. Make it, or correct its name." in str(error)


def test_a_bucket_that_forbids_deletes_is_told_of(store: Emulator) -> None:
    bucket, _ = stored(store)
    with store.faults(Faults(status=403, code="AccessDenied", methods=("DELETE", "POST"))):
        [error] = ends([lambda: bucket.delete(["x"])])
        assert "delete there?" in str(error)
        bucket.write("z", b"1")
    bucket.delete(["z"])


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (429, "TooManyRequests"), (500, "Broken")])
def test_a_store_that_stays_busy_is_unreachable(store: Emulator, status: int, code: str) -> None:
    bucket, tag = stored(store)
    with store.faults(Faults(status=status, code=code, methods=ALL)):
        for error in tried(bucket, tag):
            assert isinstance(error, StorageUnreachable), error
            assert f"{status} {code}" in str(error)
            assert "Run again later; nothing is lost." in str(error)


def test_a_store_that_is_not_there_is_unreachable(s3: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tag = stored(s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for error in tried(Bucket.at("s3://snap/x", patience=AT_ONCE), tag):
        assert isinstance(error, StorageUnreachable), error


def test_what_a_store_refuses_for_a_reason_of_its_own_is_told_as_it_says(store: Emulator) -> None:
    bucket, tag = stored(store)
    with store.faults(Faults(status=400, code="ObjectLocked", methods=("DELETE", "POST"))):
        bucket.swap("x", b"1", tag)
        with pytest.raises(StorageRefused, match="refused: 400 ObjectLocked, as the test wants it"):
            bucket.delete(["x"])


@pytest.mark.parametrize("status", [409, 412])
def test_a_write_that_is_refused_is_not_taken_for_another_run(store: Emulator, status: int) -> None:
    """Azure answers so when a container keeps its blobs by a policy, or is just being deleted."""
    bucket, tag = stored(store)
    with store.faults(Faults(status=status, code="BlobImmutableDueToPolicy", methods=WRITES)):
        for error in ends(writing(bucket, tag)):
            assert isinstance(error, StorageRefused), error
            assert f"{status} BlobImmutableDueToPolicy" in str(error)
    bucket.swap("x", b"1", tag)


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


def test_the_file_of_an_error_is_told_once() -> None:
    error = OSError(errno.EROFS, os.strerror(errno.EROFS), "/bucket/.x.json.8f2c")
    told = str(storage_error("/bucket/x.json", error))
    assert told.startswith("/bucket/x.json: it is not allowed: Read-only file system. See that this user")


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
