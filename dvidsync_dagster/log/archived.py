"""The archive read back as chunks of the log, for windows that Kafka no longer holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.log.chunk import LogChunk


def archived_chunks(
    archive: LogArchive, topics: Collection[str], from_key: int, last_key: int
) -> Iterator[LogChunk]:
    """The archived records with keys from `from_key` to `last_key` (both included), one file at a time.

    Files are about as large as the chunks that they were written from, so memory stays bounded. Records of
    other topics than `topics` are left out. None of the chunks is the last: Kafka may hold what follows.
    """
    reached = from_key
    for file in archive.files(from_key, last_key):
        upto = min(file.last_key, last_key)
        if upto < reached:
            continue
        frame = archive.read(reached, upto)
        frame = frame[frame["topic"].isin(topics)].reset_index(drop=True)
        yield LogChunk(
            frame=frame,
            malformed=(),
            lookahead=frame.iloc[:0],
            horizon=upto,
            last=False,
            duplicates=0,
            behind=0,
        )
        reached = upto + 1
