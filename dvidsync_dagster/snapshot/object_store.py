"""A folder of an object store as a bucket, by obstore. delta-rs rests on the same client, object_store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import AzureStore, GCSStore, S3Store

from dvidsync_dagster.errors import ConfigurationError, SnapshotDamaged
from dvidsync_dagster.snapshot.answers import is_no_bucket, storage_error
from dvidsync_dagster.snapshot.logins import keep_logins_secret
from dvidsync_dagster.snapshot.store import LARGEST, Bucket, Stored, Tag

if TYPE_CHECKING:
    from obstore import PutResult, UpdateVersion

_KINDS: Mapping[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
_ENVIRONMENT = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}

_TIMEOUT, _CONNECT = timedelta(minutes=5), timedelta(seconds=10)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=100), timedelta(seconds=15)
_LARGEST_FILE = 4 << 30
_RETRIES = 1000
"""More than fit into anybody's patience, which is what bounds them."""


class ObjectStore(Bucket):
    """A folder of an object store.

    Args:
        scheme: gs, s3 or az.
        name: of the bucket or container.
        folder: below it; can be empty.
        field: the configuration's field that names it.
        patience: how long it is asked again.
    """

    def __init__(self, scheme: str, name: str, folder: str, field: str, patience: timedelta) -> None:
        keep_logins_secret()
        self.uri = f"{scheme}://{name}/{folder}".rstrip("/")
        self.seconds_between_writes = 1.0 if scheme == "gs" else 0.0
        self.storage_options = _for_delta(scheme, patience)
        try:
            self._store = _opened(scheme, name, folder, patience)
        except (BaseError, ValueError) as error:
            raise ConfigurationError(
                field, f"{self.uri} cannot be opened", storage_error(self.uri, error).found
            ) from None

    def read(self, name: str) -> Stored | None:
        with self._errors(name):
            try:
                got = obstore.get(self._store, name)
                if got.meta["size"] > LARGEST:
                    raise SnapshotDamaged(f"{self.uri}/{name}", "it is too large", _NOT_OURS)
                content = bytes(got.bytes())
            except FileNotFoundError as error:
                if is_no_bucket(error):
                    raise
                return None
        return Stored(content, _tag(got.meta["e_tag"], got.meta["version"]))

    def opened(self, name: str) -> pa.NativeFile:
        # Whole, and not by ranges: Arrow asks for those in threads of its own, which crash when Python ends.
        with self._errors(name):
            got = obstore.get(self._store, name)
            if got.meta["size"] > _LARGEST_FILE:
                raise SnapshotDamaged(f"{self.uri}/{name}", "it is too large", _NOT_OURS)
            return pa.BufferReader(pa.py_buffer(got.bytes()))

    def write(self, name: str, content: bytes | memoryview | Path) -> None:
        with self._errors(name):
            obstore.put(self._store, name, content)

    def sizes(self, folder: str = "") -> dict[str, int]:
        with self._errors(folder):
            pages = obstore.list(self._store, folder or None)
            return {each["path"]: each["size"] for page in pages for each in page}

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            with self._errors(name):
                try:
                    obstore.delete(self._store, name)
                except FileNotFoundError as error:
                    if is_no_bucket(error):
                        raise

    def table_uri(self, path: str) -> str:
        return f"{self.uri}/{path}"

    def _put(self, name: str, content: bytes, tag: Tag | None) -> Tag | None:
        with self._errors(name):
            try:
                if tag is None:
                    done = self._put_if(name, content, "create")
                else:
                    # A generation is given by stores that have them alone.
                    known: UpdateVersion = {"e_tag": tag.etag}
                    if tag.generation is not None:
                        known["version"] = tag.generation
                    done = self._put_if(name, content, known)
            except (AlreadyExistsError, PreconditionError):
                there = self.read(name)
                if (there.tag if there else None) == tag:
                    raise  # nobody has written it: the store has another reason
                return None
        return _tag(done["e_tag"], done["version"])

    def _put_if(self, name: str, content: bytes, mode: Literal["create"] | UpdateVersion) -> PutResult:
        return obstore.put(
            self._store,
            name,
            content,
            mode=mode,
            use_multipart=False,
            attributes={"Cache-Control": "no-cache"},
        )

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise storage_error(f"{self.uri}/{name}".rstrip("/"), error) from None


_YES = ("1", "true", "on", "yes", "y")
_NOT_OURS = "It is not what was written here."


def _opened(scheme: str, name: str, folder: str, patience: timedelta) -> Any:
    # What is given here takes the place of all of the environment's options for clients.
    allow_http = os.environ.get(f"{_ENVIRONMENT[scheme]}_ALLOW_HTTP", "").lower() in _YES
    return _KINDS[scheme](
        name,
        prefix=folder or None,
        client_options={"timeout": _TIMEOUT, "connect_timeout": _CONNECT, "allow_http": allow_http},
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": patience,
            "backoff": {"init_backoff": _FIRST_PAUSE, "max_backoff": _LONGEST_PAUSE, "base": 2},
        },
    )


def _for_delta(scheme: str, patience: timedelta) -> Mapping[str, str]:
    """The same for delta-rs."""
    return {
        "timeout": _text(_TIMEOUT),
        "connect_timeout": _text(_CONNECT),
        "max_retries": str(_RETRIES),
        "retry_timeout": _text(patience),
        "backoff_config.init_backoff": _text(_FIRST_PAUSE),
        "backoff_config.max_backoff": _text(_LONGEST_PAUSE),
        **({"conditional_put": "etag"} if scheme == "s3" else {}),
    }


def _text(time: timedelta) -> str:
    return f"{round(time.total_seconds() * 1000)}ms"


def _tag(etag: str | None, generation: str | None) -> Tag:
    return Tag(etag or "", generation)
