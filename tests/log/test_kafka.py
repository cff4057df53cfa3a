"""Connections to a broker: logins that work, and secrets that are never told."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.errors import KafkaError, SaslAuthenticationFailedError, TopicAuthorizationFailedError

from dvidsync_dagster.errors import BrokerLoginRefused, BrokerUnreachable, ConfigurationError
from dvidsync_dagster.log.drain import MutationLog
from dvidsync_dagster.log.kafka import KafkaConnection
from dvidsync_dagster.run.causes import LOGIN, cause_of
from tests.log.kafka_topics import BASE, Message, new_name, produce
from tests.real_kafka import Login, RealKafka

USER, PASSWORD, KEY_PASSWORD = "reader-7d1f", "hunter2-9a0c", "keypass-44e1"
SECRET = KafkaConnection(
    ("127.0.0.1:1",),
    security_protocol="SASL_SSL",
    ssl_password=KEY_PASSWORD,
    sasl_mechanism="PLAIN",
    sasl_plain_username=USER,
    sasl_plain_password=PASSWORD,
    timeout_seconds=0.5,
)


def assert_no_secret(text: str) -> None:
    for secret in (USER, PASSWORD, KEY_PASSWORD):
        assert secret not in text


def test_secrets_are_not_shown() -> None:
    assert_no_secret(repr(SECRET))
    assert_no_secret(str(SECRET))


def test_secrets_reach_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for connect in (SECRET.consumer, SECRET.admin):
        with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1") as found:
            connect()
        assert_no_secret(str(found.value))
        assert found.value.__cause__ is None
        assert found.value.__suppress_context__
    with pytest.raises(BrokerUnreachable) as raised, SECRET.errors():
        raise OSError(f"the login {USER}:{PASSWORD} failed")
    assert_no_secret(str(raised.value))
    assert "Starting KafkaAdminClient with configuration" in caplog.text, (
        "kafka-python no longer logs its options"
    )
    assert_no_secret(caplog.text)


@pytest.mark.parametrize("refusal", [TopicAuthorizationFailedError, SaslAuthenticationFailedError])
def test_a_login_that_is_refused_is_no_outage(refusal: type[KafkaError]) -> None:
    with pytest.raises(BrokerLoginRefused, match="does not let this user read") as refused, SECRET.errors():
        raise refusal(f"{USER}:{PASSWORD}")
    assert cause_of(refused.value) is LOGIN
    assert_no_secret(str(refused.value))


def test_no_server_is_refused() -> None:
    for servers in ((), ("",)):
        with pytest.raises(ConfigurationError, match=r"kafka\.servers"):
            KafkaConnection(servers)


def test_a_server_that_is_none_is_a_configuration_error() -> None:
    wrong = dataclasses.replace(SECRET, servers=("kafka1:port",))
    with pytest.raises(ConfigurationError, match="kafka1:port") as found:
        wrong.consumer()
    assert_no_secret(str(found.value))


@pytest.fixture(scope="module")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[RealKafka]:
    with RealKafka(tmp_path_factory.mktemp("kafka"), login=Login(USER, PASSWORD, certificate)) as kafka:
        yield kafka


@pytest.mark.kafka
def test_a_login_over_ssl(secure_kafka: RealKafka, certificate: Path) -> None:
    topic = new_name()
    produce(secure_kafka.address, [Message(topic, 0, BASE, b"value")])
    connection = KafkaConnection(
        (secure_kafka.secure_address,),
        security_protocol="SASL_SSL",
        ssl_cafile=str(certificate),
        sasl_mechanism="PLAIN",
        sasl_plain_username=USER,
        sasl_plain_password=PASSWORD,
    )
    with MutationLog(connection, [topic]) as log:
        (chunk,) = log.chunks({}, cut_key=BASE, chunk_records=10)
        assert [record.value for record in chunk.records] == [b"value"]
    for wrong in (
        dataclasses.replace(connection, sasl_plain_password=PASSWORD + "x", timeout_seconds=3.0),
        dataclasses.replace(connection, ssl_cafile=None, timeout_seconds=3.0),
    ):
        with pytest.raises(BrokerUnreachable, match="certificates and login") as found:
            wrong.consumer()
        assert_no_secret(str(found.value))
