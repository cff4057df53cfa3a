"""Planning and carrying out one batch, and again if something comes between."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.destinations.dvid_server.planner import Plan, Sides, make_plan
from dvidsync_dagster.destinations.protocol import Brought, ConflictRow, StoppedAt
from dvidsync_dagster.dvid.repo import read_server_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import (
    AnswerLost,
    Conflict,
    NotDvid,
    RequestRefused,
    ServerError,
    ServerFailed,
    ServerUnreachable,
)
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event, NumberedEvent
from dvidsync_dagster.plan.outcome import Outcome, Refusal

_ATTEMPTS = 4

Settled = Callable[[Step, Outcome], bool]
"""Told of the final outcome of each step; what it raises ends the flight. If it says False, what waits for
the step is not done."""

_ROWS = 4
"""Conflicts that the message of a run which stops tells of."""


class Server(Protocol):
    """What an attempt needs of the destination.

    Args:
        name: of the destination, for messages.
        skips: what is refused is left out; else it ends the run.
    """

    name: str
    skips: bool
    client: Transport
    sides: Sides

    def carry_out_plan(self, plan: Plan, settled: Settled) -> None: ...

    def come_to_rest(self) -> None: ...

    def left_out(self, event: Event) -> None: ...

    def refused_beyond(
        self, steps: Sequence[Step], refused: Collection[Event]
    ) -> Iterable[tuple[Event, Refusal]]:
        """What would be refused of steps that a run which stops has not come to.

        Args:
            refused: the events at which it stops.
        """
        ...


class _LookFirst(Exception):
    """Something was there already that a clean start did not expect: look before going on."""


class _Early(Exception):
    """Events were refused that perhaps come before something that is late."""

    def __init__(self, identities: set[Hashable]) -> None:
        super().__init__()
        self.identities = identities


@dataclass
class _Tally:
    """What became of a batch besides being applied."""

    present: int = 0
    conflicts: list[ConflictRow] = field(default_factory=list)
    refused: list[Event] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    """The steps that were tried, by `id`."""
    _last: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def refuse(self, event: Event, refusal: Refusal) -> None:
        """List an event. Its cause is the last one on one of its items that was left out before."""
        row = ConflictRow.of(event, refusal.found, refusal.cause)
        places = [(row.instance, row.version, item) for item in row.items]
        cause = row.cause or next((self._last[place] for place in places if place in self._last), "")
        self._last |= dict.fromkeys(places, row.where)
        self.refused.append(event)
        self.conflicts.append(replace(row, cause=cause))


def bring(batch: Batch, server: Server, *, looking: bool) -> tuple[Plan, Brought]:
    """Plan a batch and carry it out. After a lost answer, or a surprise, look at the destination and go on.

    Args:
        looking: ask the destination first what it has.

    Raises:
        StoppedAt: an event cannot be applied and `on_conflict` is ``stop``.
        ServerError: the destination does not answer, time and again.
    """
    postponed = set(batch.postponed)
    seconds: dict[str, float] = {}
    attempt = 1
    while attempt <= _ATTEMPTS:
        tally = _Tally()
        started = time.monotonic()
        plan = make_plan(replace(batch, postponed=postponed), server.sides, looking=looking)
        planned = time.monotonic()
        _add(seconds, "look" if looking else "plan", planned - started)
        try:
            server.carry_out_plan(plan, _settled(tally, server, batch, looking=looking))
            if tally.conflicts and not server.skips:
                _look_beyond(plan, tally, server)
                raise _stopped(tally.conflicts, server.name)
            return plan, _brought(plan, tally, postponed, seconds)
        except _Early as early:
            postponed |= early.identities
            looking = True
            continue
        except _LookFirst:
            pass
        except (AnswerLost, ServerUnreachable, ServerFailed, NotDvid) as error:
            if attempt == _ATTEMPTS or not _may_be_done(error):
                raise
            # Waits for a server that restarts; gives up with ServerUnreachable if it does not.
            read_server_info(server.client)
        finally:
            # The time of an attempt that ended early counts too.
            _add(seconds, "apply", time.monotonic() - planned)
        attempt += 1
        looking = True
        server.come_to_rest()
    raise Conflict(
        f"{server.name} had operations that were not there when it was looked at, time and again. Does "
        f"somebody else repeat the source's operations there? Let one at a time do it, then run again."
    )


def _look_beyond(plan: Plan, tally: _Tally, server: Server) -> None:
    """List what would be refused too, among the steps that were not tried. Nothing is in flight anymore."""
    left = [step for step in plan.steps if id(step) not in tally.settled]
    found: list[tuple[Event, Refusal]] = []
    # Where the server refuses to tell of these steps, the list ends.
    with suppress(RequestRefused):
        found.extend(server.refused_beyond(left, tuple(tally.refused)))
    for event, refusal in sorted(found, key=lambda each: each[0].origin):
        tally.refuse(event, refusal)


def _brought(plan: Plan, tally: _Tally, postponed: set[Hashable], seconds: dict[str, float]) -> Brought:
    return Brought(
        applied=plan.applied,
        held=plan.held,
        present=len(plan.present) + tally.present,
        conflicts=tuple(tally.conflicts),
        postponed=postponed,
        seconds=seconds,
    )


def _may_be_done(error: ServerError) -> bool:
    """Whether the request may have changed something. If not, another attempt would end the same way."""
    return not isinstance(error, NotDvid) or error.perhaps_done


def _settled(tally: _Tally, server: Server, batch: Batch, *, looking: bool) -> Settled:
    def settled(step: Step, outcome: Outcome) -> bool:
        if outcome.present and not looking and _is_numbered(step):
            raise _LookFirst
        refused = [step.answering[refusal.part] for refusal in outcome.refusals]
        early = {
            event.identity
            for event in refused
            if isinstance(event, NumberedEvent) and batch.may_be_early(event)
        }
        if early and server.skips:
            raise _Early(early)
        tally.settled.add(id(step))
        tally.present += outcome.present
        for refusal in sorted(outcome.refusals, key=lambda each: each.part):
            event = step.answering[refusal.part]
            tally.refuse(event, refusal)
            if server.skips:
                server.left_out(event)
        return server.skips or not outcome.refusals

    return settled


def _stopped(rows: Sequence[ConflictRow], name: str) -> StoppedAt:
    first, *others = rows = sorted(rows, key=lambda row: (row.key_ns, row.where))
    more = [f"{row.action} at {row.where}: {row.found}" for row in others[: _ROWS - 1]]
    if len(rows) > _ROWS:
        more.append(f"and {len(rows) - _ROWS} more, which `dvidsync conflicts list` names")
    also = f" Likewise {'; '.join(more)}." if more else ""
    found = first.found.removesuffix(".")
    return StoppedAt(
        rows,
        f"{first.action} at {first.where} cannot be applied to {name}: {found}.{also} "
        f"Nothing that depends on it is applied. Compare source and destination there, or set "
        f"`on_conflict: skip` to leave such operations out.",
    )


def _is_numbered(step: Step) -> bool:
    return any(isinstance(event, NumberedEvent) for event in step.events)


def _add(seconds: dict[str, float], stage: str, spent: float) -> None:
    seconds[stage] = seconds.get(stage, 0.0) + spent
