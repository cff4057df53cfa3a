"""A folder of this machine as a bucket."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.snapshot.answers import storage_error
from dvidsync_dagster.snapshot.store import LARGEST, Bucket, Stored, Tag


class Folder(Bucket):
    """A folder. Files whose names begin with a dot are its own: locks, and files that are being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = str(path)
        self.storage_options: Mapping[str, str] = {}

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
            with _locked(file):
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
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(f"{self.uri}/{name}".rstrip("/"), error) from None


def _tag(content: bytes) -> Tag:
    return Tag(hashlib.sha256(content).hexdigest())


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time looks at a file and replaces it."""
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
