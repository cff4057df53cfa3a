"""Bodies that a repair is bringing to the source's state, in files beside the quarantine of the destination.

Each of its commands signs a body as the source's last change, also where more of them are to come. A repair
that is killed in between leaves bodies that look as if they were the source's. Runs leave alone what is named
here, until a repair has done that version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.quarantine import quarantine_uri

if TYPE_CHECKING:
    import pyarrow as pa

_SUFFIX = ".begun"
"""They are Parquet: one for each instance and version."""


class BegunRepairs:
    """What is begun at one destination. Only whoever owns the destination may change it.

    Every method raises `LogError` if the folder cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, config: SyncConfig, destination: str) -> None:
        self._folder = Folder(quarantine_uri(config), "quarantine", config.repo, destination, "begun")
        self._names = {name for name in self._folder.names() if name.endswith(_SUFFIX)}

    def bodies(self) -> frozenset[tuple[str, str, int]]:
        """Instance, version and label of each."""
        return frozenset(each for name in self._names for each in self._read(name))

    def begin(self, version: str, instance: str, bodies: Collection[int]) -> None:
        """These are about to be changed."""
        if not bodies:
            return
        import pyarrow as pa

        name = _name(version, instance)
        known = {body for _, _, body in self._read(name)} if name in self._names else set[int]()
        rows = [
            {"version": version, "instance": instance, "body": body} for body in sorted(known | set(bodies))
        ]
        self._folder.write_table(name, pa.Table.from_pylist(rows, _schema()))
        self._names.add(name)

    def done(self, versions: Collection[str]) -> None:
        """A repair has done all that it can in these versions."""
        for instance, version in {(instance, version) for instance, version, _ in self.bodies()}:
            if version in versions:
                self._folder.remove(_name(version, instance))
                self._names.discard(_name(version, instance))

    def _read(self, name: str) -> Iterator[tuple[str, str, int]]:
        for row in self._folder.read_table(name, _schema()).to_pylist():
            yield row["instance"], row["version"], row["body"]


def _name(version: str, instance: str) -> str:
    # Names of instances and of tags are no names of files.
    return sha256(f"{version} {instance}".encode()).hexdigest()[:32] + _SUFFIX


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("version", pa.string()), ("instance", pa.string()), ("body", pa.uint64())])
