"""Records that a source never wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import httpx
from kafka import KafkaProducer

from dvidsync_dagster.log.topics import data_topic, repo_topic


def topic_of(prefix: str, url: str, root: str, instance: str | None) -> str:
    """The topic of an instance of the server at `url` or (None) of the repo."""
    info = httpx.get(f"{url}/api/repo/{root}/info").json()
    if instance is None:
        return repo_topic(prefix, root)
    return data_topic(prefix, root, info["DataInstances"][instance]["Base"]["DataUUID"])


def forge(
    broker: str, prefix: str, url: str, root: str, instance: str | None, fields: dict[str, Any]
) -> None:
    """A record of this moment in the topic of an instance of the server at `url` or (None) of the repo."""
    publish(broker, prefix, url, root, instance, json.dumps(fields).encode(), key=now())


def now() -> bytes:
    """The key of a record of this moment."""
    return str(time.time_ns()).encode()


def publish(
    broker: str,
    prefix: str,
    url: str,
    root: str,
    instance: str | None,
    value: bytes | None,
    *,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> tuple[str, int, int]:
    """Any record; returns its topic, partition and offset."""
    producer = KafkaProducer(bootstrap_servers=broker, batch_size=0)
    sent = producer.send(
        topic_of(prefix, url, root, instance), key=key, value=value, headers=list(headers)
    ).get(30)
    producer.close()
    return sent.topic, sent.partition, sent.offset
