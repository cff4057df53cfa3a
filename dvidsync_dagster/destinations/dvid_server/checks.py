"""What a server that is to follow must not be: the source itself, or fed its own changes."""

from __future__ import annotations

from contextlib import suppress

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.dvid.asking import ask_server, is_one_server
from dvidsync_dagster.dvid.opening import AT_ONCE, open_destination
from dvidsync_dagster.dvid.repo import RepoInfo, ServerInfo
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.dvid.writing import Nothing
from dvidsync_dagster.errors import ConfigurationError, ServerError
from dvidsync_dagster.outgoing_text import escaped


def check_server(
    config: SyncConfig,
    destination: DestinationConfig,
    source: Transport,
    source_info: ServerInfo,
    client: Transport,
) -> RepoInfo:
    """Ask a destination's server whether it can follow; what it says of the repo.

    Raises:
        ConfigurationError: it has no such repo, or is the source, or would be fed its own changes.
        ServerError: one of the two does not answer.
    """
    info, repo = ask_server(f"destinations[{destination.name}].url", client, config.repo)
    refuse_source(destination, source, client)
    _refuse_own_feed(config, f"destinations[{destination.name}]", source_info, info)
    return repo


def refuse_source(destination: DestinationConfig, source: Transport, client: Transport) -> None:
    """Raises ConfigurationError if the destination is the source, ServerError if one does not answer."""
    if is_one_server(source, client):
        raise ConfigurationError(
            f"destinations[{destination.name}].url",
            f"{client.url} and source.url ({source.url}) are one server under two names",
            "A destination is another server, with a copy of the source's repo.",
        )


def named_as_practice(destination: DestinationConfig, source: RepoInfo) -> str | None:
    """What to say of branches of the source that are called like practice branches; None without any."""
    practice = destination.practice
    branches = {version.branch for version in source.versions.values() if version.branch}
    names = sorted(name for name in branches if practice is not None and practice.names(name))
    if not names:
        return None
    return (
        f"the source has branches that are called like practice branches here: "
        f"{', '.join(escaped(name, 80) for name in names)}. They are followed as all others, but by their "
        f"names people cannot tell them from practice: choose another in {destination.field}.practice.branch"
    )


def refuse_named_twice(config: SyncConfig, destination: DestinationConfig, client: Transport) -> None:
    """Ask the other destinations, as far as they answer at once.

    Raises ConfigurationError if one is this server too: two runs at a time would work on it.
    """
    for other in config.servers:
        if other.name != destination.name and _answers_as(client, other):
            raise ConfigurationError(
                f"destinations[{destination.name}].url",
                f"{client.url} and destinations[{other.name}].url ({other.url}) are one server",
                "Name each server once.",
            )


def _answers_as(client: Transport, other: DestinationConfig) -> bool:
    # What ails another destination is told by its own runs.
    with (
        suppress(ServerError, ConfigurationError),
        open_destination(other, writes=Nothing(), patience=AT_ONCE) as another,
    ):
        return is_one_server(client, another)
    return False


def _refuse_own_feed(config: SyncConfig, field: str, source: ServerInfo, server: ServerInfo) -> None:
    servers = set(config.kafka.servers or source.kafka_servers)
    prefix = config.kafka.topic_prefix if config.kafka.topic_prefix is not None else source.topic_prefix
    if servers & set(server.kafka_servers) and server.topic_prefix == prefix:
        raise ConfigurationError(
            f"{field}.url",
            f"this server publishes to the same broker under the same prefix ({prefix!r}) as the source, so "
            f"the destination would be fed its own changes",
            "Give the destination another `topicPrefix`, or no [kafka], in its server configuration.",
        )
