"""What is kept of values, as files. See `digests`."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvidsync_dagster.log.columns import few_texts, few_texts_of, numbers, numbers_of
from dvidsync_dagster.log.digests import NOTHING, Met, Now, Place
from dvidsync_dagster.log.folder import Folder

MAX_FILES = 64
"""When there are more, they become one."""

_SUFFIX = ".digests"
"""They are Parquet."""

_SCHEMA = pa.schema(
    {
        "version": pa.dictionary(pa.int32(), pa.string()),
        "instance": pa.dictionary(pa.int32(), pa.string()),
        "item": pa.uint64(),
        "now": pa.uint64(),
        "before": pa.uint64(),
        "until": pa.uint64(),
    }
)

_LATER = ("until",)
"""Files of older releases lack it."""

_ALL_ITEMS = 0
_Numbers = npt.NDArray[np.uint64]


class _Sorted:
    """Digests by item, in few bytes."""

    def __init__(self) -> None:
        self.items: _Numbers = np.empty(0, np.uint64)
        self.now: _Numbers = np.empty(0, np.uint64)

    def get(self, item: int) -> Now | None:
        at = int(np.searchsorted(self.items, np.uint64(item)))
        return (int(self.now[at]),) if at < len(self.items) and int(self.items[at]) == item else None

    def take_in(self, items: _Numbers, now: _Numbers) -> None:
        """The last word is theirs."""
        self.items, first = np.unique(np.concatenate([items, self.items]), return_index=True)
        self.now = np.concatenate([now, self.now])[first]


class Digests:
    """What is kept of one destination. It is asked by several threads.

    Every method raises `LogError` if the folder cannot be read or written.

    Args:
        name: what a checkpoint calls it.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self.name = name
        self._folder = folder
        self._known: dict[Place, _Sorted] = {}
        """What chunks that have ended have brought, and what the destination had when it was met."""
        self._since: dict[Place, dict[int, Now]] = {}
        """What this chunk has changed so far."""
        self._whole: set[Place] = set()
        """Of these all items are known: one that is not known is not there."""
        self._met: dict[Place, dict[int, int]] = {}
        """What the source had when the destination was met, where the two differed."""
        self._until = 0
        """The source's changes up to then (ns since 1970) are in `_met`."""
        self._unkept: list[str] = []
        """Files of this chunk's batches, which the chunk's own file replaces."""
        self._dropped = False
        self._number = 0
        self._lock = threading.Lock()

    def get(self, version: str, instance: str, item: int, since: int = 0) -> Now | None:
        """What the item has if it is as the source had it; None if that is not known.

        Args:
            since: when the source changed it first since it was last looked at (ns since 1970).
        """
        place = (version, instance)
        with self._lock:
            now = self._since.get(place, {}).get(item)
            if now is None and since > self._until:
                met = self._met.get(place, {}).get(item)
                now = None if met is None else (met,)
            if now is None and place in self._known:
                now = self._known[place].get(item)
            if now is None and self._is_whole(place):
                return (NOTHING,)
            return now

    def tells(self, version: str, instance: str, item: int) -> bool:
        """Whether it is known what the source had of an item. If not, nothing is known, or only what the
        destination had when it was met."""
        place = (version, instance)
        with self._lock:
            if item in self._since.get(place, {}):
                return True
            is_as_met = item in self._met.get(place, {})
            known = self._known.get(place)
            is_known = known is not None and known.get(item) is not None
            return not is_as_met and (is_known or self._is_whole(place))

    def _is_whole(self, place: Place) -> bool:
        """Whether what is not known of an item is that it is not there."""
        version, instance = place
        return place in self._whole or (("", instance) in self._whole and not self.was_made(version))

    def was_made(self, version: str) -> bool:
        """Whether a version was made since anything is kept."""
        return (version, "") in self._whole

    def make(self, place: Place) -> None:
        """A version or an instance is about to be made."""
        with self._lock:
            self._whole.add(place)
            self._unkept.append(self._write(_whole([place])))

    def begin(self, version: str, instance: str, changes: Mapping[int, tuple[int, int]]) -> None:
        """Items are about to be written: by item, what it has and what it will have."""
        with self._lock:
            self._since.setdefault((version, instance), {}).update(changes)
            self._unkept.append(self._write([_changed((version, instance), changes)]))

    def done(self, version: str, instance: str, now: Mapping[int, int]) -> None:
        """By item what the source has, which is to be at the destination."""
        with self._lock:
            since = self._since.setdefault((version, instance), {})
            since.update((item, (digest,)) for item, digest in now.items())

    def drop(self, versions: Collection[str]) -> None:
        """Forget versions in which nothing changes anymore."""
        with self._lock:
            places = {*self._known, *self._since, *self._whole, *self._met}
            gone = [place for place in places if place[0] in versions]
            for place in gone:
                for known in (self._known, self._since, self._met):
                    known.pop(place, None)
            self._whole.difference_update(gone)
            self._dropped |= bool(gone)

    def keep(self) -> None:
        """A chunk ends."""
        with self._lock:
            names = self._names()
            whole = _whole(self._whole)
            if self._dropped or len(names) > MAX_FILES:
                self._fold()
                self._write([*whole, *self._all_since(), *self._all_known()])
                outdated = names
            elif self._since or self._unkept:
                self._write([*whole, *self._all_since()])
                self._fold()
                outdated = self._unkept
            else:
                return
            for name in outdated:
                self._folder.remove(name)
            self._unkept, self._dropped = [], False

    @property
    def is_new(self) -> bool:
        """Nothing is kept yet."""
        return not self._number

    def read(self) -> None:
        """Take in what is kept."""
        for name in self._names():
            self._take_in(self._folder.read_table(name, _SCHEMA, later=_LATER))
            self._number = _number_of(name)

    def begin_anew(self, found: Iterable[Met], until: Callable[[], int]) -> None:
        """Keep all that a destination has at first; what was kept before goes.

        Args:
            until: asked once all is found: which changes (ns since 1970) are in what the source had then.
        """
        outdated = self._folder.names()
        for met in found:
            self._known[met.place] = _Sorted()
            self._known[met.place].take_in(*_arrays(met.there))
            self._whole.add(met.place)
            if met.differing:
                self._met[met.place] = dict(met.differing)
        self._until = until()
        self._write([*_whole(self._whole), *self._all_known()])
        for name in outdated:
            self._folder.remove(name)

    def _names(self) -> list[str]:
        return [name for name in self._folder.names() if name.startswith(f"{self.name}-")]

    def _fold(self) -> None:
        """What is sure takes less room in order."""
        for place, since in self._since.items():
            sure = {item: now[0] for item, now in since.items() if len(now) == 1}
            self._are_known(place, sure)
            self._known.setdefault(place, _Sorted()).take_in(*_arrays(sure))
        unsure = {
            place: {item: now for item, now in since.items() if len(now) > 1}
            for place, since in self._since.items()
        }
        self._since = {place: since for place, since in unsure.items() if since}

    def _all_since(self) -> list[pa.Table]:
        return [_changed(place, since) for place, since in self._since.items()]

    def _all_known(self) -> Iterator[pa.Table]:
        for place, known in self._known.items():
            yield _table(place, known.items, known.now)
        for place, met in self._met.items():
            until = np.full(len(met), self._until, np.uint64)
            yield _table(place, *_arrays(met), until=numbers(pa.uint64(), until))

    def _are_known(self, place: Place, items: Iterable[int]) -> None:
        """How these were met makes no difference anymore."""
        met = self._met.get(place, {})
        for item in items if met else ():
            met.pop(item, None)

    def _take_in(self, table: pa.Table) -> None:
        versions, version_of = few_texts_of(table["version"])
        instances, instance_of = few_texts_of(table["instance"])
        (all_items, _), (all_now, _), (all_before, is_unsure), (all_until, is_met) = (
            numbers_of(table[name], np.uint64) for name in ("item", "now", "before", "until")
        )
        place_of = version_of * len(instances) + instance_of
        for number in np.unique(place_of).tolist():
            place = (versions[number // len(instances)], instances[number % len(instances)])
            rows = place_of == number
            items, now, before, unsure = all_items[rows], all_now[rows], all_before[rows], is_unsure[rows]
            as_met = is_met[rows]
            if (items == _ALL_ITEMS).any():
                self._whole.add(place)
            sure = ~unsure & ~as_met & (items != _ALL_ITEMS)
            since = self._since.setdefault(place, {})
            for item in np.intersect1d(np.fromiter(since, np.uint64, len(since)), items[sure]).tolist():
                del since[item]
            self._known.setdefault(place, _Sorted()).take_in(items[sure], now[sure])
            self._are_known(place, items[sure].tolist())
            if as_met.any():
                self._until = int(all_until[rows][as_met][0])
                self._met[place] = dict(zip(items[as_met].tolist(), now[as_met].tolist(), strict=True))
            pairs = zip(before[unsure].tolist(), now[unsure].tolist(), strict=True)
            since.update(zip(items[unsure].tolist(), pairs, strict=True))

    def _write(self, tables: Iterable[pa.Table]) -> str:
        self._number += 1
        # A run that lost the destination writes no file of the run that has it.
        name = f"{self.name}-{self._number:012d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        self._folder.write_table(name, pa.concat_tables([_changed(("", ""), {}), *tables]))
        return name


def _whole(places: Iterable[Place]) -> list[pa.Table]:
    return [_changed(place, {_ALL_ITEMS: (NOTHING,)}) for place in places]


def _changed(place: Place, items: Mapping[int, Now]) -> pa.Table:
    """What is or will be there, and what was there where that is not known to be over."""
    count = len(items)
    now = np.fromiter((each[-1] for each in items.values()), np.uint64, count)
    before = np.fromiter((each[0] for each in items.values()), np.uint64, count)
    unsure = np.fromiter((len(each) > 1 for each in items.values()), np.bool_, count)
    valid = np.packbits(unsure, bitorder="little")
    item = np.fromiter(items, np.uint64, count)
    return _table(place, item, now, before=numbers(pa.uint64(), before, valid))


def _table(
    place: Place,
    items: _Numbers,
    now: _Numbers,
    *,
    before: pa.Array | None = None,
    until: pa.Array | None = None,
) -> pa.Table:
    none = pa.nulls(len(items), pa.uint64())
    columns = [
        *(few_texts([name], np.zeros(len(items), np.int32)) for name in place),
        numbers(pa.uint64(), items),
        numbers(pa.uint64(), now),
        none if before is None else before,
        none if until is None else until,
    ]
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _number_of(name: str) -> int:
    number = name.partition("-")[2].partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else 0


def _arrays(digests: Mapping[int, int]) -> tuple[_Numbers, _Numbers]:
    count = len(digests)
    return np.fromiter(digests, np.uint64, count), np.fromiter(digests.values(), np.uint64, count)
