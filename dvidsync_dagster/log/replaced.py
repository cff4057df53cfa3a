"""What runs replaced at a destination without knowing whose it was, kept beside its quarantine.

A key, a neuron or an element that the destination had before it was met, and that the source changed, may be
what the source had before, or what people made there. Where nothing tells, the source is followed, and what
was there is kept in Parquet files. The name of each says how many values it holds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.quarantine import quarantine_uri

if TYPE_CHECKING:
    import pyarrow as pa

_SUFFIX = ".parquet"


class Replaced:
    """What is kept of one destination.

    Every method raises `LogError` if the folder cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, config: SyncConfig, destination: str) -> None:
        self._folder = Folder(quarantine_uri(config), "quarantine", config.repo, destination, "replaced")

    def text(self, values: str = "values") -> str:
        """For people: what is kept, and where; `values` can say how many."""
        return (
            f"{values} from before the first run, perhaps people's, replaced by the source's and kept in "
            f"{self._folder.path}"
        )

    def keep(self, version: str, instance: str, values: Mapping[str, bytes]) -> None:
        """Keep what the destination has, by item, before it is written. The same again makes no second file:
        a run that was killed in between is repeated."""
        import pyarrow as pa

        now = datetime.fromtimestamp(time.time_ns() // 1000 / 1e6, UTC)
        rows = [
            {
                "version": version,
                "instance": instance,
                # A key can hold what is no text.
                "item": item.encode(errors="backslashreplace").decode(),
                "value": values[item],
                "replaced": now,
            }
            for item in sorted(values)
        ]
        name = f"{len(rows):08d}-{_digest_of(rows)}{_SUFFIX}"
        self._folder.write_table(name, pa.Table.from_pylist(rows, schema=schema()))

    def count(self) -> int:
        """How many values are kept."""
        names = (name.partition("-") for name in self._folder.names() if name.endswith(_SUFFIX))
        return sum(int(count) for count, _, _ in names if count.isascii() and count.isdigit())


@cache
def schema() -> pa.Schema:
    """Of the files. An item is a key, a body, the name of a schema or a point; a value is what DVID holds, of
    neurons and elements as JSON."""
    import pyarrow as pa  # takes time to load, and most runs keep nothing

    return pa.schema(
        {
            "version": pa.string(),
            "instance": pa.string(),
            "item": pa.string(),
            "value": pa.large_binary(),
            "replaced": pa.timestamp("us", "UTC"),
        }
    )


def _digest_of(rows: Sequence[Mapping[str, Any]]) -> str:
    digest = blake2b(digest_size=12)
    for row in rows:
        for content in (
            row["version"].encode(),
            row["instance"].encode(),
            row["item"].encode(),
            row["value"],
        ):
            digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()
