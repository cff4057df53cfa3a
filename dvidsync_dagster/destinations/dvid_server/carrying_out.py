"""Commands that repeat no event, as a repair plans them, carried out at a DVID server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.own_values import OwnValues
from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.datatypes.server_side import Commands, Servers
from dvidsync_dagster.datatypes.values_beyond_stop import ValuesBeyondStop
from dvidsync_dagster.destinations.dvid_server.flight import run_steps
from dvidsync_dagster.destinations.dvid_server.ownership import Ownership
from dvidsync_dagster.destinations.dvid_server.planner import Sides
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.dvid.unmade import WithUnmade
from dvidsync_dagster.plan.outcome import Outcome, refused

if TYPE_CHECKING:
    from dvidsync_dagster.log.kept_digests import Digests


@dataclass(frozen=True, slots=True)
class RepairedServer:
    """A server that takes commands, beside its source.

    Args:
        source, client: of both servers, open; committed versions are changed in the administrator's name.
        root: the repo on both.
        requests_in_flight: how many commands may be carried out at a time.
        shares_ids: people practise there, and take ids from the same counters.
        still_owner: raises OwnershipLost if a newer run owns the destination; asked between steps.
        digests: opens what is kept of the values that runs brought, if anything is: what is written here is
            kept there too.
        note: says something.
    """

    source: Transport
    client: Transport
    root: str
    requests_in_flight: int
    shares_ids: bool
    still_owner: Callable[[], None]
    digests: Callable[[], Digests | None]
    note: Callable[[str], None]


@contextmanager
def opened_for_commands(
    server: RepairedServer, followed: Callable[[str], bool], names: Mapping[str, str]
) -> Iterator[Commands]:
    """What carries out commands. It holds threads.

    Args:
        followed: whether an instance (by the source's name) is one of those that are repaired.
        names: of instances with another name there, by the source's.
    """
    source_repo = read_repo_info(server.source, server.root)
    digests = server.digests()
    in_flight = server.requests_in_flight
    with (
        ThreadPoolExecutor(in_flight, thread_name_prefix="apply") as pool,
        ThreadPoolExecutor(max(4, in_flight), thread_name_prefix="look") as reads,
    ):
        own_values = OwnValues(source_repo.parents, checks=False)
        own_values.digests = digests
        servers = Servers(
            source=server.source,
            destination=server.client,
            root=source_repo.root,
            repo=source_repo,
            counters={},
            followed=followed,
            skips=True,
            history="exact",
            pool=reads,
            note=server.note,
            names=names,
            shares_ids=server.shares_ids,
            own_values=own_values,
        )
        sides = {typename: each.server_side(servers) for typename, each in ALL.items()}
        ownership = Ownership(server.still_owner)

        def carry_out(steps: Sequence[Step]) -> list[Outcome]:
            ownership.check()
            flight = _Commands(steps, sides, ownership)
            run_steps(
                steps,
                flight.do,
                pool=pool,
                in_flight=in_flight,
                put_off=lambda _: (),
                settled=flight.settled,
            )
            return [flight.outcomes[index] for index in range(len(steps))]

        yield Commands(carry_out, partial(_try_out, _unchanged(servers)))
        if digests is not None:
            digests.keep()


def _unchanged(servers: Servers) -> Sides:
    """The data types at a server that takes no change, and with what people changed there."""
    known = OwnValues(servers.repo.parents)
    known.digests = servers.own_values.digests
    tried = replace(
        servers,
        destination=WithUnmade(servers.destination, lambda version: version),
        own_values=ValuesBeyondStop(known, lambda _: True),
    )
    return {typename: each.server_side(tried) for typename, each in ALL.items()}


def _try_out(sides: Sides, steps: Sequence[Step]) -> list[Outcome]:
    return [sides[step.command.typename].carry_out(step, doubtful=False) for step in steps]


class _Commands:
    """A graph of steps. What waits for a refused one is refused too."""

    def __init__(self, steps: Sequence[Step], sides: Sides, ownership: Ownership) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self._steps = steps
        self._sides = sides
        self._ownership = ownership

    def do(self, index: int) -> Outcome:
        step = self._steps[index]
        if any(self.outcomes[before].refusals for before in step.waits_for):
            return refused("It waits for one that was refused")
        self._ownership.check()
        return self._sides[step.command.typename].carry_out(step, doubtful=False)

    def settled(self, index: int, outcome: Outcome) -> bool:
        self.outcomes[index] = outcome
        return True
