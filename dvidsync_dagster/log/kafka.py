"""How to reach the source's Kafka broker, and what it means when that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import (
    AuthorizationError,
    KafkaConfigurationError,
    KafkaError,
    SaslAuthenticationFailedError,
)

from dvidsync_dagster.errors import BrokerLoginRefused, BrokerUnreachable, ConfigurationError
from dvidsync_dagster.log.kafka_batches import read_batches_in_one_go
from dvidsync_dagster.outgoing_text import escaped

_SECRETS = ("ssl_password", "sasl_plain_username", "sasl_plain_password")

_FETCH_WAIT_MS = 50
"""So long a broker may hold back an answer without records. A partition that is read again, after others had
to catch up, is asked for only behind that: kafka-python's own 500 cost half a second for 32,000 records."""

FETCH_BYTES = 3 << 18
"""Bytes of one answer, or a single batch of records if that is larger. Kafka's own 50 MB never come over a
slow link: each try ends with the timeout. This much comes in time where 32 KiB come in a second, the slowest
that servers may be."""

RECEIVED_BYTES = 1 << 30
"""Bytes of one answer that are taken at all. An answer of more than kafka-python's own 100 MB is refused and
asked for again at once, without end, and each try takes memory."""


class _Hidden(str):
    """kafka-python writes its options to its debug log, as `repr`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Where the broker is and how to log in. Named as kafka-python names them.

    `timeout_seconds` bounds every wait for the broker: who answers nothing for that long is unreachable.
    """

    servers: tuple[str, ...]
    security_protocol: str = "PLAINTEXT"
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = field(default=None, repr=False)
    sasl_mechanism: str | None = None
    sasl_plain_username: str | None = field(default=None, repr=False)
    sasl_plain_password: str | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    _clusters: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)
    """What the brokers told of themselves, as kafka-python keeps it up to date."""

    def __post_init__(self) -> None:
        if not self.servers or not all(self.servers):
            raise ConfigurationError(
                "kafka.servers", "no broker is named", "Write each broker such as kafka1.example.org:9092."
            )

    def consumer(self) -> KafkaConsumer:
        """A consumer that belongs to no group, commits nothing, makes no topics and never resets an offset.

        Raises:
            BrokerUnreachable: no broker answered in time.
            ConfigurationError: kafka-python does not take the options.
        """
        read_batches_in_one_go()
        with self.errors(), self._option_errors():
            consumer = KafkaConsumer(
                **self._options(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                allow_auto_create_topics=False,
                isolation_level="read_committed",
                fetch_max_bytes=FETCH_BYTES,
                receive_message_max_bytes=RECEIVED_BYTES,
                fetch_max_wait_ms=_FETCH_WAIT_MS,
            )
        self._clusters.append(consumer._cluster)
        return consumer

    def admin(self) -> KafkaAdminClient:
        """A client that asks for metadata. Errors as `consumer`."""
        with self.errors(), self._option_errors():
            return KafkaAdminClient(**self._options())

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what kafka-python raises into errors of the log, without any secret.

        The original is not chained: its text could quote the login.
        """
        try:
            yield
        except (AuthorizationError, SaslAuthenticationFailedError) as error:
            raise BrokerLoginRefused(
                f"Kafka at {self._where} does not let this user read: {self._text(error)}. Check "
                f"kafka.sasl_*, and grant it DESCRIBE and READ on the topics of the mutation log."
            ) from None
        except (KafkaError, OSError) as error:
            raise BrokerUnreachable(
                f"Kafka at {self._where} cannot be read: {self._text(error)}.{self._advertised()} Nothing is "
                f"lost: the next run goes on from the checkpoint. Check that the broker is up and reachable "
                f"from here, and protocol, certificates and login; the log of `kafka` says which of them "
                f"failed."
            ) from None

    @contextmanager
    def _option_errors(self) -> Iterator[None]:
        try:
            yield
        except (KafkaConfigurationError, ValueError) as error:
            raise ConfigurationError(
                "kafka", f"{self._where}: {self._text(error)}", "Write each broker as HOST:PORT."
            ) from None

    def _advertised(self) -> str:
        """The addresses that the brokers told, if those are others than the configured ones."""
        told = {f"{each.host}:{each.port}" for cluster in self._clusters for each in cluster.brokers()}
        others = ", ".join(sorted(told - set(self.servers)))
        if not others:
            return ""
        return (
            f" It answered there that clients shall use {escaped(others, 300)} (`advertised.listeners` of "
            f"the broker): that has to be reachable from here as well."
        )

    @property
    def _where(self) -> str:
        return ", ".join(self.servers)

    def _text(self, error: Exception) -> str:
        name = type(error).__name__
        text = str(error) if str(error).startswith(name) else f"{name}: {error}"
        for option in _SECRETS:
            secret = getattr(self, option)
            if secret:
                text = text.replace(secret, "***")
        return text

    def _options(self) -> dict[str, Any]:
        milliseconds = max(1, int(self.timeout_seconds * 1000))
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "bootstrap_timeout_ms": milliseconds,
            # kafka-python wants it above the longest fetch wait.
            "request_timeout_ms": max(1000, milliseconds),
            "reconnect_backoff_max_ms": 1000,
            # So long kafka-python waits between finding the broker and asking it for topics, which each run
            # does once. Its own 100 ms are half of what a run with nothing new needs Kafka for.
            "retry_backoff_ms": 20,
            "security_protocol": self.security_protocol,
            "ssl_cafile": self.ssl_cafile,
            "ssl_certfile": self.ssl_certfile,
            "ssl_keyfile": self.ssl_keyfile,
            "sasl_mechanism": self.sasl_mechanism,
        }
        for name in _SECRETS:
            secret = getattr(self, name)
            options[name] = _Hidden(secret) if secret is not None else None
        return {name: value for name, value in options.items() if value is not None}
