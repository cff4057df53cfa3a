"""What follows a repo's log, a destination or an archive: each with its asset, job, pool and checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from dvidsync_dagster.config import AnyDestination, BucketConfig, DestinationConfig, StartTime, SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.orchestration.names import ARCHIVE, destination_key, kafka_key, log_key
from dvidsync_dagster.run.archiving import archive_log
from dvidsync_dagster.run.follow import Scope, follow
from dvidsync_dagster.run.lag import Look, look
from dvidsync_dagster.run.report import ChunkReport

if TYPE_CHECKING:
    from dvidsync_dagster.snapshot.reporting import TablesNow

Follow = Callable[
    [Checkpoint | None, int, Callable[[], None], Scope | None], Generator[ChunkReport, None, None]
]
"""Takes a checkpoint, the run's epoch, the look at the ownership, and the scope; as `sync.follow`."""


@dataclass(frozen=True)
class Follower:
    """What follows a repo's log.

    Args:
        name: among the repo's followers.
        key: of its asset; `parent` of what it reads.
        text: what it does, for people.
        follow: does it.
        look: tells cheaply how far it is behind; None if it cannot.
        tables_now: looks at the tables that a bucket holds; None if it is no bucket.
        start_key: where it starts without a checkpoint (ns since 1970), if the configuration says a time.
        checkpoint_file: the file that is read where Dagster has no checkpoint, and kept as a copy.
    """

    config: SyncConfig
    name: str
    key: dg.AssetKey
    parent: dg.AssetKey
    text: str
    kind: str
    follow: Follow
    look: Callable[[Checkpoint | None], Look] | None = None
    tables_now: Callable[[], TablesNow] | None = None
    start_key: int | None = None
    checkpoint_file: Path | None = None

    @property
    def title(self) -> str:
        """Repo and name, as its asset is shown."""
        return self.key.to_user_string()

    @property
    def job(self) -> str:
        """The job that lets it follow."""
        return f"follow_{self.config.repo_name}_{self.name}"

    @property
    def is_destination(self) -> bool:
        """Whether it is a server that can be compared and repaired, not the archive."""
        return self.name != ARCHIVE

    @property
    def repair_job(self) -> str:
        """The job that repairs it, if it is a destination."""
        return f"repair_{self.config.repo_name}_{self.name}"

    @property
    def maintenance_job(self) -> str:
        """The job that keeps its files few, if it is a bucket."""
        return f"maintain_{self.config.repo_name}_{self.name}"

    @property
    def quarantine_job(self) -> str:
        """The job that shows and changes its quarantine, if it is a destination."""
        return f"quarantine_{self.config.repo_name}_{self.name}"

    @property
    def practice_job(self) -> str:
        """The job that makes a practice branch, if people practise there."""
        return f"practice_{self.config.repo_name}_{self.name}"

    @property
    def score_job(self) -> str:
        """The job that shows the score sheet of a practice branch, if people practise there."""
        return f"score_{self.config.repo_name}_{self.name}"

    @property
    def pool(self) -> str:
        """The pool that lets one run at a time work on it."""
        return f"dvidsync_{self.config.repo_name}_{self.name}"


def followers(config: SyncConfig) -> list[Follower]:
    """The archive, if there is one, and the destinations of a repo."""
    archive = [archive_follower(config, config.archive)] if config.archive else []
    return [*archive, *(destination_follower(config, each) for each in config.destinations)]


def destination_follower(config: SyncConfig, destination: AnyDestination) -> Follower:
    """A destination, which applies the log."""

    def follow_source(
        checkpoint: Checkpoint | None, epoch: int, still_owner: Callable[[], None], scope: Scope | None
    ) -> Generator[ChunkReport, None, None]:
        return follow(
            config, destination, checkpoint=checkpoint, epoch=epoch, still_owner=still_owner, scope=scope
        )

    def tables_now() -> TablesNow:
        # What reads tables is an optional part of the installation.
        from dvidsync_dagster.destinations.bucket.configured_bucket import bucket_of
        from dvidsync_dagster.snapshot.reporting import TablesNow

        assert isinstance(destination, BucketConfig)
        return TablesNow(bucket_of(destination), destination.branch)

    # What a bucket begins with says where it starts, and it keeps its checkpoint itself.
    server = destination if isinstance(destination, DestinationConfig) else None
    start = server.start if server is not None else None
    file = server.checkpoint_file if server is not None else None
    return Follower(
        config=config,
        name=destination.name,
        key=destination_key(config, destination),
        parent=log_key(config) if config.archive else kafka_key(config),
        text=_text(config, destination),
        kind="dvid" if server is not None else "deltalake",
        follow=follow_source,
        look=lambda checkpoint: look(config, destination, checkpoint),
        tables_now=tables_now if isinstance(destination, BucketConfig) else None,
        start_key=start.key_ns if isinstance(start, StartTime) else None,
        checkpoint_file=Path(file) if file else None,
    )


def _text(config: SyncConfig, destination: AnyDestination) -> str:
    source = f"{config.source.url}, repo {config.repo}"
    if isinstance(destination, BucketConfig):
        return f"{destination.place} holds a snapshot of branch {destination.branch} of {source}, as tables."
    return f"{destination.place} follows {source}."


def archive_follower(config: SyncConfig, uri: str) -> Follower:
    """The archive, which keeps the log. It goes forward only: windows that it has are archived already."""

    def keep(
        checkpoint: Checkpoint | None, epoch: int, still_owner: Callable[[], None], scope: Scope | None
    ) -> Generator[ChunkReport, None, None]:
        from dvidsync_dagster.log.archive import LogArchive  # what writes tables takes time to load

        return archive_log(
            config,
            LogArchive(uri),
            checkpoint=checkpoint,
            epoch=epoch,
            still_owner=still_owner,
            upto=scope.to_ns if scope is not None else None,
        )

    return Follower(
        config=config,
        name=ARCHIVE,
        key=log_key(config),
        parent=kafka_key(config),
        text=f"The log of {config.source.url}, repo {config.repo}, kept as Parquet.",
        kind="parquet",
        follow=keep,
    )
