"""The archive read back as chunks of the log, for windows that Kafka no longer holds."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.chunk import LogChunk

if TYPE_CHECKING:
    from dvidsync_dagster.log.archive import LogArchive

_log = logging.getLogger(__name__)


def archived_chunks(
    archive: LogArchive, topics: Collection[str], from_key: int, last_key: int
) -> Iterator[LogChunk]:
    """The archived records with keys from `from_key` to `last_key` (both included), one file at a time.

    Files are about as large as the chunks that they were written from, so memory stays bounded. Records of
    other topics than `topics` are left out. None of the chunks is the last: Kafka may hold what follows.
    """
    reached = from_key
    for file in archive.files(from_key, last_key):
        upto = min(file.last_key_ns, last_key)
        if upto < reached:
            continue
        records = [record for record in archive.read(reached, upto) if record.topic in topics]
        _log.info(
            "The archive is read in place of Kafka: %d records from %s to %s",
            len(records),
            key_text(reached),
            key_text(upto),
            extra={"file": file.name, "records": len(records)},
        )
        yield LogChunk(
            records=records, malformed=(), lookahead=(), horizon=upto, last=False, duplicates=0, behind=0
        )
        reached = upto + 1
