"""Records that a source never wrote."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
from kafka import KafkaProducer

from dvidsync_dagster.log.topics import data_topic, repo_topic


def forge(
    broker: str, prefix: str, url: str, root: str, instance: str | None, fields: dict[str, Any]
) -> None:
    """A record of this moment in the topic of an instance of the server at `url` or (None) of the repo."""
    info = httpx.get(f"{url}/api/repo/{root}/info").json()
    topic = repo_topic(prefix, root)
    if instance is not None:
        topic = data_topic(prefix, root, info["DataInstances"][instance]["Base"]["DataUUID"])
    producer = KafkaProducer(bootstrap_servers=broker, batch_size=0)
    producer.send(topic, key=str(time.time_ns()).encode(), value=json.dumps(fields).encode()).get(30)
    producer.close()
