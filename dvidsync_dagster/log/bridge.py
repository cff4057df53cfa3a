"""What Kafka has dropped and the archive still holds, read as if Kafka held it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.archive import ArchiveFile, LogArchive
from dvidsync_dagster.log.merge import Headers, Place
from dvidsync_dagster.log.ranges import Range, without
from dvidsync_dagster.log.reading import Batch, Feed


class ArchivedRecord(NamedTuple):
    """A record of the archive, as a consumer would hand it over."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = -1
    headers: Headers = ()


class BridgedFeed:
    """A `Feed` that reads the gaps of some partitions from the archive, and goes on with another feed.

    Args:
        feed: stands behind the gaps.
        archive: covers them.
        gaps: the offsets that are missing at the broker, by partition.
        from_key: no record of the gaps is older.
    """

    def __init__(self, feed: Feed, archive: LogArchive, gaps: Mapping[Place, Range], from_key: int) -> None:
        self._feed = feed
        self._archive = archive
        self._files = iter(archive.files(from_key))
        self._gaps = dict(gaps)
        self._covered: dict[Place, list[Range]] = {place: [] for place in gaps}
        self._kept: dict[Place, dict[int, ArchivedRecord]] = {place: {} for place in gaps}

    def poll(self, hold: Collection[Place]) -> Iterator[Batch]:
        """See `Feed`. One file of the archive at a time, while one of the gaps is to be read on.

        Raises:
            LogError: the archive cannot be read, or holds less than it did.
        """
        if all(place in hold for place in self._gaps):
            yield from self._feed.poll({*hold, *self._gaps})
            return
        file = next(self._files, None)
        if file is None:
            raise LogError(f"the archive lost files while it was read: {sorted(self._gaps)} are missing")
        self._take(file)
        for place, (first, last) in list(self._gaps.items()):
            missing = without([(first, last)], self._covered[place])
            upto = missing[0][0] if missing else last
            if upto > first:
                kept = self._kept[place]
                yield Batch(place, [kept.pop(offset) for offset in sorted(kept) if offset < upto], upto)
                self._move(place, upto)

    def seek(self, place: Place, offset: int) -> None:
        if place in self._gaps:
            self._move(place, offset)
        if place not in self._gaps:
            self._feed.seek(place, offset)

    def stop(self, place: Place) -> None:
        self._gaps.pop(place, None)
        self._feed.stop(place)

    def _move(self, place: Place, offset: int) -> None:
        if place in self._gaps:
            last = self._gaps[place][1]
            self._gaps[place] = (offset, last)
            if offset >= last:
                del self._gaps[place]

    def _take(self, file: ArchiveFile) -> None:
        offsets = self._archive.offsets(file)
        if not any(place in offsets for place in self._gaps):
            return
        columns = ("topic", "partition", "offset", "key", "value")
        frame = self._archive.read_file(file)
        for topic, partition, offset, key, value in zip(*(frame[name] for name in columns), strict=True):
            first, last = self._gaps.get((topic, partition), (0, 0))
            if first <= offset < last:
                record = ArchivedRecord(int(offset), str(key).encode(), value)
                self._kept[topic, partition][record.offset] = record
        for place in self._gaps:
            self._covered[place] += offsets.get(place, [])
