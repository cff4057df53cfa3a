"""Publishing to Kafka, as DVID does it: without waiting, the key being the time in nanoseconds."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from dvid_sandbox.exchange import Message
from dvid_sandbox.instance import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 30.0
# How long an answer waits at most for a broker that does not say where a new topic is.
TOPIC_MILLISECONDS = 5000


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
            # Retries must not change the order of a partition's records.
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            max_block_ms=TOPIC_MILLISECONDS,
        )

    def publish(self, messages: Iterable[Message]) -> None:
        """Hands messages to the producer. One that cannot be sent is lost, as at DVID."""
        for message in messages:
            if len(message.value) > MAX_MESSAGE_BYTES:
                logger.error("lost a message of %d bytes for %s", len(message.value), message.topic)
                continue
            try:
                self._producer.send(
                    self._prefix + message.topic, key=str(message.key).encode(), value=message.value
                )
            except KafkaError as error:
                logger.error("lost a message for %s: %r", message.topic, error)

    def flush(self) -> None:
        """Waits until everything is at the broker, if it is there."""
        try:
            self._producer.flush(FLUSH_SECONDS)
        except KafkaError as error:
            logger.error("some messages did not reach the broker: %r", error)

    def close(self) -> None:
        self.flush()
        self._producer.close(timeout=1)
