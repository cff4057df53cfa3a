"""A client changes only what it may: everything else is refused before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.opening import open_source
from dvidsync_dagster.dvid.paths import concerns_repo, node_path, repo_path, version_in
from dvidsync_dagster.dvid.repo import commit_version, make_instance, new_version, write_note
from dvidsync_dagster.dvid.writing import OwnVersions, SourcesVersions, Writes
from dvidsync_dagster.errors import ForeignVersion
from tests.two_servers import KEYS, LABELS, TwoServers, two_sandboxes


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    with two_sandboxes(tmp_path_factory.mktemp("two")) as servers:
        yield servers


@pytest.fixture(scope="module")
def own(servers: TwoServers) -> str:
    """A version of the destination's own."""
    for editor in (servers.source, servers.destination):
        editor.commit()
    return servers.destination.branch(servers.root, "practice")


def destination(servers: TwoServers, writes: Writes) -> DvidClient:
    return DvidClient(servers.destination.server.url, writes=writes)


def test_nothing_of_the_sources_goes_to_a_version_of_the_destinations_own(
    servers: TwoServers, own: str
) -> None:
    with (
        open_source(servers.config()) as source,
        destination(servers, SourcesVersions(source, servers.root)) as client,
    ):
        labelmap = Labelmap(client, LABELS)
        changes: list[Callable[[], object]] = [
            lambda: labelmap.merge(own, 10, [11], user="amy", app=""),
            lambda: labelmap.cleave(own, 1, [2], user="amy", app=""),
            lambda: labelmap.reserve(own, 3),
            lambda: labelmap.put_blocks(own, []),
            lambda: client.change("POST", node_path(own, KEYS, "key", "a"), body=b"x"),
            lambda: client.change("DELETE", node_path(own, KEYS, "key", "a")),
            lambda: client.change("POST", node_path(own[:8], KEYS, "key", "a"), body=b"x"),
            lambda: client.change("POST", node_path(":practice", KEYS, "key", "a"), body=b"x"),
            lambda: client.change("POST", "/api/server/reload-metadata"),
            lambda: commit_version(client, own, {"note": ""}),
            lambda: write_note(client, own, "x"),
            lambda: new_version(client, own, "newversion", {"note": ""}),
            lambda: make_instance(client, own, {"typename": "keyvalue", "dataname": "x"}),
        ]
        for change in changes:
            before = client.changes_sent
            with pytest.raises(ForeignVersion, match="not sent"):
                change()
            assert client.changes_sent == before
        assert labelmap.mapping(own, [1, 2, 3, 10, 11]) == [1, 1, 1, 10, 11]
        assert labelmap.next_label(own) == Labelmap(source, LABELS).next_label(servers.root)


def test_a_version_that_the_source_makes_later_is_the_sources(servers: TwoServers, own: str) -> None:
    assert own
    with open_source(servers.config()) as source:
        writes = SourcesVersions(source, servers.root, [servers.root])
        child = servers.source.new_version(servers.root)
        assert writes.allows(child, "merge")
        assert not writes.allows(own, "merge")


def test_practice_goes_to_no_version_of_the_source(servers: TwoServers, own: str) -> None:
    with destination(servers, OwnVersions([own])) as client:
        changes: list[Callable[[], object]] = [
            lambda: Labelmap(client, LABELS).merge(servers.root, 10, [11], user="", app=""),
            lambda: commit_version(client, servers.root, {"note": ""}),
            lambda: write_note(client, servers.root, "x"),
            lambda: new_version(client, servers.root, "newversion", {"note": ""}),
        ]
        for change in changes:
            with pytest.raises(ForeignVersion, match="the destination itself"):
                change()
        write_note(client, own, "mine")
        new_version(client, servers.root, "branch", {"branch": "practice-2", "note": ""})


def test_nothing_is_written_to_the_source(servers: TwoServers) -> None:
    with open_source(servers.config()) as source, pytest.raises(ForeignVersion, match="nobody"):
        write_note(source, servers.root, "x")


@given(st.text(min_size=1), st.lists(st.text(min_size=1), max_size=3))
def test_the_version_of_any_path_is_found(version: str, parts: list[str]) -> None:
    for path in (node_path, repo_path):
        assert version_in(path(version, *parts))[0] == version
    assert version_in("/api/" + version.replace("/", "")) == ("", "")


@pytest.mark.parametrize(
    ("method", "path", "does"),
    [
        ("GET", repo_path("abc", "info"), True),
        ("GET", "/api/repos/info", True),
        ("POST", repo_path("abc", "instance"), True),
        ("DELETE", repo_path("abc", "keys"), True),
        ("POST", node_path("abc", "commit"), True),
        ("POST", node_path("abc", "note"), True),
        ("GET", node_path("abc", "note"), False),
        ("GET", node_path("abc", "segmentation", "info"), True),
        ("POST", node_path("abc", "synapses", "sync"), True),
        ("GET", node_path("abc", "keys", "key", "info"), False),
        ("POST", node_path("abc", "segmentation", "merge"), False),
        ("GET", "/api/server/info", False),
        ("GET", "", False),
    ],
)
def test_which_requests_concern_the_repo(method: str, path: str, does: bool) -> None:
    assert concerns_repo(method, path) is does
