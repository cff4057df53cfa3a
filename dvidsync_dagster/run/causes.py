"""Why a run or a command ended early, by kinds that a person can act on."""

from __future__ import annotations

from dataclasses import dataclass

from dvidsync_dagster.errors import (
    AnswerLost,
    BrokerLoginRefused,
    BrokerUnreachable,
    ConfigurationError,
    Conflict,
    DvidSyncError,
    LogError,
    LoginRefused,
    NotDvid,
    NotYet,
    OwnershipLost,
    ServerBusy,
    ServerFailed,
    ServerReadOnly,
    ServerUnreachable,
    SnapshotDamaged,
    StorageError,
    StorageUnreachable,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of early end.

    Args:
        name: one word, to look for.
        title: the same for people.
        remedy: what to do, beside what the error's own message says.
    """

    name: str
    title: str
    remedy: str


OUTAGE = Cause(
    "outage",
    "Outage",
    "Nothing is lost, and the configuration need not change: once the server, or what stands before it, "
    "works again, the next run goes on from the last chunk. Where it never worked, check the address.",
)
LOGIN = Cause(
    "login",
    "Login refused",
    "Renew the token or the password in the environment variable that this field names, where runs execute, "
    "or let its user do this. Nothing is lost: the next run goes on from the last chunk.",
)
CONFIGURATION = Cause(
    "configuration", "The configuration is wrong", "Then reload the code location and start the next run."
)
CONFLICT = Cause(
    "conflict",
    "The destination cannot take an operation",
    "Each run stops here again until that is resolved. Undo the destination's own edit, or let `dvidsync "
    "repair` show what differs and bring it to the source's state, or set `on_conflict: skip` to leave such "
    "operations out.",
)
STORAGE = Cause(
    "storage",
    "The snapshot cannot be written",
    "Nothing is lost: readers see the last snapshot whole, and the next run goes on from there.",
)
DAMAGED = Cause(
    "damaged",
    "The snapshot has lost something",
    "Tables that are whole, and committed versions whose files are there, can be read as before.",
)
LOG = Cause("log", "The log cannot be followed", "What was applied before stays applied.")
ANOTHER_RUN = Cause("another_run", "Another run works on it", "Let that one go on.")
NOT_YET = Cause("not_yet", "Not yet", "Nothing is wrong, and nothing was changed.")
OTHER = Cause("failed", "Failed", "What was applied before stays applied, and the next run tries again.")

_KINDS: tuple[tuple[type[Exception], Cause], ...] = (
    (ConfigurationError, CONFIGURATION),
    (LoginRefused, LOGIN),
    (BrokerLoginRefused, LOGIN),
    (Conflict, CONFLICT),
    (BrokerUnreachable, OUTAGE),
    (ServerUnreachable, OUTAGE),
    (AnswerLost, OUTAGE),
    (ServerBusy, OUTAGE),
    (NotDvid, OUTAGE),
    (ServerReadOnly, OUTAGE),
    (ServerFailed, OUTAGE),
    (StorageUnreachable, OUTAGE),
    (SnapshotDamaged, DAMAGED),
    (StorageError, STORAGE),
    (LogError, LOG),
    (OwnershipLost, ANOTHER_RUN),
    (NotYet, NOT_YET),
)


def cause_of(error: Exception) -> Cause:
    """The kind of early end that this error is."""
    return next((cause for kind, cause in _KINDS if isinstance(error, kind)), OTHER)


def found_and_remedy(error: DvidSyncError) -> tuple[str, str]:
    """What was found, and what to do about it, each as a text of its own."""
    remedy = cause_of(error).remedy
    if isinstance(error, ConfigurationError):
        return f"{error.field}: {error.found}.", error.remedy + ("" if error.is_argument else f" {remedy}")
    return str(error), remedy
