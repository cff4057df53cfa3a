"""A bucket: one folder of an object store, or of this machine, with writes that are whole or not at all."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from dvidsync_dagster.config.bucket_place import BucketPlace, bucket_place
from dvidsync_dagster.config.fields import WrongValue
from dvidsync_dagster.errors import (
    AlreadyThere,
    ConfigurationError,
    OwnershipLost,
    StorageError,
    StorageUnreachable,
)

PATIENCE = timedelta(minutes=2)
"""How long a store that is busy or away is asked again."""
LARGEST = 64 << 20
"""Bytes of an object that is read as a whole."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Which content an object has. It is another one after each write."""

    etag: str
    generation: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was read."""

    content: bytes
    tag: Tag


class Bucket(ABC):
    """One folder of an object store, or of this machine. Names are those of objects below it: ``a/b.json``.

    Every method may raise StorageError; that of a folder ConfigurationError where its path is no folder's.
    """

    uri: str
    """As it is printed: without login."""
    storage_options: Mapping[str, str]
    """What delta-rs needs besides a table's URI. No logins: they are in the environment."""
    seconds_between_writes = 0.0
    """How often the store takes a write of one and the same object."""

    @classmethod
    def at(cls, uri: str, *, field: str = "bucket", patience: timedelta = PATIENCE) -> Bucket:
        """Open a bucket. Nothing is asked of it yet.

        Args:
            uri: gs://, s3://, az://, file:// or a path. Logins come from the environment, as object_store
                reads it.
            field: the configuration's field that names it.
            patience: how long a store that is busy or away is asked again, or a lock waited for.

        Raises:
            ConfigurationError: no such kind, a login in the URI, or packages are missing.
        """
        for package in ("deltalake", "obstore"):
            if importlib.util.find_spec(package) is None:
                raise ConfigurationError(
                    field, f"the package {package} is not installed", 'Install "dvidsync-dagster[bucket]".'
                )
        try:
            place = bucket_place(uri)
        except WrongValue as error:
            raise ConfigurationError(field, f"it {error.found}", error.remedy) from None
        if not place.scheme:
            return _folder(Path(place.folder), field, patience)
        return _of_store(place, field, patience)

    def lacks(self, name: str) -> str:
        """What is found where this object is missed, in words."""
        return f"it has no {name}"

    @abstractmethod
    def read(self, name: str) -> Stored | None:
        """An object; None if there is none. One that is too large is damage."""

    def create(self, name: str, content: bytes) -> Tag:
        """Write an object that must not be there yet. It may be there with this very content.

        Raises:
            AlreadyThere: it is there, with another content.
        """
        tag = self._settled(name, content, None)
        if tag is None:
            raise AlreadyThere(
                f"{self.uri}/{name}", "it is there already, with another content", "It is left as it is."
            )
        return tag

    def swap(self, name: str, content: bytes, tag: Tag) -> Tag:
        """Replace an object that must still be the one with this tag.

        Raises:
            OwnershipLost: it is not.
        """
        new = self._settled(name, content, tag)
        if new is None:
            raise OwnershipLost(f"{self.uri}/{name}: another run has written it. This run stops.")
        return new

    @abstractmethod
    def opened(self, name: str) -> pa.NativeFile:
        """An object, to read parts of it.

        Raises:
            SnapshotDamaged: there is none.
        """

    @abstractmethod
    def write(self, name: str, content: bytes | memoryview | Path) -> None:
        """Write an object, or a file as an object, whatever was there."""

    @abstractmethod
    def sizes(self, folder: str = "") -> dict[str, int]:
        """All objects below a folder, and how many bytes each has."""

    def names(self, folder: str = "") -> list[str]:
        """The same without sizes, in order."""
        return sorted(self.sizes(folder))

    @abstractmethod
    def delete(self, names: Iterable[str]) -> None:
        """Delete objects. One that is not there does no harm."""

    @abstractmethod
    def table_uri(self, path: str) -> str:
        """A table's URI as delta-rs and other readers of Delta take it."""

    @abstractmethod
    def _put(self, name: str, content: bytes, tag: Tag | None) -> Tag | None:
        """Write, if the object has this tag (None: if there is none). None if it has not."""

    def _settled(self, name: str, content: bytes, tag: Tag | None) -> Tag | None:
        """As `_put`; but an answer can be lost, and the store's client asks again: so look what is there."""
        try:
            new = self._put(name, content, tag)
        except StorageUnreachable:
            with suppress(StorageError):
                if ours := self._tag_of(name, content):
                    return ours
            raise
        return new or self._tag_of(name, content)

    def _tag_of(self, name: str, content: bytes) -> Tag | None:
        there = self.read(name)
        return there.tag if there is not None and there.content == content else None


def _folder(path: Path, field: str, patience: timedelta) -> Bucket:
    from dvidsync_dagster.snapshot.folder_bucket import FolderBucket

    return FolderBucket(path.expanduser().absolute(), field, patience)


def _of_store(place: BucketPlace, field: str, patience: timedelta) -> Bucket:
    from dvidsync_dagster.snapshot.object_store import ObjectStore

    return ObjectStore(place.scheme, place.name, place.folder, field, patience)
