"""How bodies are regrouped into those of the source: the fewest cleaves, merges and renumbers. Pure.

Each body of the destination is cut into *pieces*, one per body of the source that its supervoxels belong to.
One piece stays what is left of the body, the others are cleaved off; then the pieces of each body of the
source are merged; then those that do not have its label yet are renumbered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fresh:
    """A label that the server picks when the step is taken."""

    number: int


Label = int | Fresh


@dataclass(frozen=True, slots=True)
class Cleave:
    """Cut supervoxels off. A `result` that is a number is the label that they must get, and it is free.

    `body` is the source's body that they belong to; `keeps` tells whether the source has `label`, too.
    """

    label: int
    supervoxels: tuple[int, ...]
    result: Label
    body: int
    keeps: bool


@dataclass(frozen=True, slots=True)
class Merge:
    target: Label
    labels: tuple[Label, ...]
    body: int


@dataclass(frozen=True, slots=True)
class TakeLabel:
    """Reserve a label, to hold a body while labels are swapped."""

    result: Fresh


@dataclass(frozen=True, slots=True)
class Renumber:
    new: Label
    old: Label
    body: int


Step = Cleave | Merge | TakeLabel | Renumber

Moves = Mapping[int, Mapping[int, Sequence[int]]]


def plan_labels(moves: Moves, keeping: Collection[int], bodies: Collection[int]) -> list[Step]:
    """The steps, in order; all merges are on different bodies and can be done side by side.

    Args:
        moves: by body of the destination and body of the source, the supervoxels that are in the one and
            belong to the other. The two differ.
        keeping: bodies of the destination that hold more than what `moves` takes away from them.
        bodies: all bodies of the destination among the keys and targets of `moves`.
    """
    fresh = _fresh()
    cleaves: list[Cleave] = []
    groups: dict[int, list[Label]] = {body: [body] for body in _targets(moves) if body in keeping}
    cut: dict[int, list[Cleave]] = {}
    for label, pieces in sorted(moves.items()):
        staying = None if label in keeping else _staying(pieces, keeping, bodies)
        for body, supervoxels in sorted(pieces.items()):
            if body == staying:
                groups.setdefault(body, []).append(label)
            else:
                cleave = Cleave(label, tuple(supervoxels), next(fresh), body, label in keeping)
                cut.setdefault(body, []).append(cleave)
    pending: dict[int, Label] = {}
    merges: list[Merge] = []
    for body in sorted({*groups, *cut}):
        whole, pieces_cut = groups.get(body, []), cut.get(body, [])
        if pieces_cut and body not in bodies:
            # Its label is free, and a cleave can get it.
            first = pieces_cut[0]
            pieces_cut = [Cleave(first.label, first.supervoxels, body, body, first.keeps), *pieces_cut[1:]]
            target: Label = body
        elif body in keeping:
            target = body
        elif pieces_cut:
            target = pieces_cut[0].result
        else:
            # One whose label no other body waits for, if there is one.
            target = min(whole, key=lambda label: (label in moves and label in _targets(moves), label))
        cleaves += pieces_cut
        labels = [label for label in (*whole, *(cleave.result for cleave in pieces_cut)) if label != target]
        if labels:
            merges.append(Merge(target, tuple(labels), body))
        if target != body:
            pending[body] = target
    # Those with a label to get come first, in order: the counter only goes up.
    cleaves.sort(key=_cleave_order)
    return [*cleaves, *merges, *_renumbers(pending, fresh)]


def _targets(moves: Moves) -> set[int]:
    return {body for pieces in moves.values() for body in pieces}


def _fresh() -> Iterator[Fresh]:
    number = 0
    while True:
        yield Fresh(number)
        number += 1


def _staying(pieces: Mapping[int, Sequence[int]], keeping: Collection[int], bodies: Collection[int]) -> int:
    """The piece that is not cut off: one that needs no label of its own, or else the largest."""
    return max(pieces, key=lambda body: (body in keeping, body in bodies, len(pieces[body]), -body))


def _cleave_order(cleave: Cleave) -> tuple[bool, int]:
    if isinstance(cleave.result, Fresh):
        return (True, cleave.result.number)
    return (False, cleave.result)


def _renumbers(pending: dict[int, Label], fresh: Iterator[Fresh]) -> Iterator[Step]:
    """Renumber each body from the label that it has, once nothing else has the label that it gets."""
    waiting = {label: body for body, label in pending.items() if isinstance(label, int)}
    ready = [body for body in pending if body not in waiting]
    while pending:
        if not ready:
            # A ring: one body steps aside.
            body, label = next(iter(pending.items()))
            aside = next(fresh)
            yield TakeLabel(aside)
            yield Renumber(aside, label, body)
            pending[body] = aside
        else:
            body = ready.pop()
            label = pending.pop(body)
            yield Renumber(body, label, body)
        if isinstance(label, int):
            del waiting[label]
            if label in pending:
                ready.append(label)
