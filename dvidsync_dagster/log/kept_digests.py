"""What is kept of values, as files. See `digests`."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvidsync_dagster.log.columns import few_texts, few_texts_of, numbers, numbers_of
from dvidsync_dagster.log.digests import NOTHING, Now, Place
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
    }
)

_ALL_ITEMS = 0
_Items = Mapping[int, Now]
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
        self._since: dict[Place, dict[int, Now]] = {}
        self._whole: set[Place] = set()
        self._unkept: list[str] = []
        self._dropped = False
        self._number = 0
        self._lock = threading.Lock()

    def get(self, version: str, instance: str, item: int) -> Now | None:
        """What the item has if it is as the source had it; None if that is not known."""
        place = (version, instance)
        with self._lock:
            now = self._since.get(place, {}).get(item)
            if now is None and place in self._known:
                now = self._known[place].get(item)
            if now is None and self._is_whole(place):
                return (NOTHING,)
            return now

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
            self._unkept.append(self._write([((version, instance), changes)]))

    def done(self, version: str, instance: str, now: Mapping[int, int]) -> None:
        """By item what the source has, which is to be at the destination."""
        with self._lock:
            since = self._since.setdefault((version, instance), {})
            since.update((item, (digest,)) for item, digest in now.items())

    def drop(self, versions: Collection[str]) -> None:
        """Forget versions in which nothing changes anymore."""
        with self._lock:
            places = {*self._known, *self._since, *self._whole}
            gone = [place for place in places if place[0] in versions]
            for place in gone:
                self._known.pop(place, None)
                self._since.pop(place, None)
            self._whole.difference_update(gone)
            self._dropped |= bool(gone)

    def keep(self) -> None:
        """A chunk ends."""
        with self._lock:
            names = self._names()
            whole = _whole(self._whole)
            if self._dropped or len(names) > MAX_FILES:
                self._fold()
                self._write([*whole, *self._since.items()], self._known)
                outdated = names
            elif self._since or self._unkept:
                self._write([*whole, *self._since.items()])
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
            self._take_in(self._folder.read_table(name, _SCHEMA))
            self._number = _number_of(name)

    def begin_anew(self, found: Iterable[tuple[Place, Mapping[int, int]]]) -> None:
        """Keep all that a destination has at first in some places, by item; what was kept before goes."""
        outdated = self._folder.names()
        for place, now in found:
            self._known[place] = _Sorted()
            self._known[place].take_in(*_arrays(now))
            self._whole.add(place)
        self._write(_whole(self._whole), self._known)
        for name in outdated:
            self._folder.remove(name)

    def _names(self) -> list[str]:
        return [name for name in self._folder.names() if name.startswith(f"{self.name}-")]

    def _fold(self) -> None:
        """What is sure takes less room in order."""
        for place, since in self._since.items():
            sure = {item: now[0] for item, now in since.items() if len(now) == 1}
            self._known.setdefault(place, _Sorted()).take_in(*_arrays(sure))
        unsure = {
            place: {item: now for item, now in since.items() if len(now) > 1}
            for place, since in self._since.items()
        }
        self._since = {place: since for place, since in unsure.items() if since}

    def _take_in(self, table: pa.Table) -> None:
        versions, version_of = few_texts_of(table["version"])
        instances, instance_of = few_texts_of(table["instance"])
        (all_items, _), (all_now, _), (all_before, is_unsure) = (
            numbers_of(table[name], np.uint64) for name in ("item", "now", "before")
        )
        place_of = version_of * len(instances) + instance_of
        for number in np.unique(place_of).tolist():
            place = (versions[number // len(instances)], instances[number % len(instances)])
            rows = place_of == number
            items, now, before, unsure = all_items[rows], all_now[rows], all_before[rows], is_unsure[rows]
            if (items == _ALL_ITEMS).any():
                self._whole.add(place)
            sure = ~unsure & (items != _ALL_ITEMS)
            since = self._since.setdefault(place, {})
            for item in np.intersect1d(np.fromiter(since, np.uint64, len(since)), items[sure]).tolist():
                del since[item]
            self._known.setdefault(place, _Sorted()).take_in(items[sure], now[sure])
            pairs = zip(before[unsure].tolist(), now[unsure].tolist(), strict=True)
            since.update(zip(items[unsure].tolist(), pairs, strict=True))

    def _write(
        self, parts: Iterable[tuple[Place, _Items]], known: Mapping[Place, _Sorted] | None = None
    ) -> str:
        tables = [_table(place, *_columns(items)) for place, items in parts]
        tables += [_sure(place, own) for place, own in (known or {}).items()]
        self._number += 1
        # A run that lost the destination writes no file of the run that has it.
        name = f"{self.name}-{self._number:012d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        self._folder.write_table(name, pa.concat_tables([_table(("", ""), *_columns({})), *tables]))
        return name


def _whole(places: Iterable[Place]) -> list[tuple[Place, _Items]]:
    return [(place, {_ALL_ITEMS: (NOTHING,)}) for place in places]


def _columns(items: _Items) -> tuple[_Numbers, _Numbers, pa.Array]:
    """What there is, what is or will be there, and what was there where that is not known to be over."""
    count = len(items)
    now = np.fromiter((each[-1] for each in items.values()), np.uint64, count)
    before = np.fromiter((each[0] for each in items.values()), np.uint64, count)
    unsure = np.fromiter((len(each) > 1 for each in items.values()), np.bool_, count)
    valid = np.packbits(unsure, bitorder="little")
    return np.fromiter(items, np.uint64, count), now, numbers(pa.uint64(), before, valid)


def _sure(place: Place, own: _Sorted) -> pa.Table:
    return _table(place, own.items, own.now, pa.nulls(len(own.items), pa.uint64()))


def _table(place: Place, items: _Numbers, now: _Numbers, before: pa.Array) -> pa.Table:
    names = [few_texts([name], np.zeros(len(items), np.int32)) for name in place]
    columns = [numbers(pa.uint64(), items), numbers(pa.uint64(), now), before]
    return pa.Table.from_arrays([*names, *columns], schema=_SCHEMA)


def _number_of(name: str) -> int:
    number = name.partition("-")[2].partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else 0


def _arrays(digests: Mapping[int, int]) -> tuple[_Numbers, _Numbers]:
    count = len(digests)
    return np.fromiter(digests, np.uint64, count), np.fromiter(digests.values(), np.uint64, count)
