"""What a real server answers, and what the client makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.keyvalue import Keyvalue
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.dvid.paths import node_path, repo_path
from dvidsync_dagster.dvid.repo import commit_version, new_version, read_repo_info
from dvidsync_dagster.dvid.sparsevol import parse_runs, request_body
from dvidsync_dagster.errors import LoginRefused, RequestRefused, ServerReadOnly
from dvidsync_dagster.refusal_reason import NOT_HERE, RefusalReason

pytestmark = pytest.mark.dvid

LABELS, KEYS = "segmentation", "segmentation_annotations"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder: Path = tmp_path_factory.mktemp("answers")
    with RealServer.start(folder) as running:
        yield running


@pytest.fixture
def root(server: RealServer) -> str:
    return make_repo(server.url, server.admin_token, size=64, cube=16).root


def test_what_is_not_there(server: RealServer, root: str) -> None:
    with DvidClient(server.url) as client:
        labels, keys = Labelmap(client, LABELS), Keyvalue(client, KEYS)
        assert labels.last_mod(root, 99999) is None
        assert labels.supervoxels(root, 99999) is None
        assert labels.sizes(root, [1, 99999])[1] == 0
        assert labels.retired(root) == frozenset()
        assert keys.value(root, "no \x01 such") is None
        assert keys.values(root, ["a", "b/c"]) == {}
        assert not keys.exists(root, "a")
        assert Neuronjson(client, "neurons").records(root, [1, 5, 12]) == {}
        for ask in (
            lambda: labels.last_mod("f" * 32, 1),
            lambda: Labelmap(client, "none").mapping(root, [1]),
        ):
            with pytest.raises(RequestRefused) as caught:
                ask()
            assert caught.value.reason in NOT_HERE
        with pytest.raises(RequestRefused, match="not found"):
            labels.blob(root, "AAAA")


def test_a_wrong_admin_token_is_a_login(server: RealServer, root: str) -> None:
    with DvidClient(server.url, place="destinations[copy]", admin_token="wrong-one") as client:
        labels, keys = Labelmap(client, LABELS), Keyvalue(client, KEYS)
        commit_version(client, root, {"note": "done"})
        new_version(client, root, "newversion", {"note": "next"})
        with pytest.raises(LoginRefused, match=r"destinations\[copy\].admin_token_env") as caught:
            labels.raise_max_label(root, 5000)
        assert "wrong-one" not in str(caught.value)
        with pytest.raises(RequestRefused, match="locked node") as refused:
            keys.write(root, "k", b"v")
        assert refused.value.reason is RefusalReason.VERSION_COMMITTED
        with client.as_administrator(), pytest.raises(LoginRefused):
            keys.write(root, "k", b"v")
    with DvidClient(server.url, admin_token=server.admin_token) as client, client.as_administrator():
        Keyvalue(client, KEYS).write(root, "k", b"v")


def test_why_it_refuses(server: RealServer, root: str) -> None:
    """docs/dvid.md, "Refusals"."""
    amy = {"user": "amy", "app": "neu3"}
    with DvidClient(server.url, admin_token=server.admin_token) as client:
        labels = Labelmap(client, LABELS)
        runs = {each: parse_runs(labels.sparsevol(root, each), "", header=True) for each in (1, 5)}
        half, outside = request_body(runs[5][:7]), request_body(np.concatenate([runs[5][:1], runs[1][:1]]))
        labels.split_supervoxel(root, 5, 600, 601, half, **amy)
        labels.renumber(root, 9000, 6, **amy)
        # As a killed server leaves it: the target has the supervoxels of a body that is still there.
        index = labels.index(root, 7)
        labels.merge(root, 8, [7], **amy)
        labels.put_index(root, index)
        schema = b'{"type": "object", "properties": {"group": {"type": "string"}}}'
        client.change("POST", node_path(root, "neurons", "json_schema"), body=schema)
        client.change_json(
            "POST",
            repo_path(root, "instance"),
            "result",
            body=b'{"dataname": "empty", "typename": "labelmap"}',
        )
        refused: dict[RefusalReason, Callable[[], object]] = {
            RefusalReason.SUPERVOXEL_SPLIT: lambda: labels.split_supervoxel(root, 5, 600, 601, half, **amy),
            RefusalReason.OUTSIDE_SUPERVOXEL: lambda: labels.split_supervoxel(
                root, 1, 602, 603, outside, **amy
            ),
            RefusalReason.LABEL_EXISTS: lambda: labels.renumber(root, 9000, 9, **amy),
            RefusalReason.ALREADY_IN_INDEX: lambda: labels.merge(root, 8, [7], **amy),
            RefusalReason.NO_LABELS: lambda: client.read_json(node_path(root, "empty", "maxlabel")),
            RefusalReason.NO_ELEMENT: lambda: client.change(
                "DELETE", node_path(root, "synapses", "element", "9_9_9")
            ),
            RefusalReason.NO_KEY: lambda: client.read(node_path(root, KEYS, "key", "none")),
            RefusalReason.AGAINST_SCHEMA: lambda: client.change(
                "POST", node_path(root, "neurons", "key", 1), body=b'{"bodyid": 1, "group": 5}'
            ),
            RefusalReason.OTHER: lambda: labels.merge(root, 1, [99999], **amy),
        }
        for reason, ask in refused.items():
            with pytest.raises(RequestRefused) as caught:
                ask()
            assert caught.value.reason is reason, caught.value


def test_a_large_value_goes_by_way_of_a_file(server: RealServer, root: str, tmp_path: Path) -> None:
    value = bytes(range(256)) * 2**16
    path = tmp_path / "value"
    path.write_bytes(value)
    with DvidClient(server.url) as client:
        keys = Keyvalue(client, KEYS)
        with path.open("rb") as file:
            keys.write_from(root, "large", file)
            assert keys.holds(root, "large", file)
        with (tmp_path / "again").open("w+b") as file:
            assert keys.read_into(root, "large", file)
            assert not keys.read_into(root, "none", file)
        assert (tmp_path / "again").read_bytes() == value


def test_a_user_with_odd_characters(server: RealServer, root: str) -> None:
    user = 'a\x01\x07"\\\u200b\x7f\U0001f600é'
    with DvidClient(server.url) as client:
        labels = Labelmap(client, LABELS)
        labels.merge(root, 1, [2], user=user, app="neu3")
        last = labels.last_mod(root, 1)
    assert last is not None
    assert last.user == user


def test_a_server_that_takes_no_changes(tmp_path: Path) -> None:
    with RealServer.start(tmp_path / "server") as server:
        root = make_repo(server.url, server.admin_token, size=64, cube=16).root
        server.rwmode = "readonly"
        server.restart()
        with DvidClient(server.url) as client:
            assert read_repo_info(client, root).root == root
            with pytest.raises(ServerReadOnly, match="read-only mode"):
                Labelmap(client, LABELS).merge(root, 1, [2], user="amy", app="neu3")
            with pytest.raises(ServerReadOnly):
                client.change("POST", node_path(root, "note"), body=b'{"note": "x"}')
