"""Supervoxels that a body's index lists, and that are in another body by the mapping.

A version takes over its parent's mapping and indices as far as it has none of its own, and each by itself:
so when a parent is repaired a child can get a body whose supervoxels its own mapping has elsewhere. A server
that was killed can leave the same. See docs/dvid.md, "What a version takes over of bodies".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.changed_indices import supervoxels_of
from dvidsync_dagster.datatypes.labelmap.server.commands import DropFromIndex, Signature, TakeIntoIndex
from dvidsync_dagster.dvid.labelmap import Labelmap

_AT_ONCE = 1000
"""Indices that are in memory together."""


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A supervoxel in an index that it does not belong to.

    Args:
        index: the body whose index lists it.
        body: that it is in by the mapping.
        is_missing: the index of that body does not list it.
    """

    supervoxel: int
    index: int
    body: int
    is_missing: bool

    def __str__(self) -> str:
        return f"supervoxel {self.supervoxel} from {self.index} to {self.body}"


def misplaced_in(labels: Collection[int], labelmap: Labelmap, version: str) -> list[Misplaced]:
    """Those that the indices of some bodies list. What is missing in the index of a body that is not among
    these is left out.

    Cost: the index of each body is read, and the body of each of its supervoxels asked for.
    """
    found: dict[tuple[int, int], int] = {}
    for index, supervoxels in _listed(sorted(labels), labelmap, version):
        parts = sorted(supervoxels)
        homes = labelmap.mapping(version, parts)
        found |= {
            (each, index): body for each, body in zip(parts, homes, strict=True) if body not in (0, index)
        }
    listed = dict(_listed(sorted(set(found.values())), labelmap, version))
    every = [
        Misplaced(supervoxel, index, body, supervoxel not in listed.get(body, ()))
        for (supervoxel, index), body in found.items()
    ]
    known = set(labels)
    return [each for each in every if not each.is_missing or each.body in known]


def _listed(labels: Sequence[int], labelmap: Labelmap, version: str) -> Iterator[tuple[int, set[int]]]:
    for start in range(0, len(labels), _AT_ONCE):
        for label, index in labelmap.indices(version, labels[start : start + _AT_ONCE]):
            yield label, supervoxels_of(index)


def steps(
    misplaced: Sequence[Misplaced],
    version: str,
    instance: str,
    signatures: Mapping[tuple[int, ...], Signature],
) -> list[tuple[int, Step]]:
    """With the body whose index each changes. A supervoxel goes into the index of its body first, then out of
    others: where that ends in between it is in both.

    Args:
        signatures: by body.
    """
    taken: dict[int, dict[int, int]] = defaultdict(dict)
    dropped: dict[int, list[int]] = defaultdict(list)
    for each in misplaced:
        dropped[each.index].append(each.supervoxel)
        if each.is_missing:
            taken[each.body].setdefault(each.supervoxel, each.index)
    made = [
        (
            body,
            Step(
                TakeIntoIndex(
                    version=version,
                    instance=instance,
                    signature=signatures[(body,)],
                    body=body,
                    parts=tuple(parts.items()),
                )
            ),
        )
        for body, parts in taken.items()
    ]
    first = tuple(range(len(made)))
    return made + [
        (
            body,
            Step(
                DropFromIndex(
                    version=version,
                    instance=instance,
                    signature=signatures[(body,)],
                    body=body,
                    supervoxels=tuple(parts),
                ),
                waits_for=first,
            ),
        )
        for body, parts in dropped.items()
    ]
