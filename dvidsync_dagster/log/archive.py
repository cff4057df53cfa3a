"""The archive of a log: its chunks as Parquet files in a folder or an object store.

A file is named ``FIRSTKEY-LASTKEY-DIGEST.parquet`` (keys with 19 digits), so that a window of time is found
by name, and the same records archived again are the same file. Its columns are the record's key (nanoseconds
since 1970), topic, partition, offset and value; its schema's metadata says which offsets it stands for, those
that hold no record included.
"""

from __future__ import annotations

import hashlib
import re
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.checkpoint import Positions, newly_applied
from dvidsync_dagster.log.columns import contents, few_texts, numbers
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.ranges import Range, joined, without
from dvidsync_dagster.log.record import Partition, Record

if TYPE_CHECKING:
    import pandas as pd

_FILE = re.compile(r"(?P<first>[0-9]{19})-(?P<last>[0-9]{19})-[0-9a-f]{16}\.parquet")
_LAST_KEY = (1 << 63) - 1
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
    """One file: its name, and the first and last key in it (ns since 1970)."""

    name: str
    first_key_ns: int
    last_key_ns: int


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

    def write(self, records: Sequence[Record], before: Positions, after: Positions) -> ArchiveFile | None:
        """Archive the records of a chunk: whole or not at all, and no second time.

        Args:
            records: in log order, none malformed.
            before, after: the log's positions before and after the chunk. What lies between them is what
                this file stands for. Leave out of `after` what is neither in `records` nor to be forgotten,
                such as malformed records.

        Returns:
            The file, or None without records: nothing is written then, so keep `before` for the next.
        """
        if not records:
            return None
        offsets = _offsets_json(newly_applied(before, after))
        file = _file(records, offsets)
        if not self._folder.has(file.name):
            with self._folder.errors("written", file.name):
                table = _table_of(records)
            self._folder.write_table(file.name, table, {_METADATA: offsets})
        return file

    def files(self, first_key: int = 0, last_key: int = _LAST_KEY) -> list[ArchiveFile]:
        """The files that may hold keys from `first_key` to `last_key` (both included), in order."""
        result = []
        for name in self._folder.names():
            match = _FILE.fullmatch(name)
            if match and int(match["first"]) <= last_key and int(match["last"]) >= first_key:
                result.append(ArchiveFile(name, int(match["first"]), int(match["last"])))
        return sorted(result, key=lambda file: (file.first_key_ns, file.last_key_ns, file.name))

    def read(self, first_key: int, last_key: int) -> list[Record]:
        """The records with keys from `first_key` to `last_key` (both included), in log order.

        Records that were archived more than once come once.
        """
        files = self.files(first_key, last_key)
        found = sorted(record for file in files for record in self._records(file, first_key, last_key))
        return [next(same) for _, same in groupby(found, key=lambda record: record[:4])]

    def frame(self, first_key: int = 0, last_key: int = _LAST_KEY) -> pd.DataFrame:
        """The same as a table for people, in a notebook.

        Returns:
            Columns: time (of the key, UTC), key (ns since 1970), topic (categorical), partition, offset, and
            value (bytes: the message).
        """
        import pandas as pd  # takes most of a second

        found = pd.DataFrame(self.read(first_key, last_key), columns=list(Record._fields))
        found["topic"] = found["topic"].astype("category")
        found.insert(0, "time", pd.to_datetime(found["key_ns"], unit="ns", utc=True))
        return found.rename(columns={"key_ns": "key"})[
            ["time", "key", "topic", "partition", "offset", "value"]
        ]

    def read_file(self, file: ArchiveFile) -> list[Record]:
        """The records of one file, in log order."""
        return self._records(file, file.first_key_ns, file.last_key_ns)

    def first_offsets(self, from_key: int) -> dict[Partition, int]:
        """By partition, the lowest offset of a record with a key from `from_key` on."""
        first: dict[Partition, int] = {}
        for file in self.files(from_key):
            table = self._table(file, from_key, file.last_key_ns)
            lowest = table.group_by(["topic", "partition"]).aggregate([("offset", "min")])
            for row in lowest.to_pylist():
                partition = row["topic"], row["partition"]
                first[partition] = min(row["offset_min"], first.get(partition, row["offset_min"]))
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

    def offsets(self, file: ArchiveFile) -> dict[Partition, list[Range]]:
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

    def _records(self, file: ArchiveFile, first_key: int, last_key: int) -> list[Record]:
        table = self._table(file, first_key, last_key)
        with self._folder.errors("read", file.name):
            # The topics are few: each name is kept once. As plain text they are read ten times as fast.
            topics = map(sys.intern, table["topic"].cast(pa.string()).to_pylist())
            others = (table[name].to_pylist() for name in ("partition", "offset", "value"))
            return list(map(Record, table["key"].to_pylist(), topics, *others))

    def _table(self, file: ArchiveFile, first_key: int, last_key: int) -> pa.Table:
        with self._folder.errors("read", file.name):
            table = pq.read_table(
                self._folder.path_of(file.name),
                filesystem=self._folder.files,
                filters=[("key", ">=", first_key), ("key", "<=", last_key)],
                partitioning=None,  # a folder named like `a=b` would add a column
            )
            return table.replace_schema_metadata().cast(_SCHEMA)


def _table_of(records: Sequence[Record]) -> pa.Table:
    keys, topics, partitions, offsets, values, *_ = zip(*records, strict=True)
    names = sorted(set(topics))
    places = {name: place for place, name in enumerate(names)}
    columns = [
        numbers(pa.int64(), array("q", keys)),
        few_texts(names, array("i", map(places.__getitem__, topics))),
        numbers(pa.int32(), array("i", partitions)),
        numbers(pa.int64(), array("q", offsets)),
        contents(pa.large_binary(), "q", values),
    ]
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _file(records: Sequence[Record], offsets: bytes) -> ArchiveFile:
    digest = hashlib.sha256(offsets)
    for key, topic, partition, offset, value, *_ in records:
        content = value or b""
        digest.update(f"\n{key} {topic} {partition} {offset} {len(content)} ".encode())
        digest.update(content)
    first, last = records[0].key_ns, records[-1].key_ns
    return ArchiveFile(f"{first:019d}-{last:019d}-{digest.hexdigest()[:16]}.parquet", first, last)


def _offsets_json(ranges: Mapping[Partition, list[Range]]) -> bytes:
    by_topic: dict[str, dict[str, list[Range]]] = {}
    for (topic, partition), found in ranges.items():
        by_topic.setdefault(topic, {})[str(partition)] = found
    return orjson.dumps({"format": _FORMAT, "offsets": by_topic}, option=orjson.OPT_SORT_KEYS)
