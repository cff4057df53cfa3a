"""Splits of supervoxels that the source has done and the destination has not: a repair does them again, with
the voxels that the source has now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.server.commands import Signature, SplitSupervoxels
from dvidsync_dagster.differences.items import Found, ServerPair
from dvidsync_dagster.dvid.label_lists import splits
from dvidsync_dagster.dvid.labelmap import Labelmap


@dataclass(frozen=True, slots=True)
class MissingSplit:
    """`whole` became `remain` and `split`.

    Args:
        body: that it is in at the destination.
        volume: the supervoxels that `split` has become at the source.
        waits_for: the place of the split that made `whole`, if that is missing too.
    """

    whole: int
    remain: int
    split: int
    body: int
    volume: tuple[int, ...]
    waits_for: tuple[int, ...]

    def step(self, version: str, instance: str, signature: Signature) -> Step:
        command = SplitSupervoxels(
            version=version,
            instance=instance,
            signature=signature,
            body=self.body,
            parts=((self.whole, self.split, self.remain),),
            volume=self.volume,
        )
        return Step(command, waits_for=self.waits_for)

    def __str__(self) -> str:
        return f"{self.whole} into {self.split} and {self.remain}"


def missing_splits(found: Found, pair: ServerPair) -> list[MissingSplit]:
    """The splits that lead to supervoxels which only the source has, in their order.

    Args:
        found: the supervoxels that differ.
    """
    wanted = found.keys[found.at_source & ~found.at_destination].tolist()
    if not wanted:
        return []
    version = pair.source.version
    listed = sorted(splits(pair.source.client, version, pair.source.name))
    made_by = {half: split for split in listed for half in split[2:]}
    split_by = {split[1]: split for split in listed}
    lines = {half: list(_line(half, made_by)) for half in wanted}
    asked = sorted({each for line in lines.values() for split in line for each in split[1:]})
    homes = Labelmap(pair.destination.client, pair.destination.name).mapping(version, asked)
    home = dict(zip(asked, homes, strict=True))
    chosen = {split for line in lines.values() for split in _from_there(line, home.__getitem__)}
    return _ordered(sorted(chosen), home.__getitem__, split_by)


Split = tuple[int, int, int, int]


def _line(half: int, made_by: dict[int, Split]) -> Iterator[Split]:
    """The splits that led to a supervoxel, the last one first."""
    seen: set[int] = set()
    while half in made_by and half not in seen:
        seen.add(half)
        yield made_by[half]
        half = made_by[half][1]


def _from_there(line: Sequence[Split], home: Callable[[int], int]) -> Sequence[Split]:
    """Those of the splits that the destination lacks: all after the last supervoxel that it has. None if it
    has no supervoxel of the line, or if one of the new ids is in use there already."""
    for count, (_, whole, *halves) in enumerate(line, 1):
        if any(map(home, halves)):
            return ()
        if home(whole):
            return line[:count]
    return ()


def _ordered(
    chosen: Sequence[Split], home: Callable[[int], int], split_by: dict[int, Split]
) -> list[MissingSplit]:
    places: dict[int, int] = {}
    bodies: dict[int, int] = {}
    ordered: list[MissingSplit] = []
    for place, (_, whole, remain, split) in enumerate(chosen):
        waits_for = (places[whole],) if whole in places else ()
        body = bodies.get(whole) or home(whole)
        volume = tuple(leaves(split, split_by))
        ordered.append(MissingSplit(whole, remain, split, body, volume, waits_for))
        places |= {remain: place, split: place}
        bodies |= {remain: body, split: body}
    return ordered


def leaves(supervoxel: int, split_by: dict[int, Split]) -> Iterator[int]:
    """What a supervoxel has become."""
    waiting, seen = [supervoxel], {0}
    while waiting:
        each = waiting.pop()
        if each not in split_by:
            yield each
        elif each not in seen:
            seen.add(each)
            waiting += split_by[each][2:]
