"""The whole comparison of a destination with its source, at one point of the source's log.

The destination stands at a checkpoint; the source goes on, as people work there. So what differs is put
beside the records that come after the checkpoint, up to a moment after everything was read. What they touch
is *pending*: it is read again once the destination has followed further, and is no difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from dvidsync_dagster.compare.apart import apart
from dvidsync_dagster.compare.both_sides import BothSides, ToCompare, opened_source
from dvidsync_dagster.compare.later import LaterRecords
from dvidsync_dagster.compare.reading import Differing, Reading, Say, Suspect, read_again, read_everything
from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.destinations.kinds import opened_comparable
from dvidsync_dagster.differences.findings import Comparison
from dvidsync_dagster.differences.touched import Touched
from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.agreed import remember_agreed
from dvidsync_dagster.log.checkpoint import Checkpoint, Positions

ROUNDS = 3
"""How often what is pending is read again, at most."""

Reached = Callable[[], Checkpoint | None]
"""Lets the destination catch up, if that may be, and tells how far it is then; None if that is not known."""


def compare(
    config: SyncConfig,
    destination: AnyDestination,
    *,
    agreed: Collection[str] = (),
    versions: Collection[str] = (),
    lower_scales: bool = False,
    reached: Reached = lambda: None,
    say: Say = lambda _: None,
) -> Comparison:
    """Compare everything that is followed.

    Args:
        agreed: `agreed` of an earlier comparison; what was committed and agreed then is not read again.
        versions: UUIDs, or their first letters: compare only these.
        lower_scales: compare labelmaps at lower resolutions too, which takes all their voxels.
        say: gets a line per version.

    Raises:
        ConfigurationError, ServerError, BrokerUnreachable; and what `reached` raises.
    """
    with opened_source(config) as source, opened_comparable(config, destination, source) as follower:
        opened = ToCompare(config, destination, source, follower, versions, lower_scales)
        return compare_opened(opened, agreed=agreed, reached=reached, say=say).comparison


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison with what it was made from.

    Args:
        sides: both, as they were at its end.
        left: what differs, and what is pending.
    """

    comparison: Comparison
    sides: BothSides
    left: Differing


def compare_opened(
    opened: ToCompare,
    *,
    agreed: Collection[str] = (),
    reached: Reached = lambda: None,
    say: Say = lambda _: None,
) -> Compared:
    """The same at a source and a destination that are open, with all that differs and not only the first of
    each kind."""
    began = time.monotonic()
    checkpoint = reached()
    this = _Comparing(opened.config, checkpoint, opened.look())
    clock = this.sides.source_info.clock
    reading = read_everything(this.sides, agreed, say)
    this.notes = reading.notes
    if checkpoint is None and reading.differing:
        this.notes.append(
            "nothing is known of how far the destination has followed: what it has not shows, too"
        )
    this.take_in(reading.differing)
    for _ in range(ROUNDS):
        if not this.pending or not this.goes_further(reached):
            break
        say("Reading again what later records touch.")
        this.sides = opened.look()
        this.take_in(read_again(this.sides, this.pending))
    point = checkpoint.key_ns if checkpoint is not None else 0
    comparison = this.found(reading, point, time.monotonic() - began)
    if this.checkpoint is not None and this.checkpoint.doubt and _hold_the_same(this.left, this.sides):
        try:
            remember_agreed(opened.config, opened.destination.name, clock)
        except LogError as error:
            say(f"what others may have done is still looked for in each run: {error}")
    return Compared(comparison, this.sides, this.left)


@dataclass
class _Comparing:
    """A comparison under way.

    Args:
        checkpoint: how far the destination was when the sides were asked; None if that is not known.
        sides: both, as they were asked last.
        differences: what differs, and will not come with the log.
        pending: what differs, and may come with the log.
    """

    config: SyncConfig
    checkpoint: Checkpoint | None
    sides: BothSides
    differences: Differing = field(default_factory=Differing)
    pending: Differing = field(default_factory=Differing)
    notes: list[str] = field(default_factory=list)

    @property
    def left(self) -> Differing:
        """All that differs."""
        return Differing(
            [*self.differences.rows, *self.pending.rows], [*self.differences.items, *self.pending.items]
        )

    def take_in(self, found: Differing) -> None:
        """Add what differs; nothing is pending now but what is among it."""
        clear, self.pending = _told_apart(self.config, self.sides, self.checkpoint, found, self.notes)
        self.differences.rows += clear.rows
        self.differences.items += clear.items

    def goes_further(self, reached: Reached) -> bool:
        """Let the destination catch up. False if it is where it was, or if that is not known."""
        if self.checkpoint is None:
            return False
        before, further = self.checkpoint, reached()
        if further is None or _place(further) == _place(before):
            return False
        self.checkpoint = further
        return True

    def found(self, reading: Reading, point: int, seconds: float) -> Comparison:
        """What is told of it.

        Args:
            reading: the first one, of everything.
            point: how far the destination was then (ns since 1970).
        """
        return Comparison(
            differences=self.differences.table(),
            pending=self.pending.table(),
            point=point,
            versions=tuple(sorted(self.sides.versions)) if self.sides.chosen else (),
            read=reading.read,
            compared=reading.compared,
            remembered=reading.remembered,
            notes=tuple(dict.fromkeys(self.notes)),
            agreed=frozenset(reading.agreed),
            seconds=seconds,
            own=reading.own,
        )


def _hold_the_same(left: Differing, sides: BothSides) -> bool:
    """Whether nothing differs or is pending in all that is followed. Ids can be ahead."""
    return not sides.chosen and not left.items and all(row.ahead for row in left.rows)


def _place(checkpoint: Checkpoint) -> tuple[int, Positions]:
    return checkpoint.key_ns, checkpoint.positions


def _told_apart(
    config: SyncConfig,
    sides: BothSides,
    checkpoint: Checkpoint | None,
    differing: Differing,
    notes: list[str],
) -> tuple[Differing, Differing]:
    """What differs though nothing that is still to come touches it, and what is pending."""
    if not differing or checkpoint is None:
        return differing, Differing()
    with LaterRecords(config, sides, checkpoint, notes.append) as later:
        differences, pending = _split(sides, differing, later.touched())
        if differences:
            # The source changes, then says so: what it has said of what was read is in the log only now.
            time.sleep(config.settle_seconds)
            differences, pending = _split(sides, differing, later.touched())
    return differences, pending


def _split(sides: BothSides, differing: Differing, touched: Touched) -> tuple[Differing, Differing]:
    clear, pending = Differing(), Differing()
    for row in differing.rows:
        (pending if touched.explains(row) else clear).rows.append(row)
    for suspect in differing.items:
        pair, comparison = suspect.pair, suspect.comparison
        versions = sides.source_repo.ancestors(pair.source.version)
        for part, found in zip(
            (clear, pending), apart(suspect.found, pair, comparison, touched, versions), strict=True
        ):
            if len(found):
                part.items.append(Suspect(pair, comparison, found))
    return clear, pending
