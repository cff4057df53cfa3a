"""How bodies are regrouped into those of the source: the fewest cleaves, merges and renumbers. Pure.

Each body of the destination is cut into *pieces*, one per body of the source that its supervoxels belong to.
One piece stays what is left of the body, the others are cleaved off; then the pieces of each body of the
source are merged; then those that do not have its label yet are renumbered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.server.commands import (
    CleaveBody,
    Fresh,
    Label,
    LabelCommand,
    MergeBodies,
    RenumberBody,
    Signature,
    TakeLabel,
)

LABELS_PER_MERGE = 50_000
"""A merge message over 980 kB never reaches Kafka."""

Moves = Mapping[int, Mapping[int, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Planned:
    """A command that nobody has signed yet.

    Args:
        bodies: the source's bodies whose state it brings about; the one that it makes comes first. None for
            one that only takes a label.
        waits_for: as in `Step`.
    """

    command: LabelCommand
    bodies: tuple[int, ...]
    waits_for: tuple[int, ...]

    def step(self, signature: Signature) -> Step:
        """The command in somebody's name."""
        return Step(replace(self.command, signature=signature), waits_for=self.waits_for)


def plan_labels(
    moves: Moves, keeping: Collection[int], bodies: Collection[int], *, version: str, instance: str
) -> list[Planned]:
    """The commands, in an order in which they can be carried out one by one.

    Args:
        moves: by body of the destination and body of the source, the supervoxels that are in the one and
            belong to the other. The two differ.
        keeping: bodies of the destination that hold more than what `moves` takes away from them.
        bodies: all bodies of the destination among the keys and targets of `moves`.
    """
    fresh = _fresh()
    whole, cut = _pieces(moves, keeping, bodies, fresh)
    cleaves: list[_Piece] = []
    merges: list[_Union] = []
    unnamed: dict[int, Label] = {}
    for body in sorted({*whole, *cut}):
        left, pieces = whole.get(body, []), cut.get(body, [])
        if pieces and body not in bodies:
            # Its label is free, and a cleave can get it.
            pieces = [replace(pieces[0], new=body), *pieces[1:]]
        cleaves += pieces
        target = _target(body, left, pieces, keeping, moves)
        labels = [label for label in (*left, *(piece.new for piece in pieces)) if label != target]
        if labels:
            merges.append(_Union(body, target, tuple(labels)))
        if target != body:
            unnamed[body] = target
    # Those with a label to get come first, in order: the counter only goes up.
    cleaves.sort(key=_cleave_order)
    return _Assembly(version, instance).all(cleaves, merges, list(_renumbers(unnamed, fresh)))


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is cleaved off body `orig` for the source's `body`. `keeps`: the source has `orig`, too."""

    orig: int
    supervoxels: tuple[int, ...]
    new: Label
    body: int
    keeps: bool


@dataclass(frozen=True, slots=True)
class _Union:
    """What is merged into the source's `body`."""

    body: int
    target: Label
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class _Renaming:
    """`orig` gets the label `new`, on the way to the source's `body`."""

    body: int
    orig: Label
    new: Label


def _fresh() -> Iterator[Fresh]:
    number = 0
    while True:
        yield Fresh(number)
        number += 1


def _pieces(
    moves: Moves, keeping: Collection[int], bodies: Collection[int], fresh: Iterator[Fresh]
) -> tuple[dict[int, list[Label]], dict[int, list[_Piece]]]:
    """By body of the source: bodies that become part of it as they are, and what is cleaved off for it."""
    whole: dict[int, list[Label]] = {body: [body] for body in _targets(moves) if body in keeping}
    cut: dict[int, list[_Piece]] = {}
    for label, pieces in sorted(moves.items()):
        staying = None if label in keeping else _staying(pieces, keeping, bodies)
        for body, supervoxels in sorted(pieces.items()):
            if body == staying:
                whole.setdefault(body, []).append(label)
            else:
                piece = _Piece(label, tuple(supervoxels), next(fresh), body, label in keeping)
                cut.setdefault(body, []).append(piece)
    return whole, cut


def _targets(moves: Moves) -> set[int]:
    return {body for pieces in moves.values() for body in pieces}


def _staying(pieces: Mapping[int, Sequence[int]], keeping: Collection[int], bodies: Collection[int]) -> int:
    """The piece that is not cut off: one that needs no label of its own, or else the largest."""
    return max(pieces, key=lambda body: (body in keeping, body in bodies, len(pieces[body]), -body))


def _target(
    body: int, whole: Sequence[Label], pieces: Sequence[_Piece], keeping: Collection[int], moves: Moves
) -> Label:
    """The piece that the others are merged into."""
    if body in keeping or any(piece.new == body for piece in pieces):
        return body
    if pieces:
        return pieces[0].new
    # One whose label no other body waits for, if there is one.
    targets = _targets(moves)
    numbers = [label for label in whole if isinstance(label, int)]
    return min(numbers, key=lambda label: (label in moves and label in targets, label))


def _cleave_order(piece: _Piece) -> tuple[bool, int]:
    if isinstance(piece.new, Fresh):
        return (True, piece.new.number)
    return (False, piece.new)


def _renumbers(unnamed: dict[int, Label], fresh: Iterator[Fresh]) -> Iterator[Fresh | _Renaming]:
    """Renumber each body from the label that it has, once nothing else has the label that it gets. A `Fresh`
    among them is a label to take."""
    waiting = {label: body for body, label in unnamed.items() if isinstance(label, int)}
    ready = [body for body in unnamed if body not in waiting]
    while unnamed:
        if not ready:
            # A ring: one body steps aside.
            body, label = next(iter(unnamed.items()))
            aside = next(fresh)
            yield aside
            yield _Renaming(body, label, aside)
            unnamed[body] = aside
        else:
            body = ready.pop()
            label = unnamed.pop(body)
            yield _Renaming(body, label, body)
        if isinstance(label, int):
            del waiting[label]
            if label in unnamed:
                ready.append(label)


class _Assembly:
    """From the plan to commands that wait for each other.

    All cleaves are one after the other, as the label counter is; merges come after them, side by side, as
    each is on bodies of its own; then all renumbers, one after the other.
    """

    def __init__(self, version: str, instance: str) -> None:
        self._version = version
        self._instance = instance
        self._planned: list[Planned] = []
        self._avoid: frozenset[int] = frozenset()

    def all(
        self, cleaves: Sequence[_Piece], merges: Sequence[_Union], renumbers: Sequence[Fresh | _Renaming]
    ) -> list[Planned]:
        # Labels that bodies get later: the server must give none of them to another one before.
        named = [piece.new for piece in cleaves]
        named += [each.new for each in renumbers if isinstance(each, _Renaming)]
        self._avoid = frozenset(label for label in named if isinstance(label, int))
        last: tuple[int, ...] = ()
        for piece in cleaves:
            last = self._cleave(piece, last)
        merged = tuple(self._merge(union, last) for union in merges)
        last = merged or last
        for each in renumbers:
            last = self._take(each, last) if isinstance(each, Fresh) else self._renumber(each, last)
        return self._planned

    def _add(self, command: LabelCommand, bodies: tuple[int, ...], waits_for: tuple[int, ...]) -> int:
        self._planned.append(Planned(command, bodies, waits_for))
        return len(self._planned) - 1

    def _cleave(self, piece: _Piece, after: tuple[int, ...]) -> tuple[int, ...]:
        command = CleaveBody(
            version=self._version,
            instance=self._instance,
            orig=piece.orig,
            new=piece.new,
            supervoxels=piece.supervoxels,
            avoid=self._avoid,
        )
        return (self._add(command, (piece.body, piece.orig) if piece.keeps else (piece.body,), after),)

    def _merge(self, union: _Union, after: tuple[int, ...]) -> int:
        """Merge so many labels at a time as one request takes; the last of these steps."""
        for start in range(0, len(union.labels), LABELS_PER_MERGE):
            command = MergeBodies(
                version=self._version,
                instance=self._instance,
                target=union.target,
                labels=union.labels[start : start + LABELS_PER_MERGE],
            )
            after = (self._add(command, (union.body,), after),)
        return after[0]

    def _take(self, label: Fresh, after: tuple[int, ...]) -> tuple[int, ...]:
        command = TakeLabel(version=self._version, instance=self._instance, result=label, avoid=self._avoid)
        return (self._add(command, (), after),)

    def _renumber(self, each: _Renaming, after: tuple[int, ...]) -> tuple[int, ...]:
        command = RenumberBody(version=self._version, instance=self._instance, orig=each.orig, new=each.new)
        return (self._add(command, (each.body,), after),)
