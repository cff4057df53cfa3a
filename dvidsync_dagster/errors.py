"""Every error that dvidsync raises on purpose.

    DvidSyncError
    ├── ConfigurationError        a field of the configuration is wrong; names the field and the remedy
    ├── LogError                  the mutation log cannot be trusted or read
    │   ├── BrokerUnreachable     no Kafka broker answered
    │   ├── BrokerLoginRefused    the broker does not let this user read
    │   ├── LogGap                records between the checkpoint and the log's start are gone
    │   ├── LogRecreated          the log is shorter than what was already read from it
    │   └── UndecodableRecord     one record is not what its topic promises
    ├── CheckpointError           a stored checkpoint is missing, unreadable or of a newer format
    ├── OwnershipLost             a newer run owns the destination; this one must stop
    ├── ServerError               a DVID server, or what stands before it
    │   ├── ServerUnreachable     no connection, or it went away before the request was sent
    │   ├── AnswerLost            a request that changes something was sent, its answer never came
    │   ├── LoginRefused          the login is not accepted; names the field
    │   ├── ServerBusy            too many requests, or not available now
    │   ├── NotDvid               the answer is not DVID's own: a proxy, a gateway, a login page
    │   ├── ServerReadOnly        the server takes no changes at all
    │   ├── ForeignVersion        a change that was not sent: it is not for the versions of this side
    │   ├── RequestRefused        DVID's own 4xx about what was asked: the only one that can be a conflict
    │   └── ServerFailed          DVID's own 5xx, or an answer that is not what DVID promises
    ├── StorageError              a bucket, or what stands before it
    │   ├── StorageUnreachable    no answer, or only 429 and 5xx, for as long as one waits
    │   │   └── Contended         another run writes the same table
    │   ├── StorageRefused        it does not let us do that: login, rights, no room, no such bucket
    │   ├── SnapshotDamaged       something is missing or is not what was written
    │   ├── AlreadyThere          an object that is written once has another content
    │   └── Unfit                 the source holds something that a table cannot hold
    ├── NotYet                    what is asked for needs something that has not happened yet
    └── Conflict                  an operation that the destination cannot take

Each message says what was found, where, and what can be done. None of them ever holds a token.
"""

from __future__ import annotations

from dvidsync_dagster.outgoing_text import counted, escaped, scrubbed
from dvidsync_dagster.refusal_reason import RefusalReason


class DvidSyncError(Exception):
    """The root of the hierarchy."""

    def __init__(self, message: str = "") -> None:
        super().__init__(scrubbed(message))


class ConfigurationError(DvidSyncError):
    """A wrong configuration.

    Args:
        field: path of the field, such as ``destinations[0].url``.
        found: what is wrong with it.
        remedy: what to do about it.
    """

    def __init__(self, field: str, found: str, remedy: str) -> None:
        super().__init__(f"{field}: {found}. {remedy}")
        self.field = field
        self.found = found
        self.remedy = remedy

    @property
    def is_argument(self) -> bool:
        """Whether `field` is an argument of a command, and no part of the configuration."""
        return self.field.startswith("--") or self.field in ("BRANCH", "RECORD")


class LogError(DvidSyncError):
    """The mutation log cannot be trusted or read."""


class BrokerUnreachable(LogError):
    """No Kafka broker answered."""


class BrokerLoginRefused(LogError):
    """The Kafka broker knows this user not, or does not let it read."""


class LogGap(LogError):
    """Records that were never read are gone from the broker.

    Args:
        topic, partition: where.
        wanted: the first offset that has not been applied.
        beginning: the first offset that the broker still holds.
        since: when the last record before the gap was made, as text, or None if nothing was read before.
        archived: there is an archive, but it does not hold all of them either.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        wanted: int,
        beginning: int,
        since: str | None,
        *,
        archived: bool = False,
    ) -> None:
        reached = f" Everything up to {since} is applied." if since else ""
        archive = ", and the archive does not hold them all" if archived else ""
        gone = counted(beginning - wanted, "record is", "records are")
        super().__init__(
            f"gap in {topic} partition {partition}: {gone} no longer on the broker, offsets {wanted} to "
            f"{beginning - 1}{archive}.{reached} Make a fresh copy, remove the destination's history in "
            f"Dagster and give it a new start."
        )
        self.topic, self.partition = topic, partition
        self.wanted, self.beginning = wanted, beginning


class LogRecreated(LogError):
    """The topic is not the one that was read: it was deleted and made again, or it is another broker's.

    Args:
        topic, partition: where; None if it shows in the topic itself.
        found: by what it shows.
        since: when the last applied record was made, as text, or None if unknown.
    """

    def __init__(self, topic: str, partition: int | None, found: str, since: str | None) -> None:
        where = topic if partition is None else f"{topic} partition {partition}"
        reached = f" Everything up to {since} is applied." if since else ""
        super().__init__(
            f"{where} {found}: the topic was recreated or this is another broker.{reached} Compare source "
            f"and destination, then give the destination a new start."
        )
        self.topic, self.partition = topic, partition


class UndecodableRecord(LogError):
    """A record that is not what its topic promises.

    Args:
        where: topic, partition and offset as text (`Origin.__str__`).
        found: what is wrong with it.
        record: where it stands, as the command names it.
        more: how many others like it there are.
        waiting: how many records wait behind it.
    """

    def __init__(
        self,
        where: str,
        found: str,
        *,
        record: str = "TOPIC/PARTITION/OFFSET",
        more: int = 0,
        waiting: int = 0,
    ) -> None:
        found = escaped(found)
        others = f", and {counted(more, 'more record')} that cannot be decoded" if more else ""
        super().__init__(
            f"{where}: {found}{others}. {counted(waiting, 'record waits', 'records wait')} behind it; "
            f"what does not depend on it is applied. Look at it with "
            f"`dvidsync quarantine show {record}`; `dvidsync quarantine skip {record}` lets this one "
            f"pass. `on_undecodable: quarantine` sets all such records aside."
        )
        self.where = where
        self.found = found


class CheckpointError(DvidSyncError):
    """A checkpoint that is missing, unreadable or of a newer format."""


class OwnershipLost(DvidSyncError):
    """A newer run owns the destination."""


class ServerError(DvidSyncError):
    """A DVID server did not do what was asked.

    Args:
        request: method and path without query, such as ``POST /api/node/…/merge``.
        found: what happened.
    """

    def __init__(self, request: str, found: str) -> None:
        self.request = escaped(request, 300)
        self.found = escaped(found, 1500)
        super().__init__(f"{self.request}: {self.found}")


class ServerUnreachable(ServerError):
    """No connection, or it broke before the request was sent. Nothing has changed."""


class AnswerLost(ServerError):
    """A request that changes something was sent and its answer never came: it may or may not be done."""


class LoginRefused(ServerError):
    """The login is not accepted, or not for this. Nothing has changed.

    Args:
        request, found: as for ServerError.
        field: the field to check, such as ``destinations[copy].token_env``.
    """

    def __init__(self, request: str, found: str, field: str) -> None:
        super().__init__(
            request, f"{found}. Check {field}: is the token set, not expired, and allowed to do this?"
        )
        self.field = field


class ServerBusy(ServerError):
    """The server, or a proxy before it, takes no more requests now. Nothing has changed. Try again later.

    Args:
        request, found: as for ServerError.
        retry_after: for how many seconds it wants to be left alone, if it says so.
    """

    def __init__(self, request: str, found: str, retry_after: float | None = None) -> None:
        super().__init__(request, found)
        self.retry_after = retry_after


class NotDvid(ServerError):
    """The answer is not DVID's own: a redirect, a gateway's or a login page, or something else altogether.

    Args:
        request, found: as for ServerError.
        perhaps_done: the request may have reached DVID nevertheless, and what it asked may be done.
        passing: a gateway that does not reach the server just now.
        retry_after: for how many seconds it wants to be left alone, if it says so.
    """

    def __init__(
        self,
        request: str,
        found: str,
        *,
        perhaps_done: bool = False,
        passing: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(request, found)
        self.perhaps_done = perhaps_done
        self.passing = passing
        self.retry_after = retry_after


class AnswerTooLong(NotDvid):
    """The answer has more bytes than are taken."""


class ServerReadOnly(ServerError):
    """The server takes no changes at all. Nothing has changed."""


class ForeignVersion(ServerError):
    """A change that was not sent, as the version is not one of those that may be changed.

    Args:
        request: as for ServerError.
        version: that it is about; "" if about none.
        whose: whose versions may be changed.
    """

    def __init__(self, request: str, version: str, whose: str) -> None:
        what = f"version {escaped(version, 80)} is" if version else "this is"
        super().__init__(
            request,
            f"not sent: {what} not one of those that this may change, which are those of {whose}. This is an "
            f"error in dvidsync: please report it",
        )
        self.version = version


class RequestRefused(ServerError):
    """DVID's own 4xx about what was asked.

    Args:
        text: what it said; kept as it can be shown, for people.
        reason: what it means.
    """

    def __init__(
        self, request: str, status: int, text: str, reason: RefusalReason = RefusalReason.OTHER
    ) -> None:
        self.status = status
        self.text = escaped(text.strip())
        self.reason = reason
        super().__init__(request, f"refused with {status}: {self.text}")


class ServerFailed(ServerError):
    """DVID's own 5xx, or an answer that is not what DVID promises."""


class NotYet(DvidSyncError):
    """What is asked for needs something that has not happened yet."""


class Conflict(DvidSyncError):
    """An operation that the destination cannot take."""


class StorageError(DvidSyncError):
    """A bucket, or what stands before it.

    Args:
        where: the object or table, as a URI without login.
        found: what is wrong there.
        remedy: what to do about it.
    """

    def __init__(self, where: str, found: str, remedy: str) -> None:
        super().__init__(f"{where}: {escaped(found)}. {remedy}")
        self.where = where
        self.found = found


class StorageUnreachable(StorageError):
    """No answer, or only such as ask for patience. Later it may do."""


class Contended(StorageUnreachable):
    """Another run writes the same table. Later it may do."""


class StorageRefused(StorageError):
    """The bucket does not let us do that: an expired login, missing rights, no room, no such bucket."""


class SnapshotDamaged(StorageError):
    """Something that was written is missing, or is something else."""


class AlreadyThere(StorageError):
    """An object that is written once is there, with another content. It is left as it is."""


class Unfit(StorageError):
    """The source holds something that a table cannot hold, such as a label from 2^63 up."""
