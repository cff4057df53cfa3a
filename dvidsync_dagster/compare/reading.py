"""Reading both servers: everything, or once more what differed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from dvidsync_dagster.compare.instances import Twins
from dvidsync_dagster.compare.labelmap import compare_counter, compare_max_label
from dvidsync_dagster.compare.scene import Scene
from dvidsync_dagster.compare.versions import compare_versions
from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.differences.items import Found, Pair

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Suspect:
    """Items of one kind that differ, in one version of one instance."""

    pair: Pair
    found: Found

    def rows(self) -> list[Difference]:
        return list(self.found.rows(self.pair.source.version, self.pair.source.name))


@dataclass
class Differing:
    """What differs: items, and rows of all else (versions, instances, counters)."""

    rows: list[Difference] = field(default_factory=list)
    items: list[Suspect] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.items)

    def table(self) -> tuple[Difference, ...]:
        return (*self.rows, *(row for suspect in self.items for row in suspect.rows()))


@dataclass
class Reading:
    """What both servers hold. The counts are those of `Comparison`."""

    differing: Differing = field(default_factory=Differing)
    read: int = 0
    compared: int = 0
    remembered: int = 0
    agreed: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def read_everything(scene: Scene, agreed: Collection[str], say: Say) -> Reading:
    """Read all that is selected, but what was committed and agreed before. Raises ServerError."""
    reading = Reading(notes=list(scene.instances.notes))
    # What is not looked at now stays known.
    looked_at: set[str] = set()
    for version in scene.shared_versions():
        before, kinds = reading.read, 0
        for twins in scene.instances.twins:
            pair, name = scene.pair(version, twins), _name(version, twins)
            looked_at.add(name)
            if pair.settled and name in agreed and not scene.lower_scales:
                reading.agreed.add(name)
                reading.remembered += 1
                continue
            found, count = scene.compared(version, twins)
            rows: list[Difference] = []
            if twins.source.typename == "labelmap":
                rows, ahead = compare_max_label(pair)
                reading.notes += ahead
            reading.differing.items += [Suspect(pair, each) for each in found]
            reading.differing.rows += rows
            reading.read += count
            reading.compared += 1
            kinds += len(found) + len(rows)
            if pair.settled and not found and not rows:
                reading.agreed.add(name)
        differ = f", {kinds} kinds of them differ" if kinds else ""
        say(f"{version}: {reading.read - before:,} items{differ}")
    if scene.chosen:
        reading.agreed |= set(agreed) - looked_at
    reading.differing.rows += _rows(scene)
    return reading


def read_again(scene: Scene, before: Differing) -> Differing:
    """What of this still differs. Raises ServerError."""
    known = {_identity(row) for row in before.rows}
    rows = [row for row in _rows(scene) if _identity(row) in known] if known else []
    twins = {each.source.name: each for each in scene.instances.twins}
    for row in before.rows:
        # Of an instance in a version: its highest label.
        if row.version in scene.copy_repo.versions and row.instance in twins:
            rows += compare_max_label(scene.pair(row.version, twins[row.instance]))[0]
    wanted: dict[tuple[str, str], dict[str, set[object]]] = {}
    for suspect in before.items:
        place = suspect.pair.source.name, suspect.pair.source.version
        keys = wanted.setdefault(place, {}).setdefault(suspect.found.kind.noun, set())
        keys.update(suspect.found.keys.tolist())
    items = []
    for (name, version), kinds in wanted.items():
        if name not in twins or version not in scene.copy_repo.versions:
            continue
        pair = scene.pair(version, twins[name])
        for found in scene.compared(version, twins[name])[0]:
            keys = kinds.get(found.kind.noun, set())
            mask = np.fromiter((key in keys for key in found.keys.tolist()), bool, len(found))
            if mask.any():
                items.append(Suspect(pair, found.only(mask)))
    return Differing(rows, items)


def _rows(scene: Scene) -> Iterator[Difference]:
    """Versions, and of the whole repo instances and counters (which are read after all labels)."""
    yield from compare_versions(scene.source_repo, scene.copy_repo, scene.versions, others=not scene.chosen)
    if scene.chosen:
        return
    yield from scene.instances.differences
    versions = scene.shared_versions()
    for twins in scene.instances.twins:
        if twins.source.typename == "labelmap" and versions:
            yield from compare_counter(scene.pair(versions[0], twins))


def _identity(row: Difference) -> tuple[str, str, str]:
    """A counter can be behind now and ahead later."""
    return row.version, row.instance, "label counter" if row.what.startswith("label counter") else row.what


def _name(version: str, twins: Twins) -> str:
    """A short id of a version of an instance and its copy."""
    text = f"{version}/{twins.source.data_uuid}/{twins.copy.data_uuid}"
    return blake2b(text.encode(), digest_size=8).hexdigest()
