"""Splits of supervoxels that only the destination has done: a repair joins the parts again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.misplaced import listed_by_indices
from dvidsync_dagster.datatypes.labelmap.missing_splits import Split, leaves
from dvidsync_dagster.datatypes.labelmap.server.commands import JoinSupervoxels, Signature
from dvidsync_dagster.differences.items import Found, ServerPair
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.label_lists import splits
from dvidsync_dagster.dvid.labelmap import Labelmap


@dataclass(frozen=True, slots=True)
class OwnSplit:
    """`whole` became `parts` at the destination.

    Args:
        parts: those that a body there has.
        bodies: that they are in. The first becomes that of the whole.
        at_source: what the whole is at the source: itself, or what it was split into there.
        homes_at_source: the bodies that these are in.
    """

    whole: int
    parts: tuple[int, ...]
    bodies: tuple[int, ...]
    at_source: tuple[int, ...]
    homes_at_source: tuple[int, ...]

    def step(
        self, version: str, instance: str, signatures: Mapping[tuple[int, ...], Signature], place: int
    ) -> Step:
        """One after the other: they can share a body or a block."""
        first, *others = self.bodies
        command = JoinSupervoxels(
            version=version,
            instance=instance,
            signature=signatures[(first,)],
            body=first,
            whole=self.whole,
            parts=self.parts,
            others=tuple((body, signatures[(body,)]) for body in others),
        )
        return Step(command, waits_for=(place - 1,) if place else ())

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.parts))} joined to {self.whole}"


def own_splits(found: Found | None, pair: ServerPair) -> list[OwnSplit]:
    """The splits that a repair of this version takes back.

    Those by which supervoxels differ. And those whose parts a body's index still lists though the mapping has
    the whole again: if they were joined in the parent version, this one takes over the parent's mapping, but
    can have an index of its own.

    Args:
        found: the supervoxels that differ.
    """
    there = _splits(pair.destination)
    if not there:
        return []
    here = _splits(pair.source)
    # A supervoxel that was joined can be split again: the last time counts.
    there_by, here_by = ({split[1]: split for split in listed} for listed in (there, here))
    own = [whole for whole, split in there_by.items() if _halves(here_by.get(whole)) != _halves(split)]
    # What an own split has made goes with the first of them.
    made = {half for whole in own for half in _halves(there_by[whole])}
    wholes = sorted(set(own) - made)
    parts = {whole: tuple(leaves(whole, there_by)) for whole in wholes}
    home = _homes(pair.destination, {each for whole in wholes for each in (whole, *parts[whole])})
    differing = set(found.keys.tolist()) if found is not None else set()
    stale = _in_index_alone(parts, home, pair.destination)
    wholes = [each for each in wholes if each in stale or not differing.isdisjoint((each, *parts[each]))]
    at_source = {whole: tuple(leaves(whole, here_by)) for whole in wholes}
    home_here = _homes(pair.source, {each for whole in wholes for each in (*at_source[whole], *parts[whole])})
    made_here = {half for split in here for half in _halves(split)}
    joined = []
    for whole in wholes:
        its_homes = tuple(home_here[each] for each in at_source[whole] if home_here[each])
        # The source's list of splits can be incomplete. A part that the source has is never joined, unless a
        # split that it lists has made that part.
        at_both = [part for part in parts[whole] if home_here[part] and part not in made_here]
        there_now = stale.get(whole) or tuple(part for part in parts[whole] if home[part])
        if there_now and its_homes and not at_both:
            bodies = {home[each] for each in (whole, *there_now)} - {0}
            ordered = _preferred([home[whole], *its_homes], bodies)
            joined.append(OwnSplit(whole, there_now, tuple(ordered), at_source[whole], its_homes))
    return joined


def _in_index_alone(
    parts: Mapping[int, Sequence[int]], home: Mapping[int, int], side: DvidSide
) -> dict[int, tuple[int, ...]]:
    """By whole supervoxel, those of its parts that the index of its body lists, though the mapping has the
    whole there and none of the parts."""
    mapped = {
        whole: home[whole] for whole, its in parts.items() if home[whole] and not any(map(home.get, its))
    }
    labelmap, bodies = Labelmap(side.client, side.name), sorted(set(mapped.values()))
    listed = dict(listed_by_indices(bodies, labelmap, side.version)) if bodies else {}
    found = {whole: tuple(part for part in parts[whole] if part in listed[mapped[whole]]) for whole in mapped}
    return {whole: its for whole, its in found.items() if its}


def _preferred(first: Sequence[int], bodies: set[int]) -> list[int]:
    return [*dict.fromkeys(body for body in first if body in bodies), *sorted(bodies - set(first))]


def _splits(side: DvidSide) -> list[Split]:
    """In the order in which they were done."""
    return sorted(splits(side.client, side.version, side.name))


def _homes(side: DvidSide, supervoxels: set[int]) -> dict[int, int]:
    asked = sorted(supervoxels)
    homes = Labelmap(side.client, side.name).mapping(side.version, asked) if asked else []
    return dict(zip(asked, homes, strict=True))


def _halves(split: Sequence[int] | None) -> Sequence[int]:
    """Without the mutation id, which each server counts by itself."""
    return () if split is None else split[2:]
