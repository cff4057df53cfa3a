"""Names of topics, built and taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.log.topics import TopicName, data_topic, old_data_topic, parse_topic, repo_topic
from tests import recordings

ROOT = "cc76f7df23fe4a03b294fe7bf33a7be8"
DATA = "b732b9ba7b3449ffb45355795449da4d"
UUIDS = st.text("0123456789abcdef", min_size=32, max_size=32)
TEXTS = st.text("abz-._09", max_size=20)


@pytest.mark.parametrize("recording", [recordings.proofreading, recordings.crowd], ids=lambda r: r.name)
def test_topics_of_a_real_server_are_those_that_are_built(recording: recordings.Recording) -> None:
    topics = {record["topic"] for record in recording.kafka}
    prefix = next(iter(topics)).split("dvidrepo-")[0]
    built = {repo_topic(prefix, recording.root)}
    built |= {data_topic(prefix, recording.root, uuid) for uuid in recording.data.values()}
    assert topics <= built
    for topic in topics:
        name = parse_topic(topic)
        assert name is not None
        assert (name.prefix, name.root) == (prefix, recording.root)
        assert name.data_uuid in {None, *recording.data.values()}


@given(TEXTS, UUIDS, UUIDS, TEXTS)
def test_what_is_built_is_parsed(prefix: str, root: str, data: str, suffix: str) -> None:
    assert parse_topic(data_topic(prefix, root, data, suffix)) == TopicName(prefix, root, data, suffix)
    assert parse_topic(repo_topic(prefix, root)) == TopicName(prefix, root, None)
    assert parse_topic(old_data_topic(root, data)) == TopicName("", root, data, old=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "dvid-activity",
        f"dvidrepo-{ROOT}",
        f"dvidrepo-{ROOT}-data-",
        f"dvidrepo-{ROOT[:-1]}-repo-ops",
        f"dvidrepo-{ROOT}-data-{DATA}x",
        f"dvidrepo-{ROOT}-repo-ops\n",
        "p" * 249 + f"dvidrepo-{ROOT}-repo-ops",
    ],
)
def test_other_topics_are_none_of_ours(name: str) -> None:
    assert parse_topic(name) is None


@pytest.mark.parametrize(
    ("prefix", "root", "data"),
    [
        ("a b", ROOT, DATA),
        ("", "", DATA),
        ("", ROOT.upper(), DATA),
        ("", ROOT, "../x"),
        ("p" * 200, ROOT, DATA),
    ],
)
def test_a_name_that_kafka_refuses_is_not_built(prefix: str, root: str, data: str) -> None:
    with pytest.raises(ConfigurationError):
        data_topic(prefix, root, data)
