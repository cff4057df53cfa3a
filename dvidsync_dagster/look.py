"""A cheap look at how far a destination is behind: offsets and clocks, no records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dvidsync_dagster.config import InstanceChoice, SyncConfig
from dvidsync_dagster.dvid.client import DvidClient
from dvidsync_dagster.dvid.repo import RepoInfo, ServerInfo, read_repo_info, read_server_info
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.log.checkpoint import Checkpoint, PartitionPosition, Positions
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.log.topics import data_topic, repo_topic


@dataclass(frozen=True, slots=True)
class TopicPosition:
    """Both positions in one partition: what the log holds, and what comes next after the checkpoint.

    `next` is None where the checkpoint does not speak of the partition.
    """

    topic: str
    partition: int
    beginning: int
    end: int
    next: int | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found. `waiting` counts the records in the log that are not applied."""

    positions: tuple[TopicPosition, ...]
    clock: int

    @property
    def waiting(self) -> int:
        return sum(position.waiting for position in self.positions)


def look(config: SyncConfig, checkpoint: Checkpoint | None) -> Look:
    """Compare a checkpoint with what source and broker say now.

    Raises:
        ConfigurationError: a variable is unset, an instance does not exist, or no broker is known.
        ServerError, LogError: source or broker cannot be asked.
    """
    with DvidClient(config.source.url, token=config.source.token(), user=config.source.user) as source:
        info = read_server_info(source)
        repo = read_repo_info(source, config.repo)
    topics = log_topics(config, info, repo)
    with MutationLog(kafka_connection(config, info), topics) as log:
        return Look(tuple(_positions(log.beginning(), log.end(), checkpoint)), info.clock)


def kafka_connection(config: SyncConfig, info: ServerInfo) -> KafkaConnection:
    """The broker that the configuration names, or else the source.

    Raises:
        ConfigurationError: neither names one, or a variable with a secret is unset.
    """
    servers = tuple(config.kafka.servers or info.kafka_servers)
    if not servers:
        raise ConfigurationError(
            "kafka.servers",
            "is unset, and the source does not say where it logs (does it log to Kafka at all?)",
            "Set the source's [kafka] servers, or name the brokers here.",
        )
    return KafkaConnection(servers, **config.kafka.client_options())


def log_topics(config: SyncConfig, info: ServerInfo, repo: RepoInfo) -> list[str]:
    """The names of the topics to read: the repo's own, and one for each selected instance.

    Raises:
        ConfigurationError: a selected instance does not exist at the source.
    """
    prefix = info.topic_prefix if config.kafka.topic_prefix is None else config.kafka.topic_prefix
    suffixes = config.kafka.topic_suffixes
    uuids = [instance.data_uuid for instance in repo.instances.values()]
    if not isinstance(config.instances, str):
        uuids = [_data_uuid(choice, repo) for choice in config.instances]
    return [
        repo_topic(prefix, config.repo),
        *(data_topic(prefix, config.repo, uuid, suffixes.get(uuid, "")) for uuid in uuids),
    ]


def _data_uuid(choice: InstanceChoice, repo: RepoInfo) -> str:
    if choice.data_uuid is not None:
        return choice.data_uuid
    if choice.name not in repo.instances:
        known = ", ".join(sorted(repo.instances)) or "none"
        raise ConfigurationError(
            "instances", f"the source's repo has no instance {choice.name!r}", f"It has: {known}."
        )
    return repo.instances[choice.name].data_uuid


def _positions(
    beginning: Positions, end: Positions, checkpoint: Checkpoint | None
) -> Iterator[TopicPosition]:
    for topic, partitions in sorted(end.items()):
        for partition, last in sorted(partitions.items()):
            first = beginning.get(topic, {}).get(partition, PartitionPosition(0)).next
            known = checkpoint.positions.get(topic, {}).get(partition) if checkpoint is not None else None
            applied = _applied(known, last.next) if known is not None else first
            yield TopicPosition(
                topic=topic,
                partition=partition,
                beginning=first,
                end=last.next,
                next=known.next if known is not None else None,
                waiting=max(0, last.next - applied),
            )


def _applied(position: PartitionPosition, end: int) -> int:
    """How many of the offsets before `end` are applied."""
    beyond = sum(max(0, min(last, end) - first) for first, last in position.beyond)
    return min(position.next, end) + beyond
