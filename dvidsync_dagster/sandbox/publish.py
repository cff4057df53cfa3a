"""Publishing to Kafka, as DVID does it: without waiting, the key being the time in nanoseconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import KafkaProducer

from dvidsync_dagster.sandbox.exchange import Message
from dvidsync_dagster.sandbox.instance import MAX_MESSAGE_BYTES


class Publisher:
    """A producer for the topics that begin with `prefix`.

    Args:
        servers: ``host:port,…`` of the brokers.
        prefix: what topic names begin with.
    """

    def __init__(self, servers: str, prefix: str) -> None:
        self._prefix = prefix
        self._producer: Any = KafkaProducer(
            bootstrap_servers=servers.split(","),
            # One record per batch: the embedded broker counts the last batch of a partition as one record.
            batch_size=0,
            max_request_size=MAX_MESSAGE_BYTES + 1024,
            # Idempotence keeps the records of a partition in order through a retry.
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
        )

    def publish(self, messages: Iterable[Message]) -> None:
        for message in messages:
            # DVID's producer refuses larger ones, too; they never reach Kafka.
            if len(message.value) <= MAX_MESSAGE_BYTES:
                self._producer.send(
                    self._prefix + message.topic, key=str(message.key).encode(), value=message.value
                )

    def flush(self) -> None:
        """Waits until everything is at the broker."""
        self._producer.flush()

    def close(self) -> None:
        self._producer.flush()
        self._producer.close()
