"""What a run follows: asked of the source at its start, and refused there if it makes no sense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dvidsync_dagster.config import AnyDestination, BucketConfig, StartTime, SyncConfig
from dvidsync_dagster.datatypes.registry import FOLLOWED
from dvidsync_dagster.datatypes.source_places import SourcePlaces
from dvidsync_dagster.dvid.asking import ask_server
from dvidsync_dagster.dvid.repo import Instance, RepoInfo, ServerInfo
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.topics import data_topic, old_data_topic, repo_topic

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Route:
    """What leads from the source to a destination.

    Args:
        source: what the source says of itself.
        repo: its repo, read after that.
        topics: by name, the instance whose messages it holds; None for the repo's own operations.
        versions: the selected versions and the ancestors that they need; None for all.
        counters: by instance, its counter of ids, read after `repo`. Once all that was announced up to then
            is applied, the destination's must stand there too.
        followed: the instances that are followed.
        not_followed: those whose data type is not followed, or that are not selected, or that are the
            destination's own, by name: as what they are counted.
    """

    source: ServerInfo
    repo: RepoInfo
    connection: KafkaConnection
    topics: Mapping[str, Instance | None]
    versions: frozenset[str] | None
    counters: Mapping[str, int]
    followed: Sequence[Instance]
    not_followed: Mapping[str, str]

    @property
    def clock(self) -> int:
        """The source's time at the start of the run, ns since 1970; `repo` was read after it."""
        return self.source.clock

    def now(self) -> int:
        """The source's time now, ns since 1970."""
        return self.source.now()

    @property
    def places(self) -> SourcePlaces:
        return SourcePlaces(self.repo, self.clock)


def discover(config: SyncConfig, destination: AnyDestination, source: Transport) -> Route:
    """Ask the source.

    Raises:
        ConfigurationError: a field does not fit what it says.
        ServerError: it does not answer.
    """
    # The clock first: what the log announces before it is in the repo's info that is read after it.
    info, repo = ask_server("source.url", source, config.repo)
    instances = chosen_instances(config, repo)
    followed = [
        instance
        for instance in instances
        if instance.typename in FOLLOWED and instance.name not in destination.own
    ]
    names = {instance.name for instance in followed}
    return Route(
        source=info,
        repo=repo,
        connection=kafka_connection(config, info),
        topics=log_topics(config, info, instances),
        versions=select_versions(config, destination, repo),
        counters=_counters(source, config.repo, followed),
        followed=followed,
        not_followed={
            name: f"{instance.typename} {name}" + (" (own)" if name in destination.own else "")
            for name, instance in repo.instances.items()
            if name not in names
        },
    )


def _counters(source: Transport, root: str, instances: Iterable[Instance]) -> dict[str, int]:
    asked = {each.name: FOLLOWED[each.typename].counter(source, each.name, root) for each in instances}
    return {name: next_id for name, next_id in asked.items() if next_id is not None}


def refuse_future(destination: AnyDestination, clock: int) -> None:
    """A start ahead of the source's clock (ns since 1970) would leave out all that is done until then.

    Raises:
        ConfigurationError: it is.
    """
    start = destination.chosen_start()
    if isinstance(start, StartTime) and start.key_ns > clock:
        raise ConfigurationError(
            f"{destination.field}.start",
            f"{key_text(start.key_ns)} is in the future: the source's clock says {key_text(clock)}",
            "Give the time at which the destination was copied from the source; check the year and the zone, "
            "and the source's clock.",
        )


def select_versions(config: SyncConfig, destination: AnyDestination, repo: RepoInfo) -> frozenset[str] | None:
    """The versions on the branches that a destination follows, with all their ancestors; None if all
    branches are wanted."""
    if isinstance(destination, BucketConfig):
        branches = {f"{destination.field}.branch": destination.branch}
    elif config.branches == ["all"]:
        return None
    else:
        branches = {f"branches[{index}]": name for index, name in enumerate(config.branches)}
    known = {version.branch or "master" for version in repo.versions.values()}
    for field, name in branches.items():
        if name not in known:
            every = "" if isinstance(destination, BucketConfig) else "; `all` follows every one"
            raise ConfigurationError(
                field, f"the repo has no branch {name!r}", f"It has {', '.join(sorted(known))}{every}."
            )
    selected: set[str] = set()
    for version in repo.versions.values():
        if (version.branch or "master") in branches.values():
            selected |= repo.ancestors(version.uuid)
    return frozenset(selected)


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


def check_instances(
    destination: AnyDestination, route: Route, copied: RepoInfo, born_since: int | None
) -> None:
    """Compare the instances that are followed with what a destination has.

    Args:
        copied: the destination's repo.
        born_since: the key from which the log is read (ns since 1970), None for the source's time now; an
            instance that is younger is made by the log.

    Raises:
        ConfigurationError: one is missing, or is another.
    """
    repo = route.repo
    if born_since is None:
        born_since = route.clock
    elif born_since > route.clock:
        born_since = 0  # One of two clocks was wrong: it tells nothing.
    field = destination.field
    for instance in route.followed:
        in_copy = copied.instances.get(instance.name)
        renamed = {each.data_uuid: each.name for each in copied.instances.values()}.get(instance.data_uuid)
        if in_copy is None and renamed is not None:
            raise ConfigurationError(
                f"{field}.url",
                f"the destination calls {instance.name!r} {renamed!r}",
                "Rename it there too, with the server's own command line (`dvid repo UUID rename`).",
            )
        # The repo's log knows the second alone: what was made in that of the start may still come.
        if in_copy is None and repo.born(instance.name) + _SECOND <= born_since:
            raise ConfigurationError(
                f"{field}.url",
                f"the destination has no instance {instance.name!r}, and the log from here on makes none",
                "Let `dvidsync repair` make it there, start earlier, or name the instances to follow in "
                "`instances`.",
            )
        if in_copy is not None and is_another(instance, in_copy, repo, copied):
            raise ConfigurationError(
                f"{field}.url",
                f"{instance.name!r} there is not the source's: that was made anew, or renamed",
                "Delete or rename it there, then let `dvidsync repair` make it; or name the instances to "
                "follow in `instances`.",
            )
        if in_copy is not None and in_copy.typename != instance.typename:
            raise ConfigurationError(
                f"{field}.url",
                f"{instance.name!r} is a {in_copy.typename} there and a {instance.typename} at the source",
                "Rename one of them, or name the instances to follow in `instances`.",
            )


def is_another(instance: Instance, in_copy: Instance, repo: RepoInfo, copied: RepoInfo) -> bool:
    """Whether the destination's instance of that name is the copy of another one of the source.

    An instance has the source's data UUID if it came with a copied folder, one of its own if it was made at
    the destination. It is an older one if the source has made one by that name since, the destination not.
    """
    if in_copy.data_uuid == instance.data_uuid:
        return False
    if any(in_copy.data_uuid == other.data_uuid for other in repo.instances.values()):
        return True
    made, made_there = repo.births(instance.name), copied.births(instance.name)
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
