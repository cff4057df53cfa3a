"""What is known of the values at a server that follows, from run to run. See `datatypes.own_values`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from dvidsync_dagster.datatypes.own_values import OwnValues
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.errors import LogError
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import Commit
from dvidsync_dagster.log.digests import KeptDigests, Met
from dvidsync_dagster.log.replaced import Replaced


class KnownValues:
    """Opens and keeps the digests behind `own`, and keeps what a run replaces.

    Args:
        source: what is followed.
        kept: the digests, by the name that a checkpoint has for them.
        replaced: keeps values that are replaced, and that people may have made.
        skips: what people changed is left out; if not, it ends the run.
        follows_doubtful: see `OwnValues`.
        copied_from: the copy was made at this time or later (ns since 1970); None if that is not known.
        met: what the destination has now, item by item.
        until: asked after that: which changes (ns since 1970) are in what the source had then.
        note: says something once per run.
    """

    def __init__(
        self,
        source: Source,
        kept: KeptDigests,
        replaced: Replaced,
        *,
        skips: bool,
        follows_doubtful: bool,
        copied_from: int | None,
        met: Callable[[], Iterable[Met]],
        until: Callable[[], int],
        note: Callable[[str], None],
    ) -> None:
        self.name = ""
        """As the checkpoint names what is kept; "" if nothing is."""
        self._repo: RepoInfo = source.repo
        self._kept = kept
        self._replaced = replaced
        self._skips = skips
        self._met = met
        self._until = until
        self._note = note
        self._replaced_now: list[int] = []
        self.own = OwnValues(
            source.repo.parents,
            leaves_out=skips,
            follows_doubtful=follows_doubtful,
            keep_aside=self._keep_aside,
            copied_from=copied_from,
            changed_before=source.changed_before,
        )

    def begin_pass(self, name: str) -> None:
        """Go on with what is kept under a name; with "" all begins with what the destination has."""
        if self.own.digests is None:
            self.name = name
            if not name or self._kept.are_lost(name):
                self._know()

    def begin_batch(self, batch: Batch, *, are_concerned: bool) -> None:
        """A batch comes; `are_concerned`: it can change values."""
        if self.own.digests is None and are_concerned:
            self._know()
        self.own.checks = not batch.asked_for
        self.own.told_up_to, self.own.all_is_told = batch.told_up_to, batch.is_last

    def _know(self) -> None:
        try:
            digests = self._kept.open(self.name)
            if digests.is_new:
                digests.begin_anew(self._met(), self._until)
        except LogError as error:
            # Whoever leaves out what people changed needs it.
            if self._skips:
                raise
            # What is written without them is not in them.
            self.name = ""
            self._note(f"values that people changed here are not told from others: {error}")
        else:
            self.own.digests = digests
            self.name = digests.name

    def keep(self, applied: Collection[Event]) -> str:
        """A chunk ends; the name of what is kept. A version before a committed one is settled."""
        digests = self.own.digests
        if digests is None:
            return self.name
        committed = {event.version for event in applied if isinstance(event, Commit)}
        before = set().union(*(self._repo.ancestors(version) for version in committed)) - committed
        digests.drop(before)
        digests.keep()
        return self.name

    def replaced(self) -> int:
        """How many values were kept aside since this was asked last."""
        counts, self._replaced_now = self._replaced_now, []
        return sum(counts)

    def _keep_aside(self, version: str, instance: str, values: Mapping[str, bytes]) -> None:
        self._replaced.keep(version, instance, values)
        self._replaced_now.append(len(values))
        self._note(self._replaced.text())
