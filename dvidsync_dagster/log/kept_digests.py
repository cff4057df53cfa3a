"""What is kept of values, as files. See `digests`.

Of an item up to three things are known. In the order in which they count:

- what the chunk at hand has changed (`_changed`): two digests, until the write is known to be done;
- what the source had when the destination was met (`_as_met`), for items that it changed later;
- what is settled (`_settled`): chunks that have ended brought it, or the destination had it when it was met.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from dvidsync_dagster.log import digest_table
from dvidsync_dagster.log.digest_table import Numbers, ReadRows, arrays
from dvidsync_dagster.log.digests import NOTHING, Met, Place, Possible
from dvidsync_dagster.log.folder import Folder

MAX_FILES = 64
"""When there are more, they become one."""

_SUFFIX = ".digests"
"""They are Parquet."""


class _SortedDigests:
    """Digests by item, in few bytes."""

    def __init__(self) -> None:
        self.items: Numbers = np.empty(0, np.uint64)
        self.digests: Numbers = np.empty(0, np.uint64)

    def get(self, item: int) -> int | None:
        place = int(np.searchsorted(self.items, np.uint64(item)))
        is_known = place < len(self.items) and int(self.items[place]) == item
        return int(self.digests[place]) if is_known else None

    def update(self, items: Numbers, digests: Numbers) -> None:
        self.items, first = np.unique(np.concatenate([items, self.items]), return_index=True)
        self.digests = np.concatenate([digests, self.digests])[first]


class Digests:
    """What is kept of one destination. It is asked by several threads.

    Every method raises `LogError` if the folder cannot be read or written.

    Args:
        name: what a checkpoint calls it.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self.name = name
        self._folder = folder
        self._changed: dict[Place, dict[int, Possible]] = {}
        self._as_met: dict[Place, dict[int, int]] = {}
        self._settled: dict[Place, _SortedDigests] = {}
        self._complete: set[Place] = set()
        """Of these all items are known: one that is not known is not there."""
        self._met_until = 0
        """The source's changes up to then (ns since 1970) are in `_as_met`."""
        self._files_of_batches: list[str] = []
        """Of this chunk, whose own file replaces them."""
        self._dropped = False
        """Versions were, which the files still hold."""
        self._number = 0
        """Of the last file."""
        self._lock = threading.Lock()

    # What is known

    def get(self, version: str, instance: str, item: int, since: int = 0) -> Possible | None:
        """What the item has if it is as the source had it; None if that is not known.

        Args:
            since: when the source changed it first since it was last looked at (ns since 1970).
        """
        place = (version, instance)
        with self._lock:
            possible = self._changed.get(place, {}).get(item)
            if possible is not None:
                return possible
            digest = None
            if since > self._met_until:
                digest = self._as_met.get(place, {}).get(item)
            if digest is None:
                digest = self._settled_digest(place, item)
            if digest is None and self._is_complete(place):
                digest = NOTHING
            return None if digest is None else (digest,)

    def tells(self, version: str, instance: str, item: int) -> bool:
        """Whether it is known what the source had of an item. If not, nothing is known, or only what the
        destination had when it was met."""
        place = (version, instance)
        with self._lock:
            if item in self._changed.get(place, {}):
                return True
            if item in self._as_met.get(place, {}):
                return False
            return self._settled_digest(place, item) is not None or self._is_complete(place)

    def was_made(self, version: str) -> bool:
        """Whether a version was made since anything is kept."""
        return (version, "") in self._complete

    @property
    def is_new(self) -> bool:
        """Nothing is kept yet."""
        return not self._number

    def _settled_digest(self, place: Place, item: int) -> int | None:
        settled = self._settled.get(place)
        return None if settled is None else settled.get(item)

    def _is_complete(self, place: Place) -> bool:
        version, instance = place
        return place in self._complete or (("", instance) in self._complete and not self.was_made(version))

    # What changes

    def make(self, place: Place) -> None:
        """A version or an instance is about to be made."""
        with self._lock:
            self._complete.add(place)
            self._files_of_batches.append(self._write(digest_table.complete([place])))

    def begin(self, version: str, instance: str, changes: Mapping[int, tuple[int, int]]) -> None:
        """Items are about to be written: by item, what it has and what it will have."""
        place = (version, instance)
        with self._lock:
            self._changed.setdefault(place, {}).update(changes)
            self._files_of_batches.append(self._write([digest_table.changed(place, changes)]))

    def done(self, version: str, instance: str, now: Mapping[int, int]) -> None:
        """By item what the source has, which is to be at the destination."""
        with self._lock:
            changed = self._changed.setdefault((version, instance), {})
            changed.update((item, (digest,)) for item, digest in now.items())

    def drop(self, versions: Collection[str]) -> None:
        """Forget versions in which nothing changes anymore."""
        with self._lock:
            places = {*self._settled, *self._changed, *self._complete, *self._as_met}
            gone = [place for place in places if place[0] in versions]
            for place in gone:
                for known in (self._settled, self._changed, self._as_met):
                    known.pop(place, None)
            self._complete.difference_update(gone)
            self._dropped |= bool(gone)

    # Files

    def read(self) -> None:
        """Take in what is kept."""
        for name in self._names():
            table = self._folder.read_table(name, digest_table.SCHEMA, later=digest_table.LATER)
            for rows in digest_table.read_rows(table):
                self._take_in(rows)
            self._number = _number_of(name)

    def begin_anew(self, found: Iterable[Met], until: Callable[[], int]) -> None:
        """Keep all that a destination has at first; what was kept before goes.

        Args:
            until: asked once all is found: which changes (ns since 1970) are in what the source had then.
        """
        outdated = self._folder.names()
        for met in found:
            self._settled[met.place] = _SortedDigests()
            self._settled[met.place].update(*arrays(met.there))
            self._complete.add(met.place)
            if met.differing:
                self._as_met[met.place] = dict(met.differing)
        self._met_until = until()
        self._write([*digest_table.complete(self._complete), *self._tables_of_settled()])
        self._remove(outdated)

    def keep(self) -> None:
        """A chunk ends. What it changed goes into one file; now and then all files become one."""
        with self._lock:
            names = self._names()
            complete = digest_table.complete(self._complete)
            if self._dropped or len(names) > MAX_FILES:
                self._settle()
                self._write([*complete, *self._tables_of_changed(), *self._tables_of_settled()])
                self._remove(names)
            elif self._changed or self._files_of_batches:
                self._write([*complete, *self._tables_of_changed()])
                self._settle()
                self._remove(self._files_of_batches)
            else:
                return
            self._files_of_batches, self._dropped = [], False

    def _take_in(self, rows: ReadRows) -> None:
        """What a file tells of a place counts more than what earlier files told."""
        if rows.is_complete:
            self._complete.add(rows.place)
        changed = self._changed.setdefault(rows.place, {})
        known = np.fromiter(changed, np.uint64, len(changed))
        for item in np.intersect1d(known, rows.items).tolist():
            del changed[item]
        self._settle_items(rows.place, rows.items, rows.digests)
        if rows.met_until is not None:
            self._met_until = rows.met_until
            self._as_met[rows.place] = dict(rows.as_met)
        changed.update(rows.unsure)

    def _settle(self) -> None:
        """What is sure takes less room in order."""
        for place, changed in list(self._changed.items()):
            sure = {item: possible[0] for item, possible in changed.items() if len(possible) == 1}
            self._settle_items(place, *arrays(sure))
            unsure = {item: possible for item, possible in changed.items() if len(possible) > 1}
            if unsure:
                self._changed[place] = unsure
            else:
                del self._changed[place]

    def _settle_items(self, place: Place, items: Numbers, digests: Numbers) -> None:
        self._settled.setdefault(place, _SortedDigests()).update(items, digests)
        met = self._as_met.get(place)
        if met:
            for item in items.tolist():
                met.pop(item, None)

    def _tables_of_changed(self) -> Iterator[pa.Table]:
        for place, changed in self._changed.items():
            yield digest_table.changed(place, changed)

    def _tables_of_settled(self) -> Iterator[pa.Table]:
        for place, settled in self._settled.items():
            yield digest_table.sure(place, settled.items, settled.digests)
        for place, met in self._as_met.items():
            yield digest_table.as_met(place, met, self._met_until)

    def _names(self) -> list[str]:
        return [name for name in self._folder.names() if name.startswith(f"{self.name}-")]

    def _write(self, tables: Iterable[pa.Table]) -> str:
        self._number += 1
        # A run that lost the destination writes no file of the run that has it.
        name = f"{self.name}-{self._number:012d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        no_rows = digest_table.changed(("", ""), {})
        self._folder.write_table(name, pa.concat_tables([no_rows, *tables]))
        return name

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._folder.remove(name)


def _number_of(name: str) -> int:
    number = name.partition("-")[2].partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else 0
