"""Reading both sides: everything, or once more what differed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np

from dvidsync_dagster.compare.both_sides import BothSides, comparison_of
from dvidsync_dagster.compare.instances import InstancePair
from dvidsync_dagster.compare.versions import compare_versions
from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.differences.findings import Difference, DifferenceKind
from dvidsync_dagster.differences.items import Found, Pair
from dvidsync_dagster.differences.own import NOTHING_OWN, Own
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.outgoing_text import counted

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Suspect:
    """Items of one kind that differ, in one version of one instance."""

    pair: Pair
    comparison: DataComparison
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
    """What both sides hold. The counts, and `own`, are those of `Comparison`."""

    differing: Differing = field(default_factory=Differing)
    read: int = 0
    compared: int = 0
    remembered: int = 0
    agreed: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    own: Own = NOTHING_OWN


def read_everything(sides: BothSides, agreed: Collection[str], say: Say) -> Reading:
    """Read all that is selected, but what was committed and agreed before. Raises ServerError."""
    reading = Reading(notes=list(sides.instances.notes), own=sides.own)
    # What is not looked at now stays known.
    looked_at: set[str] = set()
    for version in sides.shared_versions():
        before, kinds = reading.read, 0
        for instance in sides.instances.pairs:
            if not sides.destination.holds(version, instance.destination.name):
                reading.notes.append(f"{instance.source.name}: the destination does not hold it in {version}")
                continue
            name = _id(version, instance)
            looked_at.add(name)
            settled = sides.pair(version, instance).settled
            if settled and name in agreed and not sides.lower_scales:
                reading.agreed.add(name)
                reading.remembered += 1
                continue
            differing = _read_one(sides, version, instance, reading)
            kinds += differing
            if settled and not differing:
                reading.agreed.add(name)
        differ = f", {kinds} kinds of them differ" if kinds else ""
        say(f"{version}: {counted(reading.read - before, 'item')}{differ}")
    if sides.chosen:
        reading.agreed |= set(agreed) - looked_at
    reading.differing.rows += list(_rows(sides))
    _tell_own_apart(sides, reading)
    return reading


def _tell_own_apart(sides: BothSides, reading: Reading) -> None:
    """Ids that only the destination has are no difference where people practise, who take them. Highest
    labels that are ahead never are one: no server lowers them."""
    differ: list[Difference] = []
    ahead: list[Difference] = []
    for row in reading.differing.rows:
        (ahead if is_no_difference(row, sides.own) else differ).append(row)
    highest = [row for row in ahead if row.kind is DifferenceKind.HIGHEST_ID]
    if not sides.own.practises:
        reading.notes += [f"{row.instance} in {row.version}: {row.examples[0]}" for row in highest]
        highest = []
    ids = {row.instance: row.count for row in ahead if row.kind is DifferenceKind.COUNTER}
    reading.own = replace(sides.own, ids=ids, highest=len(highest))
    reading.differing.rows = differ


def is_no_difference(row: Difference, own: Own) -> bool:
    """Whether a row only says that the destination is ahead, where that does no harm."""
    return row.ahead and (row.kind is DifferenceKind.HIGHEST_ID or own.practises)


def _read_one(sides: BothSides, version: str, instance: InstancePair, reading: Reading) -> int:
    """Read an instance in a version; how many kinds differ there."""
    pair, comparison = sides.pair(version, instance), comparison_of(instance)
    try:
        found, count = comparison.items(pair, lower_scales=sides.lower_scales)
        rows = comparison.in_version(pair)
    except RequestRefused as refusal:
        # As with a keyvalue that holds an empty key: docs/dvid.md, "Empty keys". The others are compared.
        found, count, rows = [], 0, [_unreadable(version, instance.source.name, refusal)]
    reading.differing.items += [Suspect(pair, comparison, each) for each in found]
    reading.differing.rows += rows
    reading.read += count
    reading.compared += 1
    return len(found) + sum(not is_no_difference(row, sides.own) for row in rows)


def _unreadable(version: str, instance: str, refusal: RequestRefused) -> Difference:
    why = f"{refusal}. Where it stays so, name {instance} in the destination's `own`"
    return Difference(version, instance, "could not be compared", 1, (why,), DifferenceKind.UNREADABLE)


def read_again(sides: BothSides, before: Differing) -> Differing:
    """What of this still differs. Raises ServerError."""
    known = {_identity(row) for row in before.rows}
    rows = list(_rows(sides)) if known else []
    instances = {each.source.name: each for each in sides.instances.pairs}
    places = dict.fromkeys(
        (row.version, row.instance)
        for row in before.rows
        if row.instance in instances and row.version in sides.destination_repo.versions
    )
    for version, name in places:
        pair = sides.pair(version, instances[name])
        rows += comparison_of(instances[name]).in_version(pair)
    rows = [row for row in rows if _identity(row) in known and not is_no_difference(row, sides.own)]
    return Differing(rows, _items_again(sides, instances, before))


def _items_again(sides: BothSides, instances: dict[str, InstancePair], before: Differing) -> list[Suspect]:
    wanted: dict[tuple[str, str], dict[str, set[object]]] = {}
    for suspect in before.items:
        place = suspect.pair.source.name, suspect.pair.source.version
        keys = wanted.setdefault(place, {}).setdefault(suspect.found.kind.name, set())
        keys.update(suspect.found.keys.tolist())
    items = []
    for (name, version), kinds in wanted.items():
        if name not in instances or version not in sides.destination_repo.versions:
            continue
        pair, comparison = sides.pair(version, instances[name]), comparison_of(instances[name])
        for found in comparison.items(pair, lower_scales=sides.lower_scales)[0]:
            keys = kinds.get(found.kind.name, set())
            mask = np.fromiter((key in keys for key in found.keys.tolist()), bool, len(found))
            if mask.any():
                items.append(Suspect(pair, comparison, found.only(mask)))
    return items


def _rows(sides: BothSides) -> Iterator[Difference]:
    """Versions, and of the whole repo instances and counters (which are read after all items)."""
    yield from compare_versions(
        sides.source_repo,
        sides.destination_repo,
        sides.versions,
        own=sides.own.versions,
        others=not sides.chosen,
    )
    if sides.chosen:
        return
    yield from sides.instances.differences
    versions = sides.shared_versions()
    for instance in sides.instances.pairs if versions else ():
        yield from comparison_of(instance).of_instance(sides.pair(versions[0], instance))


def _identity(row: Difference) -> tuple[str, str, DifferenceKind]:
    """A counter can be behind now and ahead later."""
    return row.version, row.instance, row.kind


def _id(version: str, instance: InstancePair) -> str:
    """A short id of a version of an instance on both sides."""
    text = f"{version}/{instance.source.data_uuid}/{instance.destination.data_uuid}"
    return blake2b(text.encode(), digest_size=8).hexdigest()
