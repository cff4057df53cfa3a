"""The configuration's model: what it takes, and what it refuses with which words."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from dvidsync_dagster.config import (
    BucketConfig,
    DestinationConfig,
    KafkaConfig,
    SourceConfig,
    StartTime,
    SyncConfig,
)
from dvidsync_dagster.errors import ConfigurationError

ROOT = "a78c418b6a194df1adfe21e5a081c877"
GOOD: dict[str, Any] = {
    "source": {"url": "http://127.0.0.1:8000"},
    "repo": ROOT,
    "destinations": [{"name": "copy", "url": "https://copy.example.org:9000/"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """`GOOD` with one field set, such as ``destinations.0.url``."""
    fields = copy.deepcopy(GOOD)
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place: Any = fields
    for step in steps:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    place[last] = value
    return fields


def test_a_short_configuration_has_defaults() -> None:
    config = SyncConfig.model_validate(GOOD)
    assert config.branches == ["all"]
    assert config.instances == "all"
    assert config.settle_seconds == 10
    assert config.repo_name == "repo_a78c418b"
    assert (config.source.user, config.source.requests_in_flight) == ("dvidsync", 4)
    (destination,) = config.servers
    assert destination.url == "https://copy.example.org:9000"
    assert (destination.user, destination.on_conflict, destination.requests_in_flight) == (
        "dvidsync",
        "stop",
        4,
    )


@pytest.mark.parametrize(("chosen", "of_server", "of_bucket"), [(None, 20_000, 100_000), (500, 500, 500)])
def test_a_bucket_takes_more_records_together(chosen: int | None, of_server: int, of_bucket: int) -> None:
    bucket = {"name": "cloud", "bucket": "gs://neu3-live"}
    fields = {**GOOD, "destinations": [*GOOD["destinations"], bucket], "chunk_records": chosen}
    config = SyncConfig.model_validate(fields)
    assert [config.records_together(each) for each in config.destinations] == [of_server, of_bucket]
    assert config.records_together() == of_server


def test_from_python() -> None:
    config = SyncConfig(
        source=SourceConfig(url="http://s:8000", token_env="SOURCE_TOKEN"),
        repo=ROOT,
        destinations=[
            DestinationConfig(
                name="copy", url="http://c:8000", start=StartTime(time=datetime(2026, 1, 31, tzinfo=UTC))
            )
        ],
        kafka=KafkaConfig(servers=["k:9092"]),
    )
    assert config.first_window == date(2026, 1, 31)


@pytest.mark.parametrize(
    ("path", "value", "field", "words"),
    [
        ("sourc", 1, "sourc", "`source`"),
        ("source", "http://s:8000", "source", "named fields"),
        ("source.urll", "x", "source.urll", "`url`"),
        ("source.url", "emdata:8000", "source.url", "http"),
        ("source.url", "ftp://emdata:8000", "source.url", "http"),
        ("source.url", "http://emdata..org:8000", "source.url", "not a URL"),
        ("source.url", "http://emdata:8000/?u=x", "source.url", "query"),
        ("source.url", "http://emdata:80000", "source.url", "URL"),
        ("source.url", "http://127.0.0.1:8000/a b", "source.url", "blank"),
        ("source.user", "a&admintoken=x", "source.user", "user name"),
        ("repo", 12345, "repo", "quotes"),
        ("repo", ROOT[:8], "repo", "32 hex digits"),
        ("branches", "all", "branches", "list"),
        ("branches", ["all", "x"], "branches", "alone"),
        ("branches", [], "branches", "no branch"),
        ("instances", "none", "instances", "`all`"),
        ("instances", [], "instances", "no instance"),
        ("instances", ["a", "a"], "instances", "twice"),
        ("instances", [{"name": "a", "data_uuid": "xyz"}], "instances[0].data_uuid", "32 hex digits"),
        ("instances", ["a", {"nam": "b"}], "instances[1].nam", "`name`"),
        ("kafka.servers", ["kafka1"], "kafka.servers", "HOST:PORT"),
        ("kafka.servers", [], "kafka.servers", "remove the field"),
        ("kafka.topic_prefix", "a b", "kafka.topic_prefix", "character"),
        ("kafka.topic_suffixes", {"x": "y"}, "kafka.topic_suffixes", "DataUUID"),
        ("kafka.security_protocol", "TLS", "kafka.security_protocol", "SASL_SSL"),
        ("source.requests_in_flight", 65, "source.requests_in_flight", "1 to 64"),
        ("source.requests_in_flight", 0, "source.requests_in_flight", "1 to 64"),
        ("kafka.security_protocol", "SASL_SSL", "kafka.sasl_mechanism", "unset"),
        ("kafka.sasl_mechanism", "PLAIN", "kafka.security_protocol", "SASL"),
        ("kafka.ssl_cafile", "ca.pem", "kafka.security_protocol", "SSL"),
        ("destinations", [], "destinations", "Add a destination"),
        ("destinations", [*GOOD["destinations"]] * 2, "destinations", "one name"),
        ("destinations", [{"name": "copy"}], "destinations[0]", "`bucket`"),
        ("destinations.0.bucket", "gs://neu3-live", "destinations[0].url", "one of them"),
        ("destinations.0", {"name": "a", "bucket": ""}, "destinations[0].bucket", "whole path"),
        ("destinations.0", {"name": "a", "bucket": "neu3"}, "destinations[0].bucket", "whole path"),
        ("destinations.0", {"name": "a", "bucket": "ftp://x/y"}, "destinations[0].bucket", "gs://"),
        ("destinations.0", {"name": "a", "bucket": "gs://"}, "destinations[0].bucket", "gs://"),
        ("destinations.0", {"name": "a", "bucket": "file://x/y"}, "destinations[0].bucket", "gs://"),
        ("destinations.0", {"name": "a", "bucket": "gs://a?b=c"}, "destinations[0].bucket", "place"),
        (
            "destinations.0",
            {"name": "a", "bucket": "gs://b", "branch": "all"},
            "destinations[0].branch",
            "one",
        ),
        (
            "destinations.0",
            {"name": "a", "bucket": "gs://b", "releases": "all"},
            "destinations[0].releases",
            "none",
        ),
        (
            "destinations.0",
            {"name": "a", "bucket": "gs://b", "user": "amy"},
            "destinations[0].user",
            "branch",
        ),
        (
            "destinations.0",
            {"name": "a", "bucket": "gs://b", "brnch": "x"},
            "destinations[0].brnch",
            "`branch`",
        ),
        (
            "destinations",
            [{"name": n, "bucket": "gs://b/c" + s} for n, s in (("a", ""), ("b", "/"))],
            "destinations",
            "one bucket",
        ),
        ("destinations.0.name", "a-b", "destinations[0].name", "letters"),
        ("destinations.0.name", "mutation_log", "destinations[0].name", "another name"),
        ("destinations.0.url", "http://127.0.0.1:8000", "destinations[0].url", "source's own"),
        ("destinations.0.on_conflict", "ignore", "destinations[0].on_conflict", "skip"),
        ("destinations.0.requests_in_flight", 0, "destinations[0].requests_in_flight", "1 to 64"),
        ("destinations.0.requests_in_flight", "4", "destinations[0].requests_in_flight", "integer"),
        ("destinations.0.start", "yesterday", "destinations[0].start", "beginning"),
        ("destinations.0.start", {"time": "soon"}, "destinations[0].start.time", "2026-01-31T00:00:00Z"),
        ("destinations.0.start", {"time": "2026-01-31T00:00:00"}, "destinations[0].start.time", "zone"),
        ("destinations.0.start", {"time": date(2026, 1, 31)}, "destinations[0].start.time", "time of day"),
        ("destinations.0.practice", "weekly", "destinations[0].practice", "named fields"),
        ("destinations.0.practice", {"fro": "x"}, "destinations[0].practice.fro", "`from`"),
        ("destinations.0.practice", {"from": "master"}, "destinations[0].practice.from", "latest commit"),
        ("destinations.0.practice", {"from": 12345}, "destinations[0].practice.from", "quotes"),
        ("destinations.0.practice", {"branch": "master"}, "destinations[0].practice.branch", "another"),
        ("destinations.0.practice", {"branch": "a b"}, "destinations[0].practice.branch", "letters"),
        ("destinations.0.practice", {"branch": "tag-x"}, "destinations[0].practice.branch", "another"),
        ("destinations.0.practice", {"renew": "daily"}, "destinations[0].practice.renew", "on commit"),
        ("destinations.0.practice", {"keep": 0}, "destinations[0].practice.keep", "1 to 1000"),
        ("settle_seconds", -1, "settle_seconds", "0 to 3600"),
        ("chunk_records", 99, "chunk_records", "100 to 100000"),
        ("chunk_records", 100_001, "chunk_records", "100 to 100000"),
        ("on_undecodable", "skip", "on_undecodable", "quarantine"),
        ("windows.every", "weekly", "windows.every", "daily"),
        ("windows.every", "hourly", "windows.start_date", "first day"),
        ("windows.start_date", "31.1.2026", "windows.start_date", "2026-01-31"),
        ("windows.start_date", "2001-01-01", "windows.start_date", "before any"),
        ("windows.start_date", date.today() + timedelta(days=2), "windows.start_date", "in the future"),
        pytest.param("chunk_records", 10**6000, "chunk_records", "far out of range", id="6,000 digits"),
        ("archive", "s3://key:secret@bucket/log", "archive", "password"),
        ("name", "a/b", "name", "letters"),
    ],
)
def test_a_wrong_field_is_refused_with_a_remedy(path: str, value: Any, field: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        SyncConfig.model_validate(changed(path, value))
    assert refused.value.field == field
    assert words in str(refused.value)
    assert "pydantic" not in str(refused.value)


@pytest.mark.parametrize("every", ["daily", "hourly"])
@pytest.mark.parametrize(
    ("start", "good"),
    [
        ("2026-01-31T00:00:00Z", True),
        ("2026-01-31T23:59:59Z", True),
        ("2026-01-30T23:59:59Z", False),
        ("2026-01-31T00:30:00+01:00", False),
        ("2026-01-30T23:30:00-01:00", True),
    ],
)
def test_the_first_window_is_not_after_the_start(every: str, start: str, good: bool) -> None:
    """Days are UTC. The later of two destinations is the wrong one here."""
    later = {"name": "other", "url": "http://other:8000", "start": {"time": start}}
    fields = {**GOOD, "destinations": [*GOOD["destinations"], later]}
    fields["windows"] = {"every": every, "start_date": "2026-01-31"}
    if good:
        assert SyncConfig.model_validate(fields).first_window == date(2026, 1, 31)
        return
    with pytest.raises(
        ConfigurationError, match=r"after destinations\[1\].start .*Use 2026-01-30"
    ) as refused:
        SyncConfig.model_validate(fields)
    assert refused.value.field == "windows.start_date"


@pytest.mark.parametrize("name", ["source", "repo", "destinations"])
def test_a_missing_field_is_named_and_explained(name: str) -> None:
    fields = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(ConfigurationError, match="is missing") as refused:
        SyncConfig.model_validate(fields)
    assert refused.value.field == name
    assert refused.value.remedy.startswith("Add it. It is")


def test_all_wrong_fields_are_named() -> None:
    with pytest.raises(ConfigurationError, match="Also wrong: repo, chunk_records") as refused:
        SyncConfig.model_validate({**GOOD, "repo": "x", "chunk_records": 1, "name": "?"})
    assert refused.value.field == "name"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("source.token_env", "source.token_env"),
        ("destinations.0.token_env", "destinations[0].token_env"),
        ("destinations.0.admin_token_env", "destinations[0].admin_token_env"),
        ("kafka.ssl_password_env", "kafka.ssl_password_env"),
        ("kafka.sasl_password_env", "kafka.sasl_password_env"),
    ],
)
@pytest.mark.parametrize("secret", ["eyJhbGciOi.J9.abc", "hunter2", "ffeeddccbbaa"])
def test_an_inline_secret_is_refused_and_never_repeated(path: str, field: str, secret: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        SyncConfig.model_validate(changed(path, secret))
    assert refused.value.field == field
    assert secret not in str(refused.value)
    assert secret not in repr(refused.value.__cause__)
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("source.url", "http://amy:hunter2@emdata:8000"),
        ("destinations.0", {"name": "cloud", "bucket": "s3://amy:hunter2@bucket/folder"}),
    ],
)
def test_a_password_in_a_url_is_never_repeated(path: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        SyncConfig.model_validate(changed(path, value))
    assert "hunter2" not in str(refused.value)


def test_servers_and_buckets_follow_side_by_side() -> None:
    cloud = {"name": "cloud", "bucket": "gs://neu3-live/"}
    config = SyncConfig.model_validate({**GOOD, "destinations": [*GOOD["destinations"], cloud]})
    server, bucket = config.destinations
    assert config.servers == [server]
    assert isinstance(bucket, BucketConfig)
    assert (bucket.place, bucket.branch, bucket.releases) == ("gs://neu3-live", "master", "none")
    assert bucket.chosen_start() is None
    assert config.destination("cloud") == bucket


def test_an_unset_variable_is_named_when_it_is_read() -> None:
    config = SyncConfig.model_validate(changed("destinations.0.admin_token_env", "NO_SUCH_TOKEN"))
    with pytest.raises(ConfigurationError, match="NO_SUCH_TOKEN is not set") as refused:
        config.servers[0].admin_token({})
    assert refused.value.field == "destinations[copy].admin_token_env"
    assert config.servers[0].admin_token({"NO_SUCH_TOKEN": " abc\n"}) == "abc"
    assert config.servers[0].token({}) is None


def test_a_secret_with_a_line_break_is_refused() -> None:
    config = SyncConfig.model_validate(changed("source.token_env", "TOKEN"))
    with pytest.raises(ConfigurationError, match="line break") as refused:
        config.source.token({"TOKEN": "abc\nX-Header: y"})
    assert "X-Header" not in str(refused.value)


def test_kafka_options_are_kafka_pythons() -> None:
    kafka = KafkaConfig(
        servers=["kafka1.example.org:9092"],
        security_protocol="SASL_SSL",
        ssl_cafile="ca.pem",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_username_env="KAFKA_USER",
        sasl_password_env="KAFKA_PASSWORD",
    )
    assert kafka.client_options({"KAFKA_USER": "amy", "KAFKA_PASSWORD": "x"}) == {
        "security_protocol": "SASL_SSL",
        "ssl_cafile": "ca.pem",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "amy",
        "sasl_plain_password": "x",
    }
    with pytest.raises(ConfigurationError, match="KAFKA_PASSWORD is not set"):
        kafka.client_options({"KAFKA_USER": "amy"})


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_a_password_goes_to_named_brokers_only(protocol: str) -> None:
    """Without `servers` the source's HTTP would say to whom."""
    sasl = {
        "security_protocol": protocol,
        "sasl_mechanism": "PLAIN",
        "sasl_username_env": "KAFKA_USER",
        "sasl_password_env": "KAFKA_PASSWORD",
    }
    with pytest.raises(ConfigurationError, match="Name the brokers") as refused:
        SyncConfig.model_validate({**GOOD, "kafka": sasl})
    assert refused.value.field == "kafka.servers"
    named = {**sasl, "servers": ["kafka1.example.org:9092"]}
    assert SyncConfig.model_validate({**GOOD, "kafka": named}).kafka.servers == ["kafka1.example.org:9092"]


def test_an_unset_start_explains_the_choice() -> None:
    (destination,) = SyncConfig.model_validate(GOOD).servers
    with pytest.raises(ConfigurationError, match=r"at or before the moment .*`beginning`.*`now`") as refused:
        destination.chosen_start()
    assert refused.value.field == "destinations[copy].start"


def test_a_start_time_is_a_record_key() -> None:
    start = StartTime(time=datetime.fromisoformat("2026-01-31T01:00:00.000001+01:00"))
    assert start.key_ns == 1_769_817_600_000_001_000


def test_instances_by_name_or_with_their_data_uuid() -> None:
    config = SyncConfig.model_validate({**GOOD, "instances": ["a", {"name": "b", "data_uuid": ROOT}]})
    assert isinstance(config.instances, list)
    assert [(choice.name, choice.data_uuid) for choice in config.instances] == [("a", None), ("b", ROOT)]


def test_an_unknown_destination_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match="Known: copy"):
        SyncConfig.model_validate(GOOD).destination("other")


@pytest.mark.parametrize(
    ("branch", "followed", "good"),
    [("practice", "practice-2026", False), ("practice", "practice", False), ("practice", "practices", True)],
)
def test_a_practice_branch_is_none_that_is_followed(branch: str, followed: str, good: bool) -> None:
    fields = {**changed("destinations.0.practice", {"branch": branch}), "branches": ["master", followed]}
    if good:
        assert SyncConfig.model_validate(fields).servers[0].practice is not None
        return
    with pytest.raises(ConfigurationError, match=r"destinations\[0\]\.practice\.branch: begins"):
        SyncConfig.model_validate(fields)


@pytest.mark.parametrize(
    ("renew", "cron"),
    [(None, None), ("on commit", None), ("weekly", "0 5 * * 1"), ("0 6 1 * *", "0 6 1 * *")],
)
def test_when_a_fresh_practice_branch_is_made(renew: str | None, cron: str | None) -> None:
    fields = changed("destinations.0.practice", {"renew": renew, "from": "28841c8", "keep": None})
    practice = SyncConfig.model_validate(fields).servers[0].practice
    assert practice is not None
    assert (practice.cron, practice.from_, practice.keep) == (cron, "28841c8", None)
