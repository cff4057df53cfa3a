"""Planning and applying one batch, and again if something comes between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.config import DestinationConfig
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.gather import identity
from dvidsync_dagster.datatypes.registry import Event
from dvidsync_dagster.destinations.dvid_server.server import DvidDestination
from dvidsync_dagster.dvid.repo import read_server_info
from dvidsync_dagster.errors import (
    AnswerLost,
    Conflict,
    NotDvid,
    ServerError,
    ServerFailed,
    ServerUnreachable,
)
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.plan.outcome import Outcome
from dvidsync_dagster.plan.steps import Step
from dvidsync_dagster.run.batching import Batch, Plan, make_plan
from dvidsync_dagster.run.report import ConflictRow

_ATTEMPTS = 4


@dataclass
class Tally:
    """What became of a batch besides being applied."""

    already_there: int = 0
    conflicts: list[ConflictRow] = field(default_factory=list)


class _LookFirst(Exception):
    """Something was there already that a clean start did not expect: look before going on."""


class _Early(Exception):
    """Operations were refused that perhaps come before something that is late."""

    def __init__(self, events: Sequence[BodyEvent]) -> None:
        super().__init__()
        self.events = events


def carry_out(
    batch: Batch,
    target: DvidDestination,
    destination: DestinationConfig,
    *,
    looking: bool,
    may_be_early: Callable[[BodyEvent], bool],
    seconds: dict[str, float],
) -> tuple[Plan, Tally]:
    """Plan and apply a batch. After a lost answer, or a surprise, look at the destination and go on.

    Args:
        looking: ask the destination first what it has.
        may_be_early: whether an operation that is refused may only be early: something before it is late. It
            is postponed then, and not skipped.
        seconds: the time spent is added here, by stage.

    Raises:
        Conflict: an operation cannot be applied and `on_conflict` is ``stop``.
        ServerError: the destination does not answer, time and again.
    """
    attempt = 1
    while attempt <= _ATTEMPTS:
        tally = Tally()
        started = time.monotonic()
        plan = make_plan(batch, target, looking=looking, history=destination.history)
        planned = time.monotonic()
        _add(seconds, "look" if looking else "plan", planned - started)
        try:
            target.apply(
                plan.steps,
                doubtful=plan.doubtful,
                settled=_settled(tally, destination, may_be_early, looking=looking),
            )
            return plan, tally
        except _Early as early:
            batch.postponed.update(map(identity, early.events))
            looking = True
            continue
        except _LookFirst:
            pass
        except (AnswerLost, ServerUnreachable, ServerFailed, NotDvid) as error:
            if attempt == _ATTEMPTS or not _may_be_done(error):
                raise
            # Waits for a server that restarts; gives up with ServerUnreachable if it does not.
            read_server_info(target.client)
        finally:
            _add(seconds, "apply", time.monotonic() - planned)
        attempt += 1
        looking = True
        target.come_to_rest()
    raise Conflict(
        f"{destination.name} had operations that were not there when it was looked at, time and again. Does "
        f"somebody else repeat the source's operations there? Let one at a time do it, then run again."
    )


def _may_be_done(error: ServerError) -> bool:
    """Or nothing has changed, and the same would come of another attempt."""
    return not isinstance(error, NotDvid) or error.perhaps_done


def _settled(
    tally: Tally,
    destination: DestinationConfig,
    may_be_early: Callable[[BodyEvent], bool],
    *,
    looking: bool,
) -> Callable[[Step[Event], Outcome], None]:
    def settled(step: Step[Event], outcome: Outcome) -> None:
        if outcome.already_there and not looking and isinstance(step.request, BodyEvent):
            raise _LookFirst
        refused = [step.members[refusal.member] for refusal in outcome.refusals]
        early = [member for member in refused if isinstance(member, BodyEvent) and may_be_early(member)]
        if early and destination.on_conflict == "skip":
            raise _Early(early)
        tally.already_there += outcome.already_there
        for refusal in outcome.refusals:
            row = _conflict(step.members[refusal.member], refusal.found)
            if destination.on_conflict == "stop":
                raise Conflict(
                    f"{row.action} at {row.where} cannot be applied to {destination.name}: {row.found}. "
                    f"Nothing that depends on it is applied. Compare source and destination there, or set "
                    f"`on_conflict: skip` to leave such operations out."
                )
            tally.conflicts.append(row)

    return settled


def _conflict(event: Event, found: str) -> ConflictRow:
    return ConflictRow(
        where=str(event.origin),
        action=event.action,
        instance=getattr(event, "instance", ""),
        version=event.version,
        mutation_id=getattr(event, "mutation_id", None),
        found=escaped(found, 1500),
    )


def _add(seconds: dict[str, float], stage: str, spent: float) -> None:
    seconds[stage] = seconds.get(stage, 0.0) + spent
