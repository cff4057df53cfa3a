"""When a comparison last found that a destination holds all that its source holds, kept beside its
quarantine: what others may have changed there before makes no difference anymore."""

from __future__ import annotations

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.quarantine import quarantine_uri

_SUFFIX = ".agreed"


def remember_agreed(config: SyncConfig, destination: str, clock: int) -> None:
    """They agree in all that was read since then, by the source's clock (ns since 1970).

    Raises:
        ConfigurationError: no such kind of store.
        LogError: it cannot be written.
    """
    folder = _folder(config, destination)
    outdated = folder.names()
    name = f"{clock:020d}{_SUFFIX}"
    folder.write(name, b"")
    for each in outdated:
        if each < name:
            folder.remove(each)


def last_agreed(config: SyncConfig, destination: str) -> int:
    """The last such time; 0 if there is none. Raises as `remember_agreed`."""
    names = (name.removesuffix(_SUFFIX) for name in _folder(config, destination).names())
    return max((int(name) for name in names if name.isascii() and name.isdigit()), default=0)


def _folder(config: SyncConfig, destination: str) -> Folder:
    return Folder(quarantine_uri(config), "quarantine", config.repo, destination, "agreed")
