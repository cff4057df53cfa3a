"""What Kafka has dropped and the archive still holds, read as if Kafka held it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.intake import Polled
from dvidsync_dagster.log.ranges import Range, without
from dvidsync_dagster.log.reading import Feed
from dvidsync_dagster.log.record import Partition, Record

if TYPE_CHECKING:
    from dvidsync_dagster.log.archive import ArchiveFile, LogArchive

_log = logging.getLogger(__name__)


class BridgedFeed:
    """A `Feed` that reads the gaps of some partitions from the archive, and goes on with another feed.

    Args:
        feed: stands behind the gaps.
        archive: covers them.
        gaps: the offsets that are missing at the broker, by partition.
        from_key: no record of the gaps is older.
    """

    def __init__(
        self, feed: Feed, archive: LogArchive, gaps: Mapping[Partition, Range], from_key: int
    ) -> None:
        self._feed = feed
        self._archive = archive
        self._files = iter(archive.files(from_key))
        self._gaps = dict(gaps)
        self._covered: dict[Partition, list[Range]] = {partition: [] for partition in gaps}
        self._kept: dict[Partition, dict[int, Record]] = {partition: {} for partition in gaps}
        for (topic, number), (first, last) in gaps.items():
            _log.info(
                "The archive is read in place of Kafka, which has dropped offsets %d to %d of %s/%d",
                first,
                last - 1,
                topic,
                number,
                extra={"topic": topic, "partition": number, "first": first, "last": last - 1},
            )

    def poll(self, hold: Collection[Partition]) -> Iterator[Polled]:
        """See `Feed`. One file of the archive at a time, while one of the gaps is to be read on.

        Raises:
            LogError: the archive cannot be read, or holds less than it did.
        """
        if all(partition in hold for partition in self._gaps):
            yield from self._feed.poll({*hold, *self._gaps})
            return
        file = next(self._files, None)
        if file is None:
            raise LogError(f"the archive lost files while it was read: {sorted(self._gaps)} are missing")
        self._take(file)
        for partition, (first, last) in list(self._gaps.items()):
            missing = without([(first, last)], self._covered[partition])
            upto = missing[0][0] if missing else last
            if upto > first:
                kept = self._kept[partition]
                yield Polled(partition, [kept.pop(offset) for offset in sorted(kept) if offset < upto], upto)
                self._move(partition, upto)

    def seek(self, partition: Partition, offset: int) -> None:
        if partition in self._gaps:
            self._move(partition, offset)
        if partition not in self._gaps:
            self._feed.seek(partition, offset)

    def stop(self, partition: Partition) -> None:
        self._gaps.pop(partition, None)
        self._feed.stop(partition)

    def _move(self, partition: Partition, offset: int) -> None:
        if partition in self._gaps:
            last = self._gaps[partition][1]
            self._gaps[partition] = (offset, last)
            if offset >= last:
                del self._gaps[partition]

    def _take(self, file: ArchiveFile) -> None:
        offsets = self._archive.offsets(file)
        if not any(partition in offsets for partition in self._gaps):
            return
        for record in self._archive.read_file(file):
            first, last = self._gaps.get((record.topic, record.partition), (0, 0))
            if first <= record.offset < last:
                self._kept[record.topic, record.partition][record.offset] = record
        for partition in self._gaps:
            self._covered[partition] += offsets.get(partition, [])
