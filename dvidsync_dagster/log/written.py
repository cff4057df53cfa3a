"""What a destination's values were when dvidsync last wrote them, as hashes in Parquet files.

Before values are written, what is there and what is to come is noted. Whatever happens then, a value that is
neither of the two was changed by somebody else.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.quarantine import quarantine_uri

_SUFFIX = ".parquet"
_FILES = 32
_COLUMNS = ("place", "before", "after")
_SCHEMA = pa.schema({name: pa.uint64() for name in _COLUMNS})
_MET = "met"

Numbers = npt.NDArray[np.uint64]
Hashes = Mapping[int, int]
"""By the hash of a key, that of its value; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What is noted of one value: the hash of what was there, and of what was to come; 0 for nothing."""

    before: int
    after: int

    def allows(self, there: int) -> bool:
        return there in (self.before, self.after)


@dataclass(frozen=True, slots=True)
class Met:
    """How a destination was when its values were first noted.

    Args:
        versions: those that it had: what they hold can have come with the copied folder.
        noted: instances and versions of which all values were noted then.
    """

    versions: frozenset[str] = frozenset()
    noted: frozenset[tuple[str, str]] = frozenset()


class WrittenValues:
    """The notes of one destination. Asked by several threads.

    Args:
        uri: of the quarantine, which they lie in: a folder or URI.
        root: the repo's root UUID.
        destination: its name.

    Every method raises `LogError` if the store cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, uri: str, root: str, destination: str) -> None:
        self._folder = Folder(uri, "quarantine", root, destination, "written")
        self._lock = threading.Lock()
        self._names: dict[str, list[str]] | None = None
        self._series: dict[str, _Series] = {}
        self._met: Met | None = None

    @property
    def met(self) -> Met:
        """How the destination was when values were first noted; nothing if they were not yet."""
        with self._lock:
            if self._met is None:
                self._met = self._read_met() or Met()
            return self._met

    def meet(self, met: Met) -> None:
        """Values are noted from now on."""
        versions = [("", version) for version in met.versions]
        names, uuids = zip(*sorted([*versions, *met.noted]), strict=True)
        with self._lock:
            texts = {"instance": pa.array(names, pa.string()), "version": pa.array(uuids, pa.string())}
            self._write(_MET, pa.table(texts))
            self._met = met

    def _read_met(self) -> Met | None:
        names = self._listed()[_MET]
        if not names:
            return None
        with self._folder.errors("read", names[-1]):
            path = self._folder.path_of(names[-1])
            table = pq.read_table(path, filesystem=self._folder.files, partitioning=None)
            rows = list(zip(table["instance"].to_pylist(), table["version"].to_pylist(), strict=True))
        return Met(
            frozenset(version for name, version in rows if not name),
            frozenset(row for row in rows if row[0]),
        )

    def noted(self, instance: str, lineage: Sequence[str], places: Sequence[int]) -> dict[int, Noted]:
        """What is noted of values, by the hash of their keys.

        Args:
            lineage: a version and those that it was made from, the nearest first: what is noted in the
                nearest one counts.
        """
        found: dict[int, Noted] = {}
        with self._lock:
            for version in lineage:
                missing = [place for place in places if place not in found]
                if not missing:
                    break
                found |= self._of(instance, version).find(missing)
        return found

    def note(self, instance: str, version: str, there: Hashes, coming: Hashes) -> None:
        """Values are about to be written.

        Args:
            there, coming: of the same keys.
        """
        if not there:
            return
        places = np.array(sorted(there), np.uint64)
        numbers = [int(place) for place in places]
        before = np.array([there[place] for place in numbers], np.uint64)
        after = np.array([coming[place] for place in numbers], np.uint64)
        with self._lock:
            series = self._of(instance, version)
            name = _name(instance, version)
            self._write(name, pa.table(dict(zip(_COLUMNS, (places, before, after), strict=True))))
            series.add(places, before, after)
            if len(self._listed()[name]) > _FILES:
                whole = series.whole()
                self._write(name, pa.table(dict(zip(_COLUMNS, whole, strict=True))))
                for old in self._listed()[name][:-1]:
                    self._folder.remove(old)
                del self._listed()[name][:-1]

    def _of(self, instance: str, version: str) -> _Series:
        name = _name(instance, version)
        if name not in self._series:
            series = self._series[name] = _Series()
            for file in self._listed()[name]:
                with self._folder.errors("read", file):
                    path = self._folder.path_of(file)
                    table = pq.read_table(path, filesystem=self._folder.files, partitioning=None)
                    series.add(*(table[each].cast(pa.uint64()).to_numpy() for each in _COLUMNS))
        return self._series[name]

    def _listed(self) -> dict[str, list[str]]:
        """The files by what they are of, in the order in which they were written."""
        if self._names is None:
            self._names = defaultdict(list)
            for file in self._folder.names():
                if file.endswith(_SUFFIX) and file[0] != ".":
                    self._names[file.partition("-")[0]].append(file)
        return self._names

    def _write(self, name: str, table: pa.Table) -> None:
        files = self._listed()[name]
        number = int(files[-1].removesuffix(_SUFFIX).partition("-")[2]) + 1 if files else 1
        file = f"{name}-{number:010d}{_SUFFIX}"
        self._folder.write_table(file, table)
        files.append(file)


class _Series:
    """What is noted of one instance in one version: sorted arrays, and what came since."""

    def __init__(self) -> None:
        empty = np.empty(0, np.uint64)
        self._sorted: tuple[Numbers, Numbers, Numbers] = (empty, empty, empty)
        self._since: list[tuple[Numbers, Numbers, Numbers]] = []

    def add(self, places: Numbers, before: Numbers, after: Numbers) -> None:
        self._since.append((places, before, after))

    def find(self, places: Sequence[int]) -> dict[int, Noted]:
        known, before, after = self.whole()
        wanted = np.array(places, np.uint64)
        at = np.searchsorted(known, wanted)
        found = {}
        for place, index in zip(places, at.tolist(), strict=True):
            if index < len(known) and int(known[index]) == place:
                found[place] = Noted(int(before[index]), int(after[index]))
        return found

    def whole(self) -> tuple[Numbers, Numbers, Numbers]:
        """All of it, sorted by place; of one place what came last."""
        if self._since:
            joined = [np.concatenate(each) for each in zip(self._sorted, *self._since, strict=True)]
            # Of equal ones the last comes first, and that one is kept.
            backwards = [each[::-1] for each in joined]
            _, first = np.unique(backwards[0], return_index=True)
            places, before, after = (each[first] for each in backwards)
            self._sorted, self._since = (places, before, after), []
        return self._sorted


def written_of(config: SyncConfig, destination: str) -> WrittenValues:
    """The notes of a destination, beside its quarantine.

    Raises:
        ConfigurationError: no such kind of store.
    """
    return WrittenValues(quarantine_uri(config), config.repo, destination)


def _name(instance: str, version: str) -> str:
    return hashlib.sha256(f"{version}/{instance}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
