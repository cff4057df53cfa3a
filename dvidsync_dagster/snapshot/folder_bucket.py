"""A folder of this machine as a bucket."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from dvidsync_dagster.errors import ConfigurationError, SnapshotDamaged, StorageUnreachable
from dvidsync_dagster.snapshot.answers import storage_error
from dvidsync_dagster.snapshot.store import LARGEST, Bucket, Stored, Tag

_LOOK_SECONDS = 0.05


class FolderBucket(Bucket):
    """A folder. Files whose names begin with a dot are its own: locks, and files that are being written.

    Args:
        field: the configuration's field that names it.
        patience: how long a lock is waited for that another process holds.
    """

    def __init__(self, path: Path, field: str, patience: timedelta) -> None:
        self.path = path
        self.uri = str(path)
        self.storage_options: Mapping[str, str] = {}
        self._field = field
        self._patience = patience

    def lacks(self, name: str) -> str:
        with self._errors(""):
            if not self.path.exists():
                return "there is no such folder"
            if not any(self.path.iterdir()):
                return "the folder is empty"
        return super().lacks(name)

    def read(self, name: str) -> Stored | None:
        with self._errors(name):
            try:
                with self._file(name).open("rb") as file:
                    content = file.read(LARGEST + 1)
            except FileNotFoundError:
                return None
        if len(content) > LARGEST:
            raise SnapshotDamaged(f"{self.uri}/{name}", "it is too large", "It is not what was written here.")
        return Stored(content, _tag(content))

    def opened(self, name: str) -> pa.NativeFile:
        with self._errors(name):
            return pa.OSFile(str(self._file(name)))

    def write(self, name: str, content: bytes | memoryview | Path) -> None:
        with self._errors(name), self._written(name, content) as fresh:
            fresh.replace(self._file(name))

    def sizes(self, folder: str = "") -> dict[str, int]:
        top = self._file(folder) if folder else self.path
        found: dict[str, int] = {}
        with self._errors(folder):
            for at, _, names in os.walk(top, onerror=_raise):
                for file in (Path(at, name) for name in names if not name.startswith(".")):
                    with suppress(FileNotFoundError):  # it is gone since
                        found[str(file.relative_to(self.path))] = file.stat().st_size
        return found

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            with self._errors(name):
                self._file(name).unlink(missing_ok=True)

    def table_uri(self, path: str) -> str:
        return str(self._file(path))

    def _put(self, name: str, content: bytes, tag: Tag | None) -> Tag | None:
        file = self._file(name)
        with self._errors(name), self._written(name, content) as fresh:
            if tag is None:
                # As delta-rs does it, which makes commits in the same folders.
                try:
                    file.hardlink_to(fresh)
                except FileExistsError:
                    return None
                return _tag(content)
            with self._locked(file):
                there = self.read(name)
                if there is None or there.tag != tag:
                    return None
                fresh.replace(file)
        return _tag(content)

    def _file(self, name: str) -> Path:
        parts = name.split("/")
        if not all(parts) or {".", ".."} & set(parts):
            raise ValueError(f"{name!r} is no name in a bucket")
        return self.path.joinpath(*parts)

    @contextmanager
    def _written(self, name: str, content: bytes | memoryview | Path) -> Iterator[Path]:
        """A file beside the one that is meant, safe on the disk; it is gone afterwards."""
        target = self._file(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with fresh.open("xb") as file:
                if isinstance(content, Path):
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield fresh
            _safe(target.parent)
        finally:
            with suppress(FileNotFoundError):
                fresh.unlink()

    @contextmanager
    def _locked(self, file: Path) -> Iterator[None]:
        """One process at a time looks at a file and replaces it. One that hangs is not waited for without
        end."""
        path = file.with_name(f".{file.name}.lock")
        with path.open("w") as lock:
            end = time.monotonic() + self._patience.total_seconds()
            while not _locked_at_once(lock.fileno()):
                if time.monotonic() >= end:
                    raise StorageUnreachable(
                        str(path),
                        f"another process still holds this lock after {self._patience.total_seconds():g} s",
                        "Nothing is lost. Run again; if it stays so, find that process (`fuser` or `lsof` "
                        "names it) and end it.",
                    )
                time.sleep(_LOOK_SECONDS)
            yield

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except (NotADirectoryError, FileExistsError) as error:
            self._refuse_file()
            raise storage_error(f"{self.uri}/{name}".rstrip("/"), error) from None
        except OSError as error:
            raise storage_error(f"{self.uri}/{name}".rstrip("/"), error) from None

    def _refuse_file(self) -> None:
        """The folder's path leads through folders alone."""
        for part in (self.path, *self.path.parents):
            if part.exists() and not part.is_dir():
                raise ConfigurationError(
                    self._field,
                    f"{part} is a file, and no folder",
                    "Name a folder. One that is not there is made.",
                ) from None


def _tag(content: bytes) -> Tag:
    return Tag(hashlib.sha256(content).hexdigest())


def _locked_at_once(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _safe(folder: Path) -> None:
    """That a file is in a folder is safe on the disk only when the folder is."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
