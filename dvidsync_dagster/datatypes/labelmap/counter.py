"""The label counter of one instance at the destination, kept in step with the source's.

It is touched only by whoever holds its lock: the operations that take ids follow each other anyway, but a
commit of another version may settle it at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from dvidsync_dagster.datatypes.labelmap.messages import (
    BurnLabels,
    RaiseMaxLabel,
    ReserveLabels,
    SetNextLabel,
)
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import RequestRefused


class LabelCounter:
    """What comes next, and up to where the source has burned ids.

    Ids that were taken without making a body (reserved, burned by failed cleaves) need no request of their
    own: they are reserved together, when the next cleave or the end of the chunk asks for it.

    Args:
        labelmap: the destination's instance.
        was_set: mode 2, see `CounterState`.
    """

    def __init__(self, labelmap: Labelmap, *, next_label: int, was_set: bool) -> None:
        self.lock = threading.RLock()
        self.next_label = next_label
        self.was_set = was_set
        self._labelmap = labelmap
        self._burned_below = 0
        # Ids from here on were given to nobody but this run, as long as no stranger shows up.
        self._ours_from = next_label

    def burned(self, last: int) -> None:
        """Ids up to `last` have been taken at the source."""
        self._burned_below = max(self._burned_below, last + 1)

    @property
    def expected(self) -> int:
        """The id that the source gave next, as far as is known."""
        return max(self.next_label, self._burned_below)

    @property
    def is_behind(self) -> bool:
        return self.next_label < self._burned_below

    def prepare(self, version: str, wanted: int) -> None:
        """Make the next cleave get `wanted`, or if it is too late for that, an id that nobody has."""
        self.bring_to(version, wanted)
        if self.next_label > wanted and not self._set_back(version, wanted):
            while not self._is_free(version, self.next_label):
                self.bring_to(version, self.next_label + 1)

    def bring_to(self, version: str, wanted: int) -> None:
        """Reserve what lies before `wanted`."""
        if self.next_label < wanted:
            first, last = self._labelmap.reserve(version, wanted - self.next_label)
            self._check_stranger(first)
            self.next_label = last + 1

    def settle(self, version: str) -> None:
        """Reserve what the source has burned. `version` must be open."""
        self.bring_to(version, self._burned_below)

    def end_at(self, version: str, next_label: int) -> None:
        """The source stands at `next_label` and all that it did is done: stand there too."""
        self.burned(next_label - 1)
        self.settle(version)
        if self.next_label > next_label:
            self._set_back(version, next_label)

    def took(self, label: int) -> None:
        self._check_stranger(label)
        self.next_label = label + 1

    def passed(self, label: int) -> None:
        """A label that was given by the request: only an unset counter (mode 1) moves past it."""
        if not self.was_set:
            self.next_label = max(self.next_label, label + 1)

    def set_to(self, version: str, label: int, ceiling: int | None) -> None:
        """`set-nextlabel`, unless that is how it stands. Needs the admin token."""
        if self.was_set and self.next_label == label + 1 and ceiling is None:
            return
        self._labelmap.set_next_label(version, label, ceiling)
        self.was_set = True
        self.next_label = self._ours_from = label + 1
        self._burned_below = 0

    def follow(
        self, change: ReserveLabels | BurnLabels | RaiseMaxLabel | SetNextLabel, note: Callable[[str], None]
    ) -> None:
        """Move as the source's counter was moved; `note` is told what lacks an admin token."""
        name, may_set = self._labelmap.name, self._labelmap.client.has_admin_token
        match change:
            case ReserveLabels():
                self.burned(change.last)
            case BurnLabels():
                self.burned(max(change.labels))
            case RaiseMaxLabel() if may_set:
                self._labelmap.raise_max_label(change.version, change.max_label)
                self.passed(change.max_label)
            case RaiseMaxLabel():
                note(
                    f"{name}: maxlabel was raised at the source, which needs an admin token at the "
                    f"destination (admin_token_env); without it maxlabel differs, labels do not"
                )
                if not self.was_set:
                    self.burned(change.max_label)
            case SetNextLabel() if may_set:
                self.set_to(change.version, change.next_label, change.ceiling)
            case SetNextLabel():
                note(
                    f"{name}: set-nextlabel was used at the source, which needs an admin token at the "
                    f"destination (admin_token_env); without it its counter can run ahead, and labels that "
                    f"it picks are renumbered to the source's"
                )
                self.burned(change.next_label)

    def read_again(self, version: str) -> None:
        """After a request that may have moved it: a refused cleave burns an id."""
        try:
            self.next_label = self._labelmap.next_label(version)
        except RequestRefused:
            return

    def _set_back(self, version: str, next_label: int) -> bool:
        """A counter that was set can be set back, if the ids from there on are this run's own leavings."""
        possible = self.was_set and self._labelmap.client.has_admin_token
        if not possible or next_label < self._ours_from:
            return False
        self.burned(self.next_label - 1)
        self._labelmap.set_next_label(version, next_label - 1, None)
        self.next_label = next_label
        return True

    def _is_free(self, version: str, label: int) -> bool:
        """A cleave overwrites whatever has the label that it gets."""
        taken = self._labelmap.mapping(version, [label]) != [0]
        return not taken and self._labelmap.last_mod(version, label) is None

    def _check_stranger(self, label: int) -> None:
        if label != self.next_label:
            self._ours_from = label + 1
