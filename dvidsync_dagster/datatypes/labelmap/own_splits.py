"""Splits of supervoxels that only the destination has done: a repair joins the parts again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.labelmap.missing_splits import leaves
from dvidsync_dagster.datatypes.labelmap.server.commands import JoinSupervoxels, Signature
from dvidsync_dagster.differences.items import Found, ServerPair
from dvidsync_dagster.dvid.label_lists import splits
from dvidsync_dagster.dvid.labelmap import Labelmap


@dataclass(frozen=True, slots=True)
class OwnSplit:
    """`whole` became `parts` at the destination.

    Args:
        bodies: that the parts are in there. The first becomes that of the whole.
        at_source: what the whole is at the source: itself, or what it was split into there.
    """

    whole: int
    parts: tuple[int, ...]
    bodies: tuple[int, ...]
    at_source: tuple[int, ...]

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
        return f"{', '.join(map(str, self.parts))} to {self.whole}"


def own_splits(found: Found, pair: ServerPair) -> list[OwnSplit]:
    """Those that lead to supervoxels which differ.

    Args:
        found: the supervoxels that differ.
    """
    version = pair.source.version
    there = {split[1]: split for split in splits(pair.destination.client, version, pair.destination.name)}
    if not there:
        return []
    here = {split[1]: split for split in splits(pair.source.client, version, pair.source.name)}
    own = [whole for whole, split in there.items() if _halves(here.get(whole)) != _halves(split)]
    # What an own split has made goes with the first of them.
    made = {half for whole in own for half in _halves(there[whole])}
    wholes = sorted(set(own) - made)
    parts = {whole: tuple(leaves(whole, there)) for whole in wholes}
    differing = set(found.keys.tolist())
    wholes = [whole for whole in wholes if not differing.isdisjoint((whole, *parts[whole]))]
    destination = Labelmap(pair.destination.client, pair.destination.name)
    asked = sorted({each for whole in wholes for each in (whole, *parts[whole])})
    home = dict(zip(asked, destination.mapping(version, asked), strict=True)) if asked else {}
    made_again = (
        OwnSplit(
            whole,
            tuple(each for each in parts[whole] if home[each]),
            tuple(sorted({home[each] for each in parts[whole]} - {0})),
            tuple(leaves(whole, here)),
        )
        for whole in wholes
        if not home[whole]
    )
    return [each for each in made_again if each.parts]


def _halves(split: Sequence[int] | None) -> Sequence[int]:
    """Without the mutation id, which each server counts by itself."""
    return () if split is None else split[2:]
