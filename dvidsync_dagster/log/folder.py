"""A folder of files that are there whole or not at all: on this machine or in an object store."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dvidsync_dagster.errors import ConfigurationError, LogError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import fs


class Folder:
    """A folder.

    Args:
        uri: a path (``/data/log``), or what pyarrow takes (``file://``, ``s3://``, ``gs://``). Logins for
            object stores come from their usual places (environment, instance role).
        field: the configuration's field that names it; also what it is called in messages.
        inside: the names of folders below it, down to the one that is meant.

    Every method raises `LogError` if the store cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, uri: str, field: str, *inside: str) -> None:
        self._field = field
        self._store: fs.FileSystem | None = None
        if "://" in uri:
            self._store, folder = _opened(uri, field)
        else:
            folder = str(Path(uri).expanduser().absolute())
        self.path = "/".join([folder.rstrip("/"), *inside])

    @property
    def files(self) -> fs.FileSystem:
        """Its store, as pyarrow has it."""
        if self._store is None:
            from pyarrow import fs  # takes time to load, and most runs keep nothing

            self._store = fs.LocalFileSystem()
        return self._store

    def names(self) -> list[str]:
        """The files of the folder, in order; none if there is no such folder yet."""
        if self._store is None:
            return self._local_names()
        from pyarrow import fs

        with self.errors("read"):
            found = self.files.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def _local_names(self) -> list[str]:
        """Those of a folder on this machine. Each run asks, and most find none."""
        try:
            with os.scandir(self.path) as found:
                return sorted(each.name for each in found if each.is_file())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed("read", "", error) from error

    def has(self, name: str) -> bool:
        from pyarrow import fs

        with self.errors("read", name):
            return bool(self.files.get_file_info(self.path_of(name)).type == fs.FileType.File)

    def write_table(self, name: str, table: pa.Table, metadata: Mapping[bytes, bytes] | None = None) -> None:
        """Write a table as a Parquet file; `metadata` is that of its schema."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self.errors("written", name):
            sink = pa.BufferOutputStream()
            pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
            self._put(self.path_of(name), sink.getvalue())

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        import pyarrow as pa

        with self.errors("written", name):
            self._put(self.path_of(name), pa.py_buffer(content))

    def read_table(
        self,
        name: str,
        schema: pa.Schema,
        columns: Sequence[str] | None = None,
        *,
        later: Collection[str] = (),
    ) -> pa.Table:
        """A Parquet file's table with this schema, or only some columns of it.

        Args:
            later: columns that files of older releases lack; they are null there.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        chosen = schema if columns is None else pa.schema([schema.field(each) for each in columns])
        # `pq.read_table` loads what reads folders of files, which takes longer than the file.
        with self.errors("read", name), pq.ParquetFile(self.path_of(name), filesystem=self.files) as file:
            found = file.read(chosen.names).replace_schema_metadata()
            for column in set(later) - set(found.column_names):
                field = schema.field(column)
                found = found.append_column(field, pa.nulls(len(found), field.type))
            found = found.select(chosen.names)
            # What casts takes time to load.
            return found if found.schema.equals(chosen) else found.cast(chosen)

    def remove(self, name: str) -> None:
        with self.errors("changed", name):
            self.files.delete_file(self.path_of(name))

    def path_of(self, name: str) -> str:
        return f"{self.path}/{name}"

    @contextmanager
    def errors(self, done: str, name: str = "") -> Iterator[None]:
        """What goes wrong inside becomes a `LogError`; `done` is what could not be."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._failed(done, name, error) from error

    def _failed(self, done: str, name: str, error: Exception) -> LogError:
        return LogError(
            f"the {self._field} {self.path_of(name)} cannot be {done}: {type(error).__name__}: {error}. "
            f"Check that the store is reachable, that this user may use it and that the file is dvidsync's."
        )

    def _put(self, path: str, content: pa.Buffer) -> None:
        from pyarrow import fs

        if isinstance(self.files, fs.LocalFileSystem):
            _write_file(Path(path), content)
            return
        try:
            stream = self.files.open_output_stream(path)
        except FileNotFoundError:  # a store with folders
            self.files.create_dir(self.path)
            stream = self.files.open_output_stream(path)
        # One write of the whole: an object appears when its upload is complete.
        with stream:
            stream.write(content)


def _opened(uri: str, field: str) -> tuple[fs.FileSystem, str]:
    """A store and the folder in it. Raises ConfigurationError."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        store, folder = fs.FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigurationError(
            field,
            f"pyarrow cannot use it ({type(error).__name__})",
            "Give a folder, or a URI such as gs://BUCKET/FOLDER or s3://BUCKET/FOLDER.",
        ) from None
    return store, folder


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
