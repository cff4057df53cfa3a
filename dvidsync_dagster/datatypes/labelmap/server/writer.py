"""The commands for one labelmap, carried out at a destination.

Each request carries the source's user, and in `app` the tag that tells a later run how far a body is.
"""

from __future__ import annotations

from collections.abc import Sequence

from dvidsync_dagster.datatypes.labelmap.blobs import cleaved_supervoxels
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.server.bodies import Bodies
from dvidsync_dagster.datatypes.labelmap.server.bulk import make_bodies
from dvidsync_dagster.datatypes.labelmap.server.cleaving import cleave, mend_cleave
from dvidsync_dagster.datatypes.labelmap.server.commands import (
    CleaveBody,
    DropFromIndex,
    Fresh,
    JoinSupervoxels,
    LabelCommand,
    MakeBodies,
    MergeBodies,
    PassIds,
    RaiseHighest,
    RenumberBody,
    ReserveBelow,
    SetCounter,
    SplitSupervoxels,
    TakeIntoIndex,
    TakeLabel,
)
from dvidsync_dagster.datatypes.labelmap.server.joining import join
from dvidsync_dagster.datatypes.labelmap.server.merging import merge, renumber
from dvidsync_dagster.datatypes.labelmap.server.placing import drop_from_index, take_into_index
from dvidsync_dagster.datatypes.labelmap.server.repeating import command_of
from dvidsync_dagster.datatypes.labelmap.server.splitting import cuts_of, mend_cut, split
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import DONE, Outcome, refused


class LabelmapWriter:
    """Carries out commands for one instance."""

    def __init__(self, bodies: Bodies) -> None:
        self.bodies = bodies
        self.counter = bodies.counter

    def carry_out(
        self, command: LabelCommand, events: Sequence[Event] = (), *, doubtful: bool = False
    ) -> Outcome:
        """Do what a command says.

        Args:
            events: what it repeats, if it repeats any.
            doubtful: it may be half done already; look before repeating.

        Raises:
            AnswerLost, ServerUnreachable, ServerFailed: the destination did not answer; look again later.
        """
        try:
            match command:
                case MergeBodies():
                    return merge(self.bodies, command, events)
                case RenumberBody():
                    return renumber(self.bodies, command, events, doubtful=doubtful)
                case CleaveBody():
                    with self.counter.lock:
                        return cleave(self.bodies, command, events, doubtful=doubtful)
                case SplitSupervoxels():
                    with self.counter.lock:
                        return split(self.bodies, command, events)
                case MakeBodies():
                    with self.counter.lock:
                        return make_bodies(self.bodies, command, events)
                case TakeIntoIndex():
                    return take_into_index(self.bodies, command)
                case DropFromIndex():
                    return drop_from_index(self.bodies, command)
                case JoinSupervoxels():
                    return join(self.bodies, command)
                case _:
                    with self.counter.lock:
                        return self._move_counter(command)
        except RequestRefused as refusal:
            return refused(str(refusal), reason=refusal.reason)

    def _move_counter(self, command: LabelCommand) -> Outcome:
        match command:
            case ReserveBelow():
                self.counter.reserve_below(command.version, command.next_label)
            case TakeLabel():
                label = self.counter.take_free(command.version, command.avoid)
                self.bodies.gave(command.result, label)
            case PassIds():
                self.counter.pass_ids(command.version, command.ids)
            case RaiseHighest():
                self.counter.raise_highest(command.version, command.max_label)
            case SetCounter():
                self.counter.set_to(command.version, command.next_label, command.ceiling)
            case _:
                raise TypeError(f"no command for a labelmap: {command!r}")
        return DONE

    def mend_if_torn(self, event: BodyEvent) -> bool:
        """Mend an event that looks applied and is not, as the server was killed meanwhile; True if it was
        so."""
        command = command_of(event)
        match command:
            case CleaveBody() if not isinstance(command.new, Fresh) and (
                command.supervoxels is not None or command.data_ref
            ):
                parts = cleaved_supervoxels(command, self.bodies.source)
                return mend_cleave(self.bodies, command.version, command.orig, command.new, parts)
            case SplitSupervoxels() if command.new is not None:
                halves = tuple(half for _, half, _ in command.parts)
                return mend_cleave(self.bodies, command.version, command.body, command.new, halves)
            case SplitSupervoxels():
                with self.counter.lock:
                    (cut,) = cuts_of(self.bodies, command)
                    return mend_cut(self.bodies, command, cut)
        return False
