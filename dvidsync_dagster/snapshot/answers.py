"""What went wrong in a store, as obstore, delta-rs, pyarrow and the operating system tell it: by text alone.

They tell of status codes, S3's, Google's and Azure's own codes, and of what was asked, in words that change
with their versions. What is not recognised here is still an error, with the text as it came.
"""

from __future__ import annotations

import re

from dvidsync_dagster.errors import SnapshotDamaged, StorageError, StorageRefused, StorageUnreachable
from dvidsync_dagster.snapshot.logins import without_logins

_NO_BUCKET = re.compile(
    r"NoSuchBucket|ContainerNotFound|specified (?:bucket|container) does not exist", re.IGNORECASE
)
_NO_LOGIN = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|token request|oauth2|Account must be "
    r"specified|credential error|Missing (?:AccessKeyId|SecretAccessKey)|decode service account|"
    r"No such credentials|MissingAccount",
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
_GONE = re.compile(
    r"location .+ not found|missing file|No such file|NoSuchKey|BlobNotFound|LogSegment|end version|"
    r"Invalid table version|no commit file|log segment|No files in log|Path does not exist|"
    r"No table metadata or protocol found",
    re.IGNORECASE,
)
_OTHER_CONTENT = re.compile(
    r"Parquet (?:magic|file|(?:\w+ )?error)|not a parquet file|magic bytes|"
    r"Invalid (?:Parquet|JSON)|json error|Corrupt|checksum mismatch|Invalid thrift|EOF while parsing",
    re.IGNORECASE,
)
_NOT_KNOWN_THERE = re.compile(r"NotImplemented\b|UnsupportedHeader|NotSupported\b")
_MISSING = re.compile(r"(?:location \S*?|missing file )([^\s/]+) (?:not found|when)", re.IGNORECASE)
_FILE = re.compile(r"metadata for file \S*?([^\s/:]+):", re.IGNORECASE)
_CALLS = re.compile(r"^External error: .*: Object Store error: (?:Generic \w+ error: )?")
"""What delta-rs tells of its own calls, before what happened."""
_STATUS = re.compile(r"status code\W{0,40}(\d{3})\b")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_BACKTRACE = re.compile(r"\n\s*0: <")
_SAID = ("Code", "Message", "Details")


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
    told = _told(text, status)
    if _NO_BUCKET.search(text) or (status == 404 and "performing PUT" in text):
        return StorageRefused(where, "there is no such bucket", "Make it, or correct its name.")
    if _NO_ROOM.search(text) or status == 507:
        return StorageRefused(where, f"there is no room: {told}", _ROOM)
    if _NO_LOGIN.search(text):
        return StorageRefused(where, f"there is no login, or it is refused: {told}", _login(where))
    if _LOGIN_REFUSED.search(text) or status in (401, 403):
        return StorageRefused(where, f"it is not allowed: {told}", _login(where))
    if status == 501 or _NOT_KNOWN_THERE.search(text):
        return StorageRefused(where, f"the store cannot do that: {told}", ANOTHER_STORE)
    if status == 429 or status >= 500 or (not status and _AWAY.search(text)):
        return StorageUnreachable(where, f"no answer: {told}", "Run again later; nothing is lost.")
    if status == 404 or isinstance(error, FileNotFoundError) or _GONE.search(text):
        missing = found.group(1) if (found := _MISSING.search(text)) else ""
        what = f"the file {missing} is missing" if missing else f"something is missing: {told}"
        return SnapshotDamaged(where, what, MISSING)
    if _OTHER_CONTENT.search(text):
        return other_content(where, error)
    if status or isinstance(error, OSError):
        return StorageRefused(where, f"it is refused: {told}", "See what the store asks for; then run again.")
    # Nothing is known of what is there: nobody is told to delete anything.
    return StorageError(where, f"it cannot be used: {told}", _UNKNOWN)


def other_content(where: str, error: BaseException) -> SnapshotDamaged:
    """That an object is there, and cannot be what was written.

    Args:
        where: the object or table, as a URI without login.
    """
    text = _plain(error).rstrip(". ")
    what = f"the file {found.group(1)}" if (found := _FILE.search(text)) else "it"
    return SnapshotDamaged(where, f"{what} is not what was written: {_CALLS.sub('', text)}", OTHER_CONTENT)


_ROOM = "Make room, or raise the quota; then run again."
_LOGINS_OF = {
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


def _login(where: str) -> str:
    names = _LOGINS_OF.get(where.partition("://")[0])
    if names is None:
        return "See that this user may read, list, write and delete there."
    return (
        f"Check the login in the environment ({names}): is it set, not expired, and allowed to read, list, "
        f"write and delete there?"
    )


MISSING = (
    "Bring the object back, if the bucket keeps deleted ones or old versions. Else `dvidsync repair --apply` "
    "takes the snapshot back to the last committed version, and the next run follows from there."
)
OTHER_CONTENT = (
    "Bring it back as it was, if the bucket keeps old versions. Else `dvidsync repair --apply` finds what is "
    "damaged, and takes the snapshot back to the last committed version; the next run follows from there."
)
TABLE_ANEW = (
    "Keep a copy of this table's folder, and delete it. Then `dvidsync repair --apply` takes the snapshot "
    "back to the last committed version, and the next run reads the table anew and follows from there."
)
_UNKNOWN = (
    "Everything is left as it is. Run again; if it stays so, keep the folder, and report this text with the "
    "versions of dvidsync, deltalake and obstore."
)
ANOTHER_STORE = (
    "Use a store that keeps to the conditions of writes (If-None-Match, If-Match), or a newer version of "
    "this one."
)


def _plain(error: BaseException) -> str:
    """One line, without colours, Rust's own view of the error, and logins."""
    # Python's own errors name the file too, which is told as the place.
    told = error.strerror if isinstance(error, OSError) and error.filename is not None else None
    text = _ANSI.sub("", told or str(error) or type(error).__name__)
    text = _BACKTRACE.split(text.split("\n\nDebug source:")[0])[0]
    return without_logins(" ".join(text.replace("↳", ": ").split()))


def _told(text: str, status: int) -> str:
    """What the store itself said, if it did; else all of it."""
    said = [value for tag in _SAID for value in re.findall(rf"<{tag}>([^<]+)</{tag}>", text)]
    return (f"{status} {', '.join(said)}" if said else text).rstrip(". ")
