"""The archive of a log: its chunks as Parquet files in a folder or an object store.

A file is named ``FIRSTKEY-LASTKEY-DIGEST.parquet`` (keys with 19 digits), so that a window of time is found
by name, and the same records archived again are the same file. Its columns are those of `LogChunk.frame`; its
schema's metadata says which offsets it stands for, those that hold no record included.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.checkpoint import Positions, newly_applied
from dvidsync_dagster.log.chunk import COLUMNS
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.merge import Place
from dvidsync_dagster.log.ranges import Range, joined, without

_FILE = re.compile(r"(?P<first>[0-9]{19})-(?P<last>[0-9]{19})-[0-9a-f]{16}\.parquet")
_METADATA = b"dvidsync"
_FORMAT = 1
_SCHEMA = pa.schema(
    {
        "key": pa.int64(),
        "topic": pa.dictionary(pa.int32(), pa.string()),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "value": pa.large_binary(),
    }
)


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file: its name and the first and last key in it."""

    name: str
    first_key: int
    last_key: int


class LogArchive:
    """The archive of one repo's log.

    Args:
        uri: a folder (``/data/log``), or what pyarrow takes (``file://``, ``s3://``, ``gs://``).
            Logins for object stores come from their usual places (environment, instance role).

    Every method raises `LogError` if the store cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, uri: str) -> None:
        self._folder = Folder(uri, "archive")

    def write(self, frame: pd.DataFrame, before: Positions, after: Positions) -> ArchiveFile | None:
        """Archive the records of a chunk: whole or not at all, and no second time.

        Args:
            frame: as `LogChunk.frame`.
            before, after: the log's positions before and after the chunk. What lies between them is what
                this file stands for. Leave out of `after` what is neither in the frame nor to be forgotten,
                such as malformed records.

        Returns:
            The file, or None if the frame is empty: nothing is written then, so keep `before` for the next.
        """
        if frame.empty:
            return None
        offsets = _offsets_json(newly_applied(before, after))
        file = _name(frame, offsets)
        if not self._folder.has(file.name):
            with self._folder.errors("written", file.name):
                table = pa.Table.from_pandas(frame[list(COLUMNS)], schema=_SCHEMA, preserve_index=False)
            self._folder.write_table(file.name, table, {_METADATA: offsets})
        return file

    def files(self, first_key: int = 0, last_key: int = (1 << 63) - 1) -> list[ArchiveFile]:
        """The files that may hold keys from `first_key` to `last_key` (both included), in order."""
        result = []
        for name in self._folder.names():
            match = _FILE.fullmatch(name)
            if match and int(match["first"]) <= last_key and int(match["last"]) >= first_key:
                result.append(ArchiveFile(name, int(match["first"]), int(match["last"])))
        return sorted(result, key=lambda file: (file.first_key, file.last_key, file.name))

    def read(self, first_key: int, last_key: int) -> pd.DataFrame:
        """The records with keys from `first_key` to `last_key` (both included), as `LogChunk.frame`.

        Records that were archived more than once come once.
        """
        tables = [self._table(file, first_key, last_key) for file in self.files(first_key, last_key)]
        return _frame([_SCHEMA.empty_table(), *tables])

    def read_file(self, file: ArchiveFile) -> pd.DataFrame:
        """The records of one file, as `LogChunk.frame`."""
        return _frame([self._table(file, file.first_key, file.last_key)])

    def first_offsets(self, from_key: int) -> dict[Place, int]:
        """By partition, the lowest offset of a record with a key from `from_key` on."""
        first: dict[Place, int] = {}
        for file in self.files(from_key):
            frame = _frame([self._table(file, from_key, file.last_key)])
            lowest = frame.groupby(["topic", "partition"], observed=True, as_index=False)["offset"].min()
            for topic, partition, offset in lowest.itertuples(index=False, name=None):
                place = (str(topic), int(partition))
                first[place] = min(int(offset), first.get(place, int(offset)))
        return first

    def covers(self, topic: str, partition: int, wanted: Iterable[Range], from_key: int = 0) -> bool:
        """Whether the archive stands for all these offsets of a partition.

        Args:
            from_key: no record of these is older; spares a look at files that end before.
        """
        missing = joined(wanted)
        for file in self.files(from_key):
            if not missing:
                break
            missing = without(missing, self.offsets(file).get((topic, partition), []))
        return not missing

    def offsets(self, file: ArchiveFile) -> dict[Place, list[Range]]:
        """The offsets that a file stands for, those that hold no record included."""
        with self._folder.errors("read", file.name):
            schema = pq.read_schema(self._folder.path_of(file.name), filesystem=self._folder.files)
            metadata = schema.metadata or {}
            content = orjson.loads(metadata[_METADATA])
            if content["format"] > _FORMAT:
                raise LogError(
                    f"the archive's file {file.name} has format {content['format']}, this version reads "
                    f"up to {_FORMAT}. Update dvidsync."
                )
            return {
                (topic, int(partition)): [(int(first), int(last)) for first, last in ranges]
                for topic, partitions in content["offsets"].items()
                for partition, ranges in partitions.items()
            }

    def _table(self, file: ArchiveFile, first_key: int, last_key: int) -> pa.Table:
        with self._folder.errors("read", file.name):
            table = pq.read_table(
                self._folder.path_of(file.name),
                filesystem=self._folder.files,
                filters=[("key", ">=", first_key), ("key", "<=", last_key)],
                partitioning=None,  # a folder named like `a=b` would add a column
            )
            return table.replace_schema_metadata().cast(_SCHEMA)


def _frame(tables: Sequence[pa.Table]) -> pd.DataFrame:
    """In order, each record once."""
    frame: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    topics = sorted(frame["topic"].unique())
    frame["topic"] = pd.Categorical(frame["topic"].astype(object), categories=pd.Index(topics, dtype=object))
    order = ["key", "topic", "partition", "offset"]
    return frame.sort_values(order, ignore_index=True).drop_duplicates(order, ignore_index=True)


def _name(frame: pd.DataFrame, offsets: bytes) -> ArchiveFile:
    digest = hashlib.sha256(offsets)
    for row in frame[list(COLUMNS)].itertuples(index=False, name=None):
        key, topic, partition, offset, value = row
        digest.update(f"\n{key} {topic} {partition} {offset} {len(value)} ".encode())
        digest.update(value)
    first, last = int(frame["key"].iloc[0]), int(frame["key"].iloc[-1])
    return ArchiveFile(f"{first:019d}-{last:019d}-{digest.hexdigest()[:16]}.parquet", first, last)


def _offsets_json(ranges: Mapping[Place, list[Range]]) -> bytes:
    by_topic: dict[str, dict[str, list[Range]]] = {}
    for (topic, partition), found in ranges.items():
        by_topic.setdefault(topic, {})[str(partition)] = found
    return orjson.dumps({"format": _FORMAT, "offsets": by_topic}, option=orjson.OPT_SORT_KEYS)
