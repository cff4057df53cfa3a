"""Taking the steps of a plan at a server that picks the labels of cleaves itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from dvidsync_dagster.repair.label_plan import Cleave, Fresh, Label, Merge, Renumber, Step, TakeLabel


class Bodies(Protocol):
    """The bodies of one version of a labelmap that can be regrouped.

    `bodies` are the source's bodies whose state this brings about.
    """

    def next_label(self) -> int: ...

    def in_use(self, label: int) -> bool: ...

    def reserve(self, count: int) -> int:
        """The first of the labels."""
        ...

    def cleave(self, label: int, supervoxels: Sequence[int], bodies: Sequence[int]) -> int: ...

    def merge(self, target: int, labels: Sequence[int], bodies: Sequence[int]) -> None: ...

    def renumber(self, new: int, old: int, bodies: Sequence[int]) -> None: ...


class LabelSteps:
    """Takes steps.

    Args:
        ceiling: the source's next label: up to there labels can be left out without getting ahead of it.
        in_flight: how many merges run side by side.
        still_owner: raises if another run has taken over.
    """

    def __init__(
        self, bodies: Bodies, *, ceiling: int, in_flight: int, still_owner: Callable[[], None]
    ) -> None:
        self._bodies = bodies
        self._ceiling = ceiling
        self._in_flight = in_flight
        self._still_owner = still_owner
        self._given: dict[Fresh, int] = {}
        self._avoided: set[int] = set()

    def take(self, steps: Sequence[Step]) -> None:
        """Take all steps. Raises what `Bodies` raises; the steps before are taken then."""
        self._avoided = {
            step.new for step in steps if isinstance(step, Renumber) and isinstance(step.new, int)
        }
        self._avoided |= {
            step.result for step in steps if isinstance(step, Cleave) and isinstance(step.result, int)
        }
        merges = [step for step in steps if isinstance(step, Merge)]
        for step in steps:
            match step:
                case Cleave():
                    self._cleave(step)
                case Merge():
                    if step is merges[0]:
                        self._merge_all(merges)
                case TakeLabel():
                    self._still_owner()
                    self._skip_avoided()
                    self._given[step.result] = self._bodies.reserve(1)
                case Renumber():
                    self._still_owner()
                    self._bodies.renumber(self._label(step.new), self._label(step.old), [step.body])

    def _cleave(self, step: Cleave) -> None:
        self._still_owner()
        bodies = [step.body, step.label] if step.keeps else [step.body]
        wanted = step.result
        if isinstance(wanted, Fresh):
            self._skip_avoided()
            self._given[wanted] = self._bodies.cleave(step.label, step.supervoxels, bodies)
            return
        following = self._bodies.next_label()
        if following < wanted < self._ceiling:
            self._bodies.reserve(wanted - following)
        elif following != wanted:
            self._skip_avoided()
        got = self._bodies.cleave(step.label, step.supervoxels, bodies)
        if got != wanted:
            self._bodies.renumber(wanted, got, [step.body])

    def _skip_avoided(self) -> None:
        """Do not let the server pick a label that another body has, or gets later."""
        while (label := self._bodies.next_label()) in self._avoided or self._bodies.in_use(label):
            self._bodies.reserve(1)

    def _merge_all(self, merges: Sequence[Merge]) -> None:
        with ThreadPoolExecutor(self._in_flight) as pool:
            list(pool.map(self._merge, merges))

    def _merge(self, step: Merge) -> None:
        self._still_owner()
        labels = [self._label(label) for label in step.labels]
        self._bodies.merge(self._label(step.target), labels, [step.body])

    def _label(self, label: Label) -> int:
        return label if isinstance(label, int) else self._given[label]
