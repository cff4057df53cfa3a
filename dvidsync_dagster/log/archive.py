"""The archive of a log: its chunks as Parquet files in a folder or an object store.

A file is named ``FIRSTKEY-LASTKEY-DIGEST.parquet`` (keys with 19 digits), so that a window of time is found
by name, and the same records archived again are the same file. Its columns are those of `LogChunk.frame`; its
schema's metadata says which offsets it stands for, those that hold no record included.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from dvidsync_dagster.errors import ConfigurationError, LogError
from dvidsync_dagster.log.checkpoint import Positions, newly_applied
from dvidsync_dagster.log.chunk import COLUMNS
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
        try:
            if "://" in uri:
                self._files, self._folder = fs.FileSystem.from_uri(uri)
            else:
                self._files, self._folder = fs.LocalFileSystem(), str(Path(uri).absolute())
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ConfigurationError(
                "archive",
                f"pyarrow cannot use it ({type(error).__name__})",
                "Give a folder, or a URI such as gs://BUCKET/FOLDER or s3://BUCKET/FOLDER.",
            ) from None

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
        path = self._path(file.name)
        with self._errors("written"):
            if self._files.get_file_info(path).type == fs.FileType.File:
                return file
            table = pa.Table.from_pandas(frame[list(COLUMNS)], schema=_SCHEMA, preserve_index=False)
            sink = pa.BufferOutputStream()
            pq.write_table(table.replace_schema_metadata({_METADATA: offsets}), sink, compression="zstd")
            self._put(path, sink.getvalue())
        return file

    def files(self, first_key: int = 0, last_key: int = (1 << 63) - 1) -> list[ArchiveFile]:
        """The files that may hold keys from `first_key` to `last_key` (both included), in order."""
        with self._errors("read"):
            found = self._files.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        result = []
        for info in found:
            match = _FILE.fullmatch(info.base_name)
            if match and int(match["first"]) <= last_key and int(match["last"]) >= first_key:
                result.append(ArchiveFile(info.base_name, int(match["first"]), int(match["last"])))
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
        with self._errors("read", file.name):
            metadata = pq.read_schema(self._path(file.name), filesystem=self._files).metadata or {}
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
        with self._errors("read", file.name):
            table = pq.read_table(
                self._path(file.name),
                filesystem=self._files,
                filters=[("key", ">=", first_key), ("key", "<=", last_key)],
                partitioning=None,  # a folder named like `a=b` would add a column
            )
            return table.replace_schema_metadata().cast(_SCHEMA)

    def _put(self, path: str, content: pa.Buffer) -> None:
        if isinstance(self._files, fs.LocalFileSystem):
            _write_file(Path(path), content)
            return
        try:
            stream = self._files.open_output_stream(path)
        except FileNotFoundError:  # a store with folders
            self._files.create_dir(self._folder)
            stream = self._files.open_output_stream(path)
        # One write of the whole: an object appears when its upload is complete.
        with stream:
            stream.write(content)

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"

    @contextmanager
    def _errors(self, done: str, name: str = "") -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise LogError(
                f"the archive {self._path(name)} cannot be {done}: {type(error).__name__}: {error}. Check "
                f"that the store is reachable, that this user may use it and that the file is dvidsync's."
            ) from error


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


def _write_file(path: Path, content: pa.Buffer) -> None:
    """Write a local file that is there whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.unfinished")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
