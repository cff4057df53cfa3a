"""What a run refuses at its start: a configuration that does not fit what the two servers say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.patience import Patience
from dvidsync_dagster.dvid.repo import Instance, RepoInfo, read_repo_info, read_server_info
from dvidsync_dagster.errors import ConfigurationError, ServerUnreachable
from dvidsync_dagster.run.discovery import Route, is_another
from dvidsync_dagster.run.session import opened_session

BROKER = "127.0.0.1:1"  # named by the servers; nobody asks it here
ABSENT = "0" * 32


class Pair:
    """A source and a copy of it that run side by side."""

    def __init__(self, source: SandboxServer, copy: SandboxServer, root: str) -> None:
        self.source, self.destination, self.root = source, copy, root

    def ask(self, born_since: int | None = None, url: str | None = None, **changes: Any) -> Route:
        fields = {
            "source": {"url": self.source.url},
            "repo": self.root,
            "kafka": {"servers": [BROKER]},
            "destinations": [{"name": "copy", "url": url or self.destination.url}],
            **changes,
        }
        config = SyncConfig.model_validate(fields)
        destination = config.destinations[0]
        with opened_session(config, destination, born_since=born_since, still_owner=lambda: None) as session:
            return session.route

    def info(self) -> RepoInfo:
        with DvidClient(self.source.url) as source:
            return read_repo_info(source, self.root)

    def clock(self) -> int:
        with DvidClient(self.source.url) as source:
            return read_server_info(source).clock


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("discovery")
    with SandboxServer.start(folder / "source") as source:
        root = make_repo(source.url, "adm", size=64, cube=16).root
        source.stop()
        source.copy_to(folder / "copy")
        source.restart()
        with SandboxServer.start(folder / "copy") as copy:
            yield Pair(source, copy, root)


def test_beside_a_prefix_the_names_without_one_are_another_servers(pair: Pair) -> None:
    route = pair.ask(instances=["segmentation"], kafka={"servers": [BROKER], "topic_prefix": "site-"})
    assert len(route.topics) == 2
    assert all(name.startswith("site-dvidrepo-") for name in route.topics)


def test_a_configuration_that_fits(pair: Pair) -> None:
    route = pair.ask(instances=["segmentation"])
    assert [instance.name for instance in route.topics.values() if instance] == ["segmentation"] * 2
    assert [name.startswith("dvidrepo-") for name in route.topics] == [True] * 3
    assert route.versions is None
    assert route.connection.servers == (BROKER,)
    assert "keyvalue segmentation_annotations" in route.not_followed.values()


@pytest.mark.parametrize(
    ("changes", "field", "found"),
    [
        ({"repo": ABSENT}, "repo", "is not at"),
        ({"branches": ["master", "nowhere"]}, "branches[1]", "no branch 'nowhere'"),
        ({"instances": ["nothing"]}, "instances[0]", "no instance of that name"),
        ({"instances": [{"name": "segmentation", "data_uuid": ABSENT}]}, "instances[0]", "by that name"),
        ({"kafka": {}}, "kafka.servers", "does not log to Kafka"),
    ],
)
def test_what_does_not_fit_is_refused(pair: Pair, changes: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        pair.ask(**changes)
    assert refused.value.field == field
    assert found in str(refused.value)
    assert refused.value.remedy


def test_a_destination_that_does_not_answer(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is an outage, and no word about the configuration."""
    monkeypatch.setattr("dvidsync_dagster.dvid.opening.PATIENCE", Patience(unreachable=0.1))
    with pytest.raises(ServerUnreachable, match=r"http://127\.0\.0\.1:9"):
        pair.ask(url="http://127.0.0.1:9")


def test_the_source_under_another_name(pair: Pair) -> None:
    """It is recognised by when its process began."""
    alias = pair.source.url.replace("127.0.0.1", "localhost")
    assert alias != pair.source.url
    with pytest.raises(ConfigurationError, match="are one server") as refused:
        pair.ask(url=alias)
    assert refused.value.field == "destinations[copy].url"


def test_an_instance_that_only_the_source_has(pair: Pair) -> None:
    settings = {"typename": "keyvalue", "dataname": "born_late"}
    httpx.post(f"{pair.source.url}/api/repo/{pair.root}/instance", json=settings).raise_for_status()
    # The repo's log knows the second alone: a run that begins in it lets the log make the instance.
    made = pair.info().log[-1].partition("  ")[0]
    second = int(datetime.fromisoformat(made).timestamp()) * 10**9
    assert pair.ask(born_since=second, instances=["born_late"]).topics
    assert pair.ask(born_since=second + 10**9 - 1, instances=["born_late"]).topics
    while pair.clock() < second + 10**9:
        time.sleep(0.1)
    with pytest.raises(ConfigurationError, match="'born_late'"):
        pair.ask(instances=["born_late"])
    with pytest.raises(ConfigurationError, match="'born_late'"):
        pair.ask(born_since=second + 10**9, instances=["born_late"])
    # A time ahead of the source's clock tells nothing.
    assert pair.ask(born_since=2**62, instances=["born_late"]).topics
    # The log from before its birth makes it.
    assert pair.ask(born_since=0, instances=["born_late"]).topics


def test_an_instance_that_was_renamed_at_the_source(pair: Pair) -> None:
    def rename(old: str, new: str) -> None:
        names = {"uuid": pair.root, "from": old, "to": new}
        httpx.post(f"{pair.source.url}/sandbox/rename", json=names).raise_for_status()

    rename("synapses", "tbars")
    with pytest.raises(ConfigurationError, match="the destination calls 'tbars' 'synapses'"):
        pair.ask(born_since=0, instances=["tbars"])
    rename("tbars", "synapses")


def instances(name: str, data_uuid: str, births: int, typename: str = "keyvalue", **more: str) -> RepoInfo:
    """A repo with an instance that was made so many times (and more, by name their data UUIDs)."""
    uuids = {name: data_uuid, **more}
    return RepoInfo(
        root="r",
        versions={},
        instances={each: Instance(each, typename, uuid) for each, uuid in uuids.items()},
        next_mutation_id=1,
        log=tuple(
            f'2026-01-0{1 + number}T00:00:00Z  New data instance "{name}" of type "{typename}"'
            for number in range(births)
        ),
    )


@pytest.mark.parametrize(
    ("source", "copy", "another"),
    [
        (instances("a", "1", 1), instances("a", "1", 1), False),
        (instances("a", "1", 1), instances("a", "9", 1), False),  # made by the log
        (instances("a", "2", 2), instances("a", "1", 1), True),  # made anew since the copy
        (instances("a", "2", 2), instances("a", "9", 2), False),
        (instances("a", "1", 1, b="2"), instances("a", "2", 1), True),  # names were exchanged
        (instances("a", "2", 2), instances("a", "9", 0), True),
    ],
)
def test_instances_are_paired_by_data_uuid(source: RepoInfo, copy: RepoInfo, another: bool) -> None:
    assert is_another(source.instances["a"], copy.instances["a"], source, copy) == another


def test_a_destination_that_would_feed_itself(tmp_path: Path) -> None:
    with SandboxServer.start(tmp_path / "source") as source:
        root = make_repo(source.url, "adm", size=64, cube=16).root
        source.stop()
        source.copy_to(tmp_path / "copy")
    with (
        EmbeddedBroker.start() as broker,
        SandboxServer.start(tmp_path / "source", kafka=broker.address, topic_prefix="same-") as source,
        SandboxServer.start(tmp_path / "copy", kafka=broker.address, topic_prefix="same-") as copy,
        pytest.raises(ConfigurationError, match="fed its own changes") as refused,
    ):
        Pair(source, copy, root).ask(kafka={})
    assert refused.value.field == "destinations[copy].url"
