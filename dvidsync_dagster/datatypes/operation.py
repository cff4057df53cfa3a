"""What data types have in common whose events are copied in batches: keyvalue, neuronjson, annotation.

Their messages tell what changed, not always how. So the source's state of what changed is copied, at the
version where it changed. Doing that twice does no harm, and only the last change counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RefusalReason, RequestRefused
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.plan.claims import Claim
from dvidsync_dagster.plan.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class DataEvent:
    """What all have in common."""

    typename: ClassVar[str]
    """The data type of the instance."""
    action: ClassVar[str]
    """As DVID names it."""

    origin: Origin
    instance: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Mutations of one instance and version that are copied together.

    Args:
        members: in log order.
        before: labelmaps whose changes to the version come after it.
    """

    action: ClassVar[str] = "copy"

    typename: str
    instance: str
    version: str
    members: tuple[DataEvent, ...]
    before: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin:
        return self.members[-1].origin

    @property
    def claim(self) -> Claim:
        """Operations of one version may go in any order; they belong between its creation and its commit."""
        last = self.origin
        order = (last.key_ns, last.topic, last.partition, last.offset)
        return Claim(
            (),
            order,
            order,
            needs=(("instance", self.instance),),
            inside=("version", self.version),
        )


@dataclass(frozen=True, slots=True)
class Derived:
    """A message that tells of a consequence, never to be applied."""


def is_committed(refusal: RequestRefused) -> bool:
    """Whether a request was refused because its version is committed."""
    return refusal.reason is RefusalReason.VERSION_COMMITTED


class Writer(Protocol):
    """Copies operations of one instance to a destination."""

    def apply(self, operation: Operation) -> Outcome:
        """Raises what `Transport` raises if a server does not answer; a refusal is an outcome."""
        ...


class NewWriter(Protocol):
    """Makes the writer of one instance, from the source's repo: its instances by name."""

    def __call__(
        self, source: Transport, destination: Transport, name: str, instances: Mapping[str, Instance]
    ) -> Writer: ...


@dataclass(frozen=True, slots=True)
class DataType:
    """A data type that is followed.

    Args:
        decode: the event in a message of an instance; None if its action is unknown.
        operations: what to do for the events of one instance and version, which are in log order.
        writer: makes the writer of an instance.
    """

    decode: Callable[[Message, Instance], DataEvent | Derived | None]
    operations: Callable[[Sequence[Any]], list[Operation]]
    writer: NewWriter
