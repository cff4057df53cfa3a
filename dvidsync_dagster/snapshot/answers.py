"""What went wrong in a store, as obstore, delta-rs, pyarrow and the operating system tell it: by text alone.

They tell of status codes, S3's, Google's and Azure's own codes, and of what was asked, in words that change
with their versions. What is not recognised here is still an error, with the text as it came.
"""

from __future__ import annotations

import errno
import os
import re

from dvidsync_dagster.errors import SnapshotDamaged, StorageError, StorageRefused, StorageUnreachable
from dvidsync_dagster.outgoing_text import keep_secret

_NO_BUCKET = re.compile(
    r"NoSuchBucket|ContainerNotFound|specified (?:bucket|container) does not exist", re.IGNORECASE
)
_NO_LOGIN = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|token request|oauth2|Account must be "
    r"specified|credential error|decode service account|No such credentials|MissingAccount",
    re.IGNORECASE,
)
_LOGIN_REFUSED = re.compile(
    r"ExpiredToken|RequestExpired|TokenRefreshRequired|InvalidAccessKeyId|SignatureDoesNotMatch|"
    r"AuthenticationFailed|AuthorizationFailure|InvalidAuthenticationInfo|\bAccess ?Denied\b|"
    r"PermissionDenied|Unauthenticated|Permission denied|Operation not permitted|Read-only file system",
    re.IGNORECASE,
)
_NO_ROOM = re.compile(
    r"No space left|Disk quota exceeded|File too large|QuotaExceeded|InsufficientStorage|StorageFull|"
    r"AccountIsDisabled",
    re.IGNORECASE,
)
_AWAY = re.compile(
    r"error sending request|timed? ?out|connection (?:refused|reset|closed)|dns error|broken pipe|SlowDown|"
    r"ServiceUnavailable|ServerBusy|InternalError|end of file before message|error decoding response body|"
    r"Stale file handle|Input/output error|retry_timeout",
    re.IGNORECASE,
)
_GONE = re.compile(r"not found|No such file|NoSuchKey|BlobNotFound", re.IGNORECASE)
_STATUS = re.compile(r"status code\W{0,40}(\d{3})\b")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_QUERY = re.compile(r"(https?://[^\s?\"')]+)\?[^\s\"')]*")

_LOGINS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)


def keep_logins_secret() -> None:
    """No text that leaves shows the logins of the environment."""
    for name in _LOGINS:
        keep_secret(os.environ.get(name, ""))


def is_no_bucket(error: BaseException) -> bool:
    """Whether "not found" speaks of the bucket, and not of an object in it."""
    return bool(_NO_BUCKET.search(str(error)))


def storage_error(where: str, error: BaseException) -> StorageError:
    """What an error means, and what to do about it.

    Args:
        where: the object or table, as a URI without login.
    """
    text = _plain(error)
    status = int(found.group(1)) if (found := _STATUS.search(text)) else 0
    if _NO_BUCKET.search(text):
        return StorageRefused(where, "there is no such bucket", "Make it, or correct its name.")
    if _NO_ROOM.search(text) or status == 507 or _number(error) in (errno.ENOSPC, errno.EDQUOT):
        return StorageRefused(where, f"there is no room: {text}", _ROOM)
    if _NO_LOGIN.search(text):
        return StorageRefused(where, f"no login was found, or it is refused: {text}", _LOGIN)
    if _LOGIN_REFUSED.search(text) or status in (401, 403):
        return StorageRefused(where, f"it is not allowed: {text}", _LOGIN)
    if status == 429 or status >= 500 or (not status and _AWAY.search(text)):
        return StorageUnreachable(where, f"no answer: {text}", "Run again later; nothing is lost.")
    if status == 404 or isinstance(error, FileNotFoundError) or _GONE.search(text):
        return SnapshotDamaged(where, f"something is missing: {text}", DAMAGED)
    if status or isinstance(error, OSError):
        return StorageRefused(where, f"it is refused: {text}", "See what the store asks for; then run again.")
    return SnapshotDamaged(where, f"it cannot be read: {text}", DAMAGED)


_ROOM = "Make room, or raise the quota; then run again."
_LOGIN = (
    "Set the login in the environment (GOOGLE_APPLICATION_CREDENTIALS; AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY; AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY), see that it has not "
    "expired, and that it may read, list, write and delete here."
)
DAMAGED = (
    "Bring the object back, if the bucket keeps deleted ones or old versions; else delete the snapshot's "
    "folder, and the next run makes it anew."
)


def _number(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _plain(error: BaseException) -> str:
    """One line, without colours, queries of URLs (which can be signed) and Rust's own view of the error."""
    text = str(error) or type(error).__name__
    text = _ANSI.sub("", text.split("\n\nDebug source:")[0])
    return _QUERY.sub(r"\1", " ".join(text.replace("↳", ": ").split()))
