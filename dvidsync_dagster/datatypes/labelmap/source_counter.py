"""The source's own label counter: what the destination's must never be raised past."""

from __future__ import annotations

from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import RequestRefused


class SourceCounter:
    """How it stands. It is asked again where what is known of it is not enough.

    A record can name any id, and not each was ever given: a start that nobody completed, a counter that was
    set back since.

    Args:
        labelmap: the source's instance.
        root: any version of it.
        next_label: as it was read before; None if it was not.
    """

    def __init__(self, labelmap: Labelmap, root: str, *, next_label: int | None = None) -> None:
        self._labelmap = labelmap
        self._root = root
        self._next_label = next_label or 0
        self._was_set = False
        self._highest: dict[str, int] = {}

    def gave(self, label: int) -> bool:
        """Whether `label` lies below it."""
        if label >= self._next_label:
            self._next_label = self._labelmap.next_label(self._root)
        return label < self._next_label

    def was_set(self) -> bool:
        """Whether it is in mode 2. There is no way back from there."""
        self._was_set = self._was_set or self._labelmap.next_label_was_set(self._root)
        return self._was_set

    def can_have_given(self, version: str, label: int) -> bool:
        """Whether `label` lies below the counter, or is one of the version from before that was set back."""
        known = label < self._next_label or label <= self._highest.get(version, 0)
        return known or self.gave(label) or label <= self.highest(version)

    def highest(self, version: str) -> int:
        """The highest label of a version and those it descends from; 0 if the source has no such version."""
        try:
            self._highest[version] = self._labelmap.max_label(version)
        except RequestRefused:
            return 0
        return self._highest[version]
