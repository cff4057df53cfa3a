"""One labelmap of a destination, as the commands for its bodies need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.server.commands import Fresh, Label, LabelCommand
from dvidsync_dagster.datatypes.labelmap.server.counter import LabelCounter
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.outcome import DONE, PRESENT, Outcome, refused, refused_by


@dataclass(frozen=True, slots=True)
class Bodies:
    """The bodies of one instance.

    Args:
        source, destination: the instance on both servers.
        counter: the destination's label counter.
        shows: looks at the destination and tells whether one event has been applied.
        note: says something once per run.
        pool: threads for requests that may go side by side.
        changes: a number that grows with every change of the repo here that is an operation.
    """

    source: Labelmap
    destination: Labelmap
    counter: LabelCounter
    shows: Callable[[BodyEvent], bool]
    note: Callable[[str], None]
    pool: Executor
    changes: Callable[[], int] = lambda: 0
    _given: dict[Fresh, int] = field(default_factory=dict)

    def label(self, label: Label) -> int:
        """A label as a number: of a fresh one the number that the server picked."""
        return self._given[label] if isinstance(label, Fresh) else label

    def gave(self, fresh: Fresh, label: int) -> None:
        self._given[fresh] = label

    def is_present(self, events: Sequence[Event]) -> bool:
        """Whether the event that a command repeats has been applied; False if it repeats none."""
        return len(events) == 1 and isinstance(events[0], BodyEvent) and self.shows(events[0])

    def refused(self, events: Sequence[Event], refusal: RequestRefused) -> Outcome:
        """What became of a command that was refused: perhaps it was done before."""
        return PRESENT if self.is_present(events) else refused_by(refusal)

    def made(self, command: LabelCommand, label: int) -> LastMod | None:
        """The last change of a body here, if it was by this command."""
        last = self.destination.last_mod(command.version, label) if label else None
        return last if last is not None and last.app == command.signature.tagged_app else None

    def rename(self, command: LabelCommand, wanted: int, got: int) -> Outcome:
        """The server picked another label than the source did."""
        try:
            self.destination.renumber(command.version, wanted, got, **signed(command))
        except RequestRefused as refusal:
            found = f"the body is there as {got}, but cannot get its label {wanted}: {refusal.text}"
            return refused(found, reason=refusal.reason)
        self.counter.passed(wanted)
        return DONE

    def tell_of_torn(self) -> None:
        self.note(
            f"{self.destination.name}: mended what a killed server left torn. If the destination was killed, "
            f"make a new version there before further work: its own log may be damaged"
        )


def signed(command: LabelCommand) -> dict[str, str]:
    """User, and app with the tag, as a body keeps them."""
    return {"user": command.signature.user, "app": command.signature.tagged_app}
