"""What a server says of its repo: versions that come from themselves, and times that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info, read_server_info
from dvidsync_dagster.errors import ServerFailed
from tests.hostile.proxy import Answer, Proxy, proxy

YEAR_1 = "0001-01-01T00:00:00Z"
Node = dict[str, Any]


@pytest.fixture
def server() -> Iterator[Proxy]:
    """Answers for itself alone."""
    with proxy("http://127.0.0.1:9") as opened:
        yield opened


def at(second: int) -> str:
    return f"1970-01-01T00:00:{second:02}Z"


def node(number: int, *parents: int, created: str = YEAR_1, updated: str = YEAR_1) -> Node:
    return {
        "VersionID": number,
        "Parents": list(parents),
        "Branch": "",
        "Locked": True,
        "Note": "",
        "Log": [],
        "Created": created,
        "Updated": updated,
    }


def told(server: Proxy, *nodes: Node, log: tuple[str, ...] = ()) -> RepoInfo:
    body = {
        "Root": "v1",
        "DAG": {"Nodes": {f"v{place}": each for place, each in enumerate(nodes, 1)}},
        "DataInstances": {},
        "Log": log,
    }
    answer = Answer(200, orjson.dumps(body))
    server.rule = lambda *_: answer
    with DvidClient(server.url) as client:
        return read_repo_info(client, "v1")


def committed(info: RepoInfo) -> list[int]:
    """Seconds, version by version."""
    return [each.committed_at_latest // 10**9 for each in info.versions.values()]


@pytest.mark.parametrize(
    "nodes",
    [(node(1, 1),), (node(1, 2), node(2, 1)), (node(1), node(2, 1, 4), node(3, 2), node(4, 3))],
)
def test_versions_that_come_from_themselves_are_refused(server: Proxy, nodes: tuple[Node, ...]) -> None:
    with pytest.raises(ServerFailed, match="descend from themselves"):
        told(server, *nodes)


def test_versions_with_one_number_are_refused(server: Proxy) -> None:
    with pytest.raises(ServerFailed, match="the same number"):
        told(server, node(1), node(1))


def test_a_version_was_committed_before_its_last_change_and_its_first_child(server: Proxy) -> None:
    info = told(
        server,
        node(1, created=at(1), updated=at(9)),
        node(2, 1, created=at(5), updated=at(7)),
        node(3, 1, created=at(3), updated=at(3)),
    )
    assert committed(info) == [3, 7, 3]


@pytest.mark.parametrize("odd", [YEAR_1, "9999-12-31T23:59:59-14:00", "0000-00-00T00:00:00Z", "x", 5, None])
def test_a_time_that_cannot_be_decides_nothing(server: Proxy, odd: Any) -> None:
    root = node(1, created=at(1), updated=at(9))
    assert committed(told(server, root, node(2, 1, created=odd, updated=odd))) == [9, 0]
    child = node(2, 1, created=at(5), updated=at(5))
    assert committed(told(server, root | {"Updated": odd}, child)) == [5, 5]
    info = told(server, root | {"Created": odd})
    assert (committed(info), info.versions["v1"].created) == ([9], 0)


def test_a_child_that_is_older_than_its_parent_decides_nothing(server: Proxy) -> None:
    info = told(server, node(1, created=at(5), updated=at(9)), node(2, 1, created=at(2), updated=at(8)))
    assert committed(info) == [9, 8]


@pytest.mark.parametrize(
    "odd", ["0001-01-01T00:00:00", YEAR_1, "10000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_an_instance_that_was_made_at_a_time_that_cannot_be(server: Proxy, odd: str) -> None:
    made = 'New data instance "keys" of type "keyvalue" with config map[]'
    info = told(server, node(1), log=(f"{at(5)}  {made}", f"{odd}  {made}"))
    assert info.births("keys") == [5 * 10**9]
    assert info.born("keys") == 5 * 10**9


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2300-01-01"])
def test_a_clock_that_cannot_be_is_refused(server: Proxy, day: str) -> None:
    answer = Answer(200, orjson.dumps({"Server time": f"{day} 00:00:00 +0000 UTC"}))
    server.rule = lambda *_: answer
    with DvidClient(server.url) as client, pytest.raises(ServerFailed, match="its clock stands at"):
        read_server_info(client)
