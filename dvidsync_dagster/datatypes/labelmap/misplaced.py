"""Supervoxels that are in another body by the mapping than by the indices, or in none by these.

A version takes over its parent's mapping and indices as far as it has none of its own, and each by itself:
so when a parent is repaired a child can get a body whose supervoxels its own mapping has elsewhere, or lose
one that its mapping still has. A server that was killed can leave the same. See docs/dvid.md, "What a version
takes over of bodies".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.changed_indices import supervoxels_of
from dvidsync_dagster.datatypes.labelmap.server.commands import DropFromIndex, Signature, TakeIntoIndex
from dvidsync_dagster.dvid.label_lists import mapping_pairs
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import read_repo_info

_AT_ONCE = 1000
"""Indices that are in memory together."""


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A supervoxel that the indices do not have where it belongs.

    Args:
        index: the body whose index lists it.
        listed_in: the version of that index: this one, or an ancestor if none lists it here.
        body: that it is in by the mapping.
        is_missing: the index of that body does not list it.
    """

    supervoxel: int
    index: int
    listed_in: str
    body: int
    is_missing: bool

    def __str__(self) -> str:
        if self.index == self.body:
            return f"supervoxel {self.supervoxel} in {self.body}, as in {self.listed_in}"
        return f"supervoxel {self.supervoxel} from {self.index} to {self.body}"


def misplaced_in(labels: Collection[int], labelmap: Labelmap, version: str) -> list[Misplaced]:
    """Those that the indices of some bodies list, and those that belong to these bodies and are in no index.
    What is missing in the index of another body is left out.

    Cost: the index of each body is read, and the body of each of its supervoxels asked for; all mapping.
    """
    if not labels:
        return []
    found: dict[tuple[int, int], int] = {}
    listed: set[int] = set()
    for index, supervoxels in listed_by_indices(sorted(labels), labelmap, version):
        parts = sorted(supervoxels)
        homes = labelmap.mapping(version, parts)
        found |= {
            (each, index): body for each, body in zip(parts, homes, strict=True) if body not in (0, index)
        }
        listed |= supervoxels
    by_home = dict(listed_by_indices(sorted(set(found.values())), labelmap, version))
    every = [
        Misplaced(supervoxel, index, version, body, supervoxel not in by_home.get(body, ()))
        for (supervoxel, index), body in found.items()
    ]
    known = set(labels)
    kept = [each for each in every if not each.is_missing or each.body in known]
    return kept + list(_lost(_mapped_to(known, labelmap, version), listed, labelmap, version))


def _mapped_to(labels: Collection[int], labelmap: Labelmap, version: str) -> dict[int, int]:
    """The supervoxels that the mapping has in some bodies, but for those of the same name."""
    wanted = np.array(sorted(labels), np.uint64)
    found: dict[int, int] = {}
    for pairs in mapping_pairs(labelmap.client, version, labelmap.name):
        found.update(pairs[np.isin(pairs[:, 1], wanted)].tolist())
    return found


def _lost(
    mapped: Mapping[int, int], listed: Collection[int], labelmap: Labelmap, version: str
) -> Iterator[Misplaced]:
    """Those that no index lists: the nearest ancestor that does tells their voxels."""
    lost = {supervoxel: body for supervoxel, body in mapped.items() if supervoxel not in listed}
    if not lost:
        return
    versions = read_repo_info(labelmap.client, version).versions
    parents = versions[version].parents
    while lost and parents:
        (ancestor, *_) = parents
        parts = sorted(lost)
        homes = dict(zip(parts, labelmap.mapping(ancestor, parts), strict=True))
        there = dict(listed_by_indices(sorted(set(homes.values()) - {0}), labelmap, ancestor))
        for supervoxel in parts:
            if supervoxel in there.get(homes[supervoxel], ()):
                yield Misplaced(
                    supervoxel, homes[supervoxel], ancestor, lost.pop(supervoxel), is_missing=True
                )
        parents = versions[ancestor].parents


def listed_by_indices(
    labels: Sequence[int], labelmap: Labelmap, version: str
) -> Iterator[tuple[int, set[int]]]:
    """Bodies with the supervoxels that their indices list."""
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
    taken: dict[int, dict[int, tuple[int, int, str]]] = defaultdict(dict)
    dropped: dict[int, list[int]] = defaultdict(list)
    for each in misplaced:
        if each.listed_in == version:
            dropped[each.index].append(each.supervoxel)
        if each.is_missing:
            part = (each.supervoxel, each.index, each.listed_in)
            taken[each.body].setdefault(each.supervoxel, part)
    take = [
        TakeIntoIndex(
            version=version,
            instance=instance,
            signature=signatures[(body,)],
            body=body,
            parts=tuple(parts.values()),
        )
        for body, parts in taken.items()
    ]
    drop = [
        DropFromIndex(
            version=version,
            instance=instance,
            signature=signatures[(body,)],
            body=body,
            supervoxels=tuple(supervoxels),
        )
        for body, supervoxels in dropped.items()
    ]
    first = tuple(range(len(take)))
    return [
        *((each.body, Step(each)) for each in take),
        *((each.body, Step(each, waits_for=first)) for each in drop),
    ]
