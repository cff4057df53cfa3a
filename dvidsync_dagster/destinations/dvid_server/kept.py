"""What is kept of a DVID server from run to run, in files beside its quarantine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.agreed import last_agreed
from dvidsync_dagster.log.begun_repairs import BegunRepairs
from dvidsync_dagster.log.digests import KeptDigests
from dvidsync_dagster.log.kept_behind import KeptBehind
from dvidsync_dagster.log.replaced import Replaced


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one destination.

    Args:
        digests: of the values that runs have brought.
        replaced: values that were replaced, and that people may have made.
        behind: what events that were left out have touched.
        begun: the bodies (instance, version, label) of a repair that did not end.
        agreed: when the last comparison began that found no difference (ns since 1970, the source's clock).
    """

    digests: KeptDigests
    replaced: Replaced
    behind: KeptBehind
    begun: frozenset[tuple[str, str, int]]
    agreed: Callable[[], int]

    @classmethod
    def of(cls, config: SyncConfig, destination: str, note: Callable[[str], None]) -> Kept:
        """What is kept of a destination, by its name; `note` says something once per run.

        Raises:
            ConfigurationError: no such kind of store.
        """
        return cls(
            digests=KeptDigests(config, destination, note),
            replaced=Replaced(config, destination),
            behind=KeptBehind(config, destination),
            begun=BegunRepairs(config, destination).bodies(),
            agreed=partial(last_agreed, config, destination),
        )
