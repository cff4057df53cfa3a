"""A DVID server as a destination: events become commands, and commands requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import TracebackType

from dvidsync_dagster.config import DestinationConfig
from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.others_at_work import OthersAtWork
from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.destinations.dvid_server.agreeing_rows import agreeing_rows
from dvidsync_dagster.destinations.dvid_server.attempts import Settled, bring
from dvidsync_dagster.destinations.dvid_server.beyond_stop import lacks_version, refused_beyond
from dvidsync_dagster.destinations.dvid_server.coming_to_rest import wait_for_rest
from dvidsync_dagster.destinations.dvid_server.flight import run_steps
from dvidsync_dagster.destinations.dvid_server.kept import Kept
from dvidsync_dagster.destinations.dvid_server.known_values import KnownValues
from dvidsync_dagster.destinations.dvid_server.looking import Looking
from dvidsync_dagster.destinations.dvid_server.meeting import changes_at_source, items_met
from dvidsync_dagster.destinations.dvid_server.ownership import Ownership
from dvidsync_dagster.destinations.dvid_server.planner import Plan, Sides
from dvidsync_dagster.destinations.dvid_server.timing import Timing, explained, timing
from dvidsync_dagster.destinations.protocol import Brought, ConflictRow, Standing, StoppedAt
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info, read_server_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import Commit
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.digests import Met
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refused

REST_SECONDS = 2.0


class DvidServer:
    """One repo at a server that follows. A `Destination`; it holds threads.

    Args:
        config: names it, and says how it follows.
        source: what it follows.
        client: of the server, open.
        kept: what earlier runs have kept of it.
        still_owner: raises OwnershipLost if a newer run owns the destination; asked between requests.
        note: says something once per run.
    """

    def __init__(
        self,
        config: DestinationConfig,
        source: Source,
        client: Transport,
        kept: Kept,
        *,
        still_owner: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self.name = config.name
        self.skips = config.skips
        self.client = client
        self._repo = source.repo
        self._note = note
        self._in_flight = config.requests_in_flight
        self._ownership = Ownership(still_owner)
        self._looking = Looking(None, again=False)
        self._checkpoint = Checkpoint(epoch=0)
        self._applied: list[Event] = []
        self._versions: frozenset[str] = frozenset()
        # Reads run inside a step, so they need threads that steps cannot occupy.
        self._pool = ThreadPoolExecutor(self._in_flight, thread_name_prefix="apply")
        self._reads = ThreadPoolExecutor(max(4, self._in_flight), thread_name_prefix="look")
        self._values = KnownValues(
            config,
            source,
            kept,
            met=self._met,
            until=partial(changes_at_source, source.client),
            note=note,
        )
        self._kept_behind = kept.behind
        # Whoever leaves out what people changed always looks.
        self._others = OthersAtWork(
            matters=not self.skips, clock=lambda: read_server_info(source.client).clock, agreed=kept.agreed
        )
        self._servers = Servers(
            source=source.client,
            destination=client,
            root=source.repo.root,
            repo=source.repo,
            counters=source.counters,
            followed=source.followed,
            skips=self.skips,
            history=config.history,
            pool=self._reads,
            note=note,
            shares_ids=config.practice is not None,
            apply=config.apply,
            own_values=self._values.own,
            others=self._others,
            begun=kept.begun,
        )
        self.sides: Sides = {typename: each.server_side(self._servers) for typename, each in ALL.items()}

    def __enter__(self) -> DvidServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        self._reads.shutdown(wait=True)

    # As a destination

    def meet(self, checkpoint: Checkpoint | None) -> Checkpoint | None:
        return checkpoint

    def begin_pass(self, checkpoint: Checkpoint | None, *, again: bool) -> None:
        self._checkpoint = checkpoint or Checkpoint(epoch=0)
        self._looking = Looking(checkpoint, again=again)
        met = checkpoint and replace(checkpoint, behind=tuple(self._kept_behind.met(checkpoint)))
        for side in self.sides.values():
            side.meet(met)
        self._others.met(checkpoint, again=again)
        if self._looking.is_needed:
            self.come_to_rest()
        self._values.begin_pass(self._checkpoint.values)

    def contents(self) -> RepoInfo:
        found = read_repo_info(self.client, self._repo.root)
        self._versions = frozenset(found.versions)
        self._others.began(found.next_mutation_id)
        return found

    def bring(self, batch: Batch) -> Brought:
        types = {event.typename for event in batch.events}
        concerned = any(self.sides[each].knows_own_values for each in types)
        self._values.begin_batch(batch, are_concerned=concerned)
        if self._looking.is_untried:
            self._looking.tried(is_past=self._is_past(batch.events))
        try:
            plan, brought = bring(batch, self, looking=self._looking.is_needed)
        except StoppedAt as stopped:
            stopped.own_from = self._contact
            raise
        self._looking.brought(batch, lacked_some=plan.lacked_some)
        self._applied += brought.applied
        return replace(brought, replaced=self._values.replaced())

    def keep(self, checkpoint: Checkpoint, standing: Standing) -> Checkpoint:
        """The bodies themselves tell what is applied: only how the server was found is remembered."""
        applied, self._applied = self._applied, []
        for side in self.sides.values():
            side.end_of_chunk(
                applied,
                at_cut=standing is not Standing.UNDER_WAY,
                caught_up=standing is Standing.CAUGHT_UP,
            )
        values = self._values.keep(applied)
        if not self._checkpoint.contact:
            self._others.met_first(self._contact)
        self._checkpoint = max(self._checkpoint, checkpoint, key=lambda each: each.key_ns)
        behind, behind_in = self._kept_behind.keep(
            [each for side in self.sides.values() for each in side.behind()]
        )
        others = self._others
        alone = others.end_of_chunk(self.contents().next_mutation_id) if others.matters else 0
        return replace(
            checkpoint,
            contact=self._contact,
            behind=behind,
            behind_in=behind_in,
            values=values,
            alone=alone,
            doubt=others.doubt,
        )

    @property
    def _contact(self) -> int:
        return max(side.remembered for side in self.sides.values())

    def agreeing(self, rows: Sequence[ConflictRow]) -> Collection[str]:
        return agreeing_rows(rows, self._repo.instances, self.sides)

    @property
    def requests(self) -> int:
        return self.client.changes_sent

    # What it has

    def come_to_rest(self) -> None:
        """Wait until two looks some seconds apart agree: what a run that died asked for can go on."""
        wait_for_rest(self.client, self._repo.root, REST_SECONDS)
        self._versions = frozenset()
        for side in self.sides.values():
            side.forget()

    def _met(self) -> Iterator[Met]:
        return items_met(self._servers, self.sides, self.contents())

    def _is_past(self, events: Collection[Event]) -> bool:
        """A checkpoint that says that its run ended in order can have been set back since."""
        own = {name: [event for event in events if event.typename == name] for name in self.sides}
        if not any(side.is_past(own[name], self._checkpoint) for name, side in self.sides.items()):
            return False
        self._note(
            "the destination already has operations past the checkpoint: looking before applying anything"
        )
        self.come_to_rest()
        return True

    def _lacks(self, version: str) -> str | None:
        """Why nothing can be applied in a version; None if the destination has it."""
        if version not in self._versions:
            self.contents()
        if version in self._versions:
            return None
        return lacks_version(version)

    # Carrying out

    def carry_out_plan(self, plan: Plan, settled: Settled) -> None:
        """Carry out the steps of a plan; `settled` is told of each outcome."""
        steps = plan.steps
        for typename, side in self.sides.items():
            side.about_to_carry_out([step for step in steps if step.command.typename == typename])

        def do(index: int) -> Outcome:
            self._ownership.check()
            return self._do(steps[index], doubtful=index in plan.doubtful)

        run_steps(
            steps,
            do,
            pool=self._pool,
            in_flight=self._in_flight,
            put_off=lambda index: self._overlapping(steps, index),
            settled=lambda index, outcome: settled(steps[index], outcome),
        )

    def _do(self, step: Step, *, doubtful: bool) -> Outcome:
        side, parts = self.sides[step.command.typename], len(step.answering)
        lacking = self._lacks(step.command.version) if side.needs_version(step) else None
        if lacking is not None:
            return refused(lacking, parts)
        came = timing(step.events, self._repo, self._checkpoint.key_ns)
        if came is Timing.USUAL:
            return self._send(step, doubtful=doubtful)
        too_late = side.came_too_late(step) if came is Timing.LATE else None
        if too_late is not None:
            return refused(too_late, parts)
        # DVID takes the token for a version that is open as well.
        with self.client.as_administrator():
            outcome = self._send(step, doubtful=doubtful)
        return outcome if self.client.has_admin_token else explained(outcome, came)

    def _send(self, step: Step, *, doubtful: bool) -> Outcome:
        for event in step.events:
            if isinstance(event, Commit):
                for side in self.sides.values():
                    side.before_commit(event.version)
        return self.sides[step.command.typename].carry_out(step, doubtful=doubtful)

    def left_out(self, event: Event) -> None:
        self.sides[event.typename].left_out(event)

    def refused_beyond(
        self, steps: Sequence[Step], refused: Collection[Event]
    ) -> Iterator[tuple[Event, Refusal]]:
        return refused_beyond(steps, refused, self.sides, self._repo, self.contents())

    def _overlapping(self, steps: Sequence[Step], index: int) -> set[int]:
        """The steps after a refused one that the source may have done first."""
        side = self.sides[steps[index].command.typename]
        return {
            later
            for later, step in enumerate(steps)
            if index in step.waits_for and side.may_overtake(step, steps[index])
        }
