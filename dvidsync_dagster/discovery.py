"""What a run follows: asked of both servers at its start, and refused there if it makes no sense."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from dvidsync_dagster.config import DestinationConfig, StartTime, SyncConfig
from dvidsync_dagster.datatypes.place import SourcePlaces
from dvidsync_dagster.datatypes.registry import FOLLOWED_TYPES
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import Instance, RepoInfo, ServerInfo, read_repo_info, read_server_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ConfigurationError, RequestRefused
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.topics import data_topic, old_data_topic, repo_topic
from dvidsync_dagster.same_server import refuse_source

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Route:
    """What leads from the source to a destination.

    Args:
        clock: the source's time at the start of the run, ns since 1970; `repo` was read after it.
        now: the source's time now, ns since 1970.
        repo: the source's repo.
        topics: by name, the instance whose messages it holds; None for the repo's own operations.
        versions: the selected versions and the ancestors that they need; None for all.
        next_labels: by labelmap instance, its counter, read after `repo`. Once all that was announced up to
            then is applied, the copy's must be there too.
        not_followed: instances whose data type is not followed, or that are not selected, or that are the
            destination's own, by name: as what they are counted.
        source_started: when the source's process began, by the clock of `clock`; None if it does not tell.
    """

    clock: int
    now: Callable[[], int]
    repo: RepoInfo
    connection: KafkaConnection
    topics: Mapping[str, Instance | None]
    versions: frozenset[str] | None
    next_labels: Mapping[str, int]
    not_followed: Mapping[str, str]
    source_started: int | None = None

    @property
    def places(self) -> SourcePlaces:
        return SourcePlaces(self.repo, self.clock)


def discover(
    config: SyncConfig,
    destination: DestinationConfig,
    source: Transport,
    copy: Transport,
    *,
    born_since: int | None,
) -> Route:
    """Ask both servers.

    Args:
        born_since: the key from which the log is read (ns since 1970), None for the source's time now; an
            instance that is younger is made by the log.

    Raises:
        ConfigurationError: a field does not fit what the servers say.
        ServerError: a server does not answer.
    """
    # The clock first: what the log announces before it is in the repo's info that is read after it.
    source_info, repo = ask_server("source.url", source, config.repo)
    field = f"destinations[{destination.name}]"
    copy_info, copied = ask_server(f"{field}.url", copy, config.repo)
    refuse_source(destination, source, copy)
    _refuse_own_feed(config, field, source_info, copy_info)
    if born_since is None:
        born_since = source_info.clock
    elif born_since > source_info.clock:
        born_since = 0  # One of two clocks was wrong: it tells nothing.
    instances = _instances(config, destination, repo, copied, born_since)
    followed = {
        instance.name
        for instance in instances
        if instance.typename in FOLLOWED_TYPES and instance.name not in destination.own
    }
    return Route(
        clock=source_info.clock,
        now=source_info.now,
        repo=repo,
        connection=kafka_connection(config, source_info),
        topics=log_topics(config, source_info, instances),
        versions=select_versions(config, repo),
        next_labels={
            instance.name: Labelmap(source, instance.name).next_label(config.repo)
            for instance in instances
            if instance.typename == "labelmap" and instance.name in followed
        },
        not_followed={
            name: f"{instance.typename} {name}" + (" (own)" if name in destination.own else "")
            for name, instance in repo.instances.items()
            if name not in followed
        },
        source_started=source_info.started,
    )


def refuse_future(destination: DestinationConfig, clock: int) -> None:
    """A start ahead of the source's clock (ns since 1970) would leave out all that is done until then.

    Raises:
        ConfigurationError: it is.
    """
    start = destination.chosen_start()
    if isinstance(start, StartTime) and start.key > clock:
        raise ConfigurationError(
            f"destinations[{destination.name}].start",
            f"{key_text(start.key)} is in the future: the source's clock says {key_text(clock)}",
            "Give the time at which the destination was copied from the source; check the year and the zone, "
            "and the source's clock.",
        )


def select_versions(config: SyncConfig, repo: RepoInfo) -> frozenset[str] | None:
    """The versions on the configured branches with all their ancestors; None if all branches are wanted."""
    if config.branches == ["all"]:
        return None
    known = {version.branch or "master" for version in repo.versions.values()}
    for index, name in enumerate(config.branches):
        if name not in known:
            raise ConfigurationError(
                f"branches[{index}]",
                f"the repo has no branch {name!r}",
                f"It has {', '.join(sorted(known))}; `all` follows every one.",
            )
    selected: set[str] = set()
    for version in repo.versions.values():
        if (version.branch or "master") in config.branches:
            selected |= repo.ancestors(version.uuid)
    return frozenset(selected)


def ask_server(field: str, client: Transport, root: str) -> tuple[ServerInfo, RepoInfo]:
    """What the server says of itself, and after it of the repo.

    Raises:
        ConfigurationError: `field` names no DVID server, or one that has no such repo.
        ServerError: it does not answer as it should, which is no word about the configuration.
    """
    try:
        info = read_server_info(client)
    except RequestRefused as refusal:
        raise ConfigurationError(
            field, f"no DVID server answers there ({refusal})", "Check the address."
        ) from refusal
    try:
        return info, read_repo_info(client, root)
    except RequestRefused as refusal:
        raise ConfigurationError(
            "repo",
            f"{root} is not at {client.url} ({field}): {refusal.text.rstrip('.')}",
            "A destination is a copy of the source's repo, with the same root UUID.",
        ) from refusal


def _refuse_own_feed(config: SyncConfig, field: str, source: ServerInfo, copy: ServerInfo) -> None:
    servers = set(config.kafka.servers or source.kafka_servers)
    prefix = config.kafka.topic_prefix if config.kafka.topic_prefix is not None else source.topic_prefix
    if servers & set(copy.kafka_servers) and copy.topic_prefix == prefix:
        raise ConfigurationError(
            f"{field}.url",
            f"this server publishes to the same broker under the same prefix ({prefix!r}) as the source, so "
            f"the copy would be fed its own changes",
            "Give the copy another `topicPrefix`, or no [kafka], in its server configuration.",
        )


def log_topics(
    config: SyncConfig, source: ServerInfo, instances: Iterable[Instance]
) -> dict[str, Instance | None]:
    """The topics of the repo's own operations (None) and of the instances; without a prefix, under the old
    name too."""
    prefix = config.kafka.topic_prefix if config.kafka.topic_prefix is not None else source.topic_prefix
    topics: dict[str, Instance | None] = {repo_topic(prefix, config.repo): None}
    for instance in instances:
        suffix = config.kafka.topic_suffixes.get(instance.data_uuid, "")
        topics[data_topic(prefix, config.repo, instance.data_uuid, suffix)] = instance
        if not prefix:
            # The old names have none: beside a prefix they are another server's.
            topics[old_data_topic(config.repo, instance.data_uuid)] = instance
    return topics


def kafka_connection(config: SyncConfig, source: ServerInfo) -> KafkaConnection:
    """The configured broker, or the one that the source names. Raises ConfigurationError if there is none."""
    servers = tuple(config.kafka.servers or source.kafka_servers)
    if not servers:
        raise ConfigurationError(
            "kafka.servers",
            "is unset and the source does not log to Kafka",
            "Name the broker, or give the source a [kafka] section.",
        )
    return KafkaConnection(servers=servers, **config.kafka.client_options())


def _instances(
    config: SyncConfig, destination: DestinationConfig, repo: RepoInfo, copied: RepoInfo, born_since: int
) -> list[Instance]:
    field = f"destinations[{destination.name}]"
    chosen = chosen_instances(config, repo)
    for instance in chosen:
        if instance.typename not in FOLLOWED_TYPES or instance.name in destination.own:
            continue
        twin = copied.instances.get(instance.name)
        renamed = {each.data_uuid: each.name for each in copied.instances.values()}.get(instance.data_uuid)
        if twin is None and renamed is not None:
            raise ConfigurationError(
                f"{field}.url",
                f"the destination calls {instance.name!r} {renamed!r}",
                "Rename it there too, with the server's own command line (`dvid repo UUID rename`).",
            )
        # The repo's log knows the second alone: what was made in that of the start may still come.
        if twin is None and born(repo, instance.name) + _SECOND <= born_since:
            raise ConfigurationError(
                f"{field}.url",
                f"the destination has no instance {instance.name!r}, and the log from here on makes none",
                "Let `dvidsync repair` make it there, start earlier, or name the instances to follow in "
                "`instances`.",
            )
        if twin is not None and is_another(instance, twin, repo, copied):
            raise ConfigurationError(
                f"{field}.url",
                f"{instance.name!r} there is not the source's: that was made anew, or renamed",
                "Delete or rename it there, then let `dvidsync repair` make it; or name the instances to "
                "follow in `instances`.",
            )
        if twin is not None and twin.typename != instance.typename:
            raise ConfigurationError(
                f"{field}.url",
                f"{instance.name!r} is a {twin.typename} there and a {instance.typename} at the source",
                "Rename one of them, or name the instances to follow in `instances`.",
            )
    return chosen


def is_another(instance: Instance, twin: Instance, repo: RepoInfo, copied: RepoInfo) -> bool:
    """Whether the destination's instance of that name is the copy of another one of the source.

    An instance has the source's data UUID if it came with a copied folder, one of its own if it was made at
    the destination. It is an older one if the source has made one by that name since, the destination not.
    """
    if twin.data_uuid == instance.data_uuid:
        return False
    if any(twin.data_uuid == other.data_uuid for other in repo.instances.values()):
        return True
    made, made_there = births(repo, instance.name), births(copied, instance.name)
    return len(made_there) < len(made) and max(made_there, default=0) < max(made)


def chosen_instances(config: SyncConfig, repo: RepoInfo) -> list[Instance]:
    """The configured instances. Raises ConfigurationError if the source lacks one."""
    if config.instances == "all":
        return list(repo.instances.values())
    chosen = []
    for index, choice in enumerate(config.instances):
        instance = repo.instances.get(choice.name)
        if instance is None or choice.data_uuid not in (None, instance.data_uuid):
            wrong = "no instance of that name" if instance is None else f"{instance.data_uuid} by that name"
            raise ConfigurationError(
                f"instances[{index}]",
                f"{choice.name} {choice.data_uuid or ''}: the source has {wrong}",
                f"It has {', '.join(sorted(repo.instances))}.",
            )
        chosen.append(instance)
    return chosen


def born(repo: RepoInfo, instance: str) -> int:
    """When an instance was made (ns since 1970), from the repo's log; 0 if that does not say."""
    return max(births(repo, instance), default=0)


def births(repo: RepoInfo, instance: str) -> list[int]:
    """When instances of that name were made (ns since 1970), from the repo's log."""
    found = []
    for line in repo.log:
        moment, _, text = line.partition("  ")
        if text.startswith(f'New data instance "{instance}" '):
            with suppress(ValueError):
                found.append(int(datetime.fromisoformat(moment).timestamp()) * 1_000_000_000)
    return found
