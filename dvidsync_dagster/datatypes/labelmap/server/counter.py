"""The label counter of one instance at the destination, kept in step with the source's.

What moves a counter is said in `counter_rule`. This one is moved by requests, and never past the source's
own. It is touched only by whoever holds its lock: the operations that take ids follow each other anyway, but
a commit of another version may settle it at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from dvidsync_dagster.datatypes.labelmap.counter_rule import (
    HIGHEST_GIVEN,
    CounterState,
    Ids,
    PickedBy,
    past,
)
from dvidsync_dagster.datatypes.labelmap.server.free_labels import FreeLabels
from dvidsync_dagster.datatypes.labelmap.source_counter import SourceCounter
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import RequestRefused

LOOKED_BACK = 1000
"""How many of the last labels given are looked at for one that a request of ours got, where others take them
too."""

ROOM = 500
"""How many ids others may take between a look at what is free and a cleave."""


class LabelCounter:
    """What comes next, and up to where the source has burned ids.

    Ids that were taken without making a body (reserved, burned by failed cleaves) need no request of their
    own: they are reserved together, when the next cleave or the end of the chunk asks for it.

    Where people practise in versions of the destination's own, they take ids from this counter too, also
    between two requests of a run. So it is only ever moved by reserving, which takes what nobody has; never
    set, which could give them an id twice.

    Args:
        labelmap: the destination's instance.
        source: the source's own counter.
        state: how the destination's stands.
        note: says something once per run.
        shared: people practise there.
    """

    def __init__(
        self,
        labelmap: Labelmap,
        source: SourceCounter,
        state: CounterState,
        note: Callable[[str], None],
        *,
        shared: bool = False,
    ) -> None:
        self.lock = threading.RLock()
        self.next_label = state.next_label
        self.was_set = state.was_set
        self.burned_in = ""
        """The version in which the source burned the last of the ids that are not reserved here."""
        self.shared = shared
        self._labelmap = labelmap
        self._free = FreeLabels(labelmap, ROOM if shared else 1)
        self._source = source
        self._note = note
        self._burned_below = 0
        # Ids from here on were given to nobody but this run, as long as no stranger shows up.
        self._ours_from = state.next_label

    @property
    def instance(self) -> str:
        return self._labelmap.name

    @property
    def state(self) -> CounterState:
        return CounterState(self.next_label, self.was_set)

    @property
    def expected(self) -> CounterState:
        """How the source's stood, as far as is known."""
        return CounterState(max(self.next_label, self._burned_below), self.was_set)

    @property
    def is_behind(self) -> bool:
        return self.next_label < self._burned_below

    def burned(self, last: int, version: str) -> None:
        """Ids up to `last` have been taken at the source, if its own counter agrees."""
        if last < self.expected.next_label:
            return
        if last <= HIGHEST_GIVEN and self._source.gave(last):
            self._burned_below, self.burned_in = last + 1, version
        else:
            self._note(
                f"{self.instance}: a message names label {last}, which the source's counter has not reached "
                f"or was set back from: labels up to there are not reserved"
            )

    def prepare(self, version: str, wanted: int, avoid: Collection[int] = ()) -> None:
        """Make the next cleave get `wanted`, or if it is too late for that, an id that nobody has."""
        if self.next_label < wanted and self._source.can_have_given(version, wanted):
            self.reserve_below(version, wanted)
        if self.next_label > wanted and self._set_back(version, wanted):
            return
        # Somebody else may be given it first: then the next ones must be free as well.
        if self.next_label != wanted or (self.shared and self._first_free(version) != wanted):
            self.prepare_free(version, avoid)

    def prepare_free(self, version: str, avoid: Collection[int]) -> None:
        """Make the next cleave get an id that nobody has, and none of `avoid`."""
        while (free := self._first_free(version)) != self.next_label or free in avoid:
            self.reserve_below(version, max(free, self.next_label + 1))

    def take_free(self, version: str, avoid: Collection[int]) -> int:
        """Reserve an id that nobody has, and none of `avoid`."""
        self.prepare_free(version, avoid)
        self.reserve_below(version, self.next_label + 1)
        return self.next_label - 1

    def reserve_below(self, version: str, wanted: int) -> None:
        """Take what lies before `wanted`. Raises RequestRefused if the destination does not give it."""
        if self.burned_in not in ("", version) and self.next_label < self._burned_below <= wanted:
            # A version's highest label is raised by what is reserved in it.
            where, self.burned_in = self.burned_in, ""
            with suppress(RequestRefused):
                self.reserve_below(where, self._burned_below)
        if self.shared and self.next_label < wanted:
            self.read_again(version)
        if self.next_label < wanted:
            first, last = self._labelmap.reserve(version, wanted - self.next_label)
            self._check_stranger(first)
            self.next_label = last + 1

    def settle(self, version: str) -> None:
        """Reserve what the source has burned. `version` should be open."""
        try:
            self.reserve_below(version, self._burned_below)
        except RequestRefused as refusal:
            self._note(
                f"{self.instance}: labels {self.next_label} to {self._burned_below - 1} are used at the "
                f"source and cannot be reserved here: {refusal.text}"
            )

    def end_at(self, versions: Sequence[str], next_label: int) -> None:
        """Bring the counter to where the source's stands, once all that the source did is done here.

        Args:
            versions: those that are open here.
            next_label: that of the source.
        """
        where = versions[-1]
        if self.expected.next_label < next_label:
            # No message told of these labels. They belong to the version that has the highest at the source.
            where = max(reversed(versions), key=self._source.highest)
            self.burned(next_label - 1, where)
        self.settle(where)
        if self.next_label > next_label:
            self._set_back(where, next_label)

    def took(self, label: int) -> None:
        self._check_stranger(label)
        self._free.take(label)
        self.next_label = label + 1

    def given_last(self, version: str, app: str, orig: int) -> int | None:
        """The body with one of the last labels given that a request with this `app` cleaved off `orig`."""
        self.read_again(version)
        first = self.next_label - (LOOKED_BACK if self.shared else 1)
        made = self._labelmap.changed_as(version, range(max(1, first), self.next_label), app)
        return max((label for label in made if label != orig), default=None)

    def passed(self, *labels: int) -> None:
        """The destination has labels that a request named."""
        self._free.take(*labels)
        self.next_label = past(self.state, Ids(min(labels), max(labels), PickedBy.REQUEST)).next_label

    def make_room(self, version: str, ids: Ids) -> None:
        """Before a request that names the ids of a split.

        A counter that was set does not move past them. The source's did, if it had picked them; and a cleave
        that got such an id would take the supervoxel's mapping with it.
        """
        before = self.expected
        if before.was_set and ids.given_by(before):
            self.burned(ids.last, version)
            if self.expected != before:
                self.reserve_below(version, self.expected.next_label)

    def pass_ids(self, version: str, ids: Ids) -> None:
        """Move past ids that no body here gets, as the source's counter did."""
        self.burned(past(self.expected, ids).next_label - 1, version)

    def raise_highest(self, version: str, max_label: int) -> None:
        """Raise a version's highest label, as an administrator did at the source."""
        if not self._labelmap.client.has_admin_token:
            self._note(_NO_MAXLABEL.format(name=self.instance))
            self.pass_ids(version, Ids(max_label, max_label, PickedBy.REQUEST))
        elif max_label <= self._source.highest(version):
            self._labelmap.raise_max_label(version, max_label)
            self.passed(max_label)
        else:
            self._note(
                f"{self.instance}: a message tells of a maxlabel of {max_label}, which {version} does not "
                f"have at the source"
            )

    def set_to(self, version: str, next_label: int, ceiling: int | None) -> None:
        """Set the counter, as an administrator did at the source."""
        if self._labelmap.client.has_admin_token and not self.shared:
            self._set_to(version, next_label, ceiling)
        else:
            why = _NOT_SET if self.shared else _NO_SET_NEXTLABEL
            self._note(why.format(name=self.instance))
            self.burned(next_label, version)

    def read_again(self, version: str) -> None:
        """After a request that may have moved it: a refused cleave burns an id."""
        try:
            self.next_label = self._labelmap.next_label(version)
        except RequestRefused:
            return

    def _set_to(self, version: str, label: int, ceiling: int | None) -> None:
        """`set-nextlabel`, unless that is how it stands."""
        if self.was_set and self.next_label == label + 1 and ceiling is None:
            return
        if not self._source.was_set():
            self._note(f"{self.instance}: a message tells of a set-nextlabel that the source never had")
            return
        if not self._source.gave(label):
            # The source was set to this label, and set back later. The ids that it has given since tell where
            # to go; this setting only tells that it is in mode 2.
            if self.was_set:
                return
            label = self.next_label - 1
        if label + 1 < self.next_label and self._free.first(version, label + 1) != label + 1:
            self._note(f"{self.instance}: not set back to label {label + 1}, which a body has")
            return
        self._labelmap.set_next_label(version, label, ceiling)
        self.was_set = True
        self.next_label = self._ours_from = label + 1
        self._burned_below = 0

    def _set_back(self, version: str, next_label: int) -> bool:
        """A counter that was set can be set back, if the ids from there on are this run's own leavings."""
        possible = self.was_set and self._labelmap.client.has_admin_token and not self.shared
        if not possible or next_label < self._ours_from:
            return False
        stood_at = self.next_label
        self._labelmap.set_next_label(version, next_label - 1, None)
        self.next_label = next_label
        self.burned(stood_at - 1, version)
        return True

    def _first_free(self, version: str) -> int:
        """The next label, or the first one after it that nobody has. In mode 1 it is higher than any."""
        return self._free.first(version, self.next_label) if self.was_set else self.next_label

    def _check_stranger(self, label: int) -> None:
        if label != self.next_label:
            self._ours_from = label + 1


_NOT_SET = (
    "{name}: set-nextlabel was used at the source. Where people practise the counter is not set, as they "
    "would be given ids twice: labels up to there are reserved, and labels come out as the source's"
)
_NO_MAXLABEL = (
    "{name}: maxlabel was raised at the source, which needs an admin token at the destination "
    "(admin_token_env); without it maxlabel differs, labels do not"
)
_NO_SET_NEXTLABEL = (
    "{name}: set-nextlabel was used at the source, which needs an admin token at the destination "
    "(admin_token_env); without it its counter can run ahead, and labels that it picks are renumbered to the "
    "source's"
)
