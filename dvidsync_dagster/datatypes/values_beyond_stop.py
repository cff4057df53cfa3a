"""Which values would be people's if a run that stops went on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from dvidsync_dagster.datatypes.own_values import Both, Evidence, LeftAlone, OwnValues

if TYPE_CHECKING:
    from dvidsync_dagster.log.digests import Possible
    from dvidsync_dagster.log.kept_digests import Digests

K = TypeVar("K")


class ValuesBeyondStop(OwnValues):
    """Tells what people's values would be if a run that stops went on, in versions that it has not made.
    Nothing is kept of what is asked here.

    Args:
        known: what the run knows.
        is_made: whether the destination has a version.
    """

    def __init__(self, known: OwnValues, is_made: Callable[[str], bool]) -> None:
        super().__init__(
            known.parents,
            checks=known.checks,
            follows_doubtful=known.follows_doubtful,
            copied_from=known.copied_from,
            changed_before=known.changed_before,
        )
        self.digests = known.digests
        self.told_up_to, self.all_is_told = known.told_up_to, known.all_is_told
        self._is_made = is_made
        self._foreseen: dict[tuple[str, str, int], int] = {}

    def about_to_write(
        self, version: str, instance: str, items: Mapping[K, Both], evidence: Evidence[K]
    ) -> LeftAlone[K]:
        if self.digests is None or not self.checks:
            return {}
        there = {key: self._shown_there(version, instance, both) for key, both in items.items()}
        differing = {key: both for key, both in there.items() if both.source != both.destination}
        own, _ = self._left_alone(self.digests, version, instance, differing, evidence)
        self._foreseen |= {
            (version, instance, both.item): both.source for key, both in items.items() if key not in own
        }
        return own

    def written(
        self,
        version: str,
        instance: str,
        items: Mapping[K, Both],
        *,
        own: Collection[K],
        refused: Collection[K],
    ) -> None:
        """Nothing was."""

    def _shown_there(self, version: str, instance: str, both: Both) -> Both:
        """With what the destination would have by then, where that is another."""
        parent = self._parent(version)
        while parent is not None and not self._is_made(version):
            foreseen = self._foreseen.get((parent, instance, both.item))
            if foreseen is not None:
                return replace(both, destination=foreseen)
            version, parent = parent, self._parent(parent)
        return both

    def _was_made(self, digests: Digests, version: str) -> bool:
        return not self._is_made(version) or digests.was_made(version)

    def _known(self, digests: Digests, version: str, instance: str, both: Both) -> Possible | None:
        foreseen = self._foreseen.get((version, instance, both.item))
        if foreseen is not None:
            return (foreseen,)
        return super()._known(digests, version, instance, both) if self._is_made(version) else None
