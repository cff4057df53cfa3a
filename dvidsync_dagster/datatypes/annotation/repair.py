"""Annotation instances: elements posted and deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.annotation.commands import CopyElements, ElementPlace
from dvidsync_dagster.datatypes.annotation.comparison import ELEMENTS, Position
from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.contract import DataRepair
from dvidsync_dagster.datatypes.repairing import SINCE_NOW, carry_out_or_leave, refused_among
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.items import Found, ServerPair, find
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.differences.work import ChangeKind, Work

POINTS_PER_COMMAND = 5_000

DELETE_ELEMENT = ChangeKind("delete element")
POST_ELEMENT = ChangeKind("post element")


class AnnotationRepair(DataRepair):
    """Deletes the elements that the source does not have, and posts those that are missing or differ.

    Where either has several at one point, all are posted anew: a post replaces one of them.
    """

    def version(self, pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
        found, _ = find(ELEMENTS, pair)
        if found is None:
            return
        version, name = pair.source.version, pair.source.name
        differing: list[Position] = found.keys.tolist()
        here, there = _counts(pair.source, set(differing)), _counts(pair.destination, set(differing))
        deleted = sorted(position for position in there if here[position] != 1 or there[position] != 1)
        written: list[Position] = found.keys[found.at_source].tolist()
        deletes = work.plan(version, name, DELETE_ELEMENT, deleted)
        posts = work.plan(version, name, POST_ELEMENT, written)
        if deletes or posts:
            starts = range(0, len(differing), POINTS_PER_COMMAND)
            batches = [tuple(differing[start : start + POINTS_PER_COMMAND]) for start in starts]
            kind = POST_ELEMENT if posts else DELETE_ELEMENT
            carry_out_or_leave(_steps(version, name, batches), batches, kind, work, carry_out)

    def own(self, found: Found, pair: ServerPair, work: Work, try_out: CarryOut) -> npt.NDArray[np.bool_]:
        points: list[Position] = found.keys.tolist()
        starts = range(0, len(points), POINTS_PER_COMMAND)
        batches = [points[start : start + POINTS_PER_COMMAND] for start in starts]
        version, name = pair.source.version, pair.source.name
        steps = [
            Step(
                CopyElements(
                    version=version,
                    instance=name,
                    places=tuple(ElementPlace(points=(point,), since=SINCE_NOW) for point in some),
                )
            )
            for some in batches
        ]
        return refused_among(found, steps, batches, try_out)


def _steps(version: str, instance: str, batches: Sequence[tuple[Position, ...]]) -> list[Step]:
    """One after the other: elements are tied to each other by their relations."""
    return [
        Step(
            CopyElements(version=version, instance=instance, places=(ElementPlace(points=points),)),
            waits_for=(number - 1,) if number else (),
        )
        for number, points in enumerate(batches)
    ]


def _counts(side: DvidSide, positions: Collection[Position]) -> Counter[Position]:
    """How many elements there are at each position."""
    return Counter(position for position, _ in side.records(ELEMENTS) if position in positions)
