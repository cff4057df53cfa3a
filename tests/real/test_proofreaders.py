"""The sandbox's people on a real server: nothing that they do is refused unless it is meant to be."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from dvid_sandbox.proofreaders import KINDS, WEIGHTS, Exchange, Proofreaders, make_repo
from dvid_sandbox.real_server import RealServer
from tests.state import contradictions, differences, read_state

pytestmark = pytest.mark.dvid

LEAVES_GHOSTS = {"split_nothing", "split_whole", "cleave_nothing"}
"""A server takes these, and then maps supervoxels or lists bodies that have no voxels."""

EVERYTHING = {
    **dict.fromkeys((kind for kind in KINDS if kind not in LEAVES_GHOSTS), 1.0),
    **WEIGHTS,
    "split": 2.0,
    "commit": 2.0,
}
"""In one order in every process; commits often enough that 600 pieces of work hold some."""


def _what(exchanges: list[Exchange], root: str) -> list[tuple[str, str]]:
    """Kinds and paths, which do not hold ids that servers make up for versions."""
    return [(each.kind, each.path) for each in exchanges if f"/{root}/segmentation" in each.path]


@pytest.mark.parametrize(("people", "shared"), [(1, False), (4, False), (4, True)])
def test_a_server_answers_as_meant_and_stays_whole(real_dvid: RealServer, people: int, shared: bool) -> None:
    repo = make_repo(real_dvid.url, real_dvid.admin_token)
    with Proofreaders(
        real_dvid.url,
        repo.root,
        seed=people,
        people=people,
        shared=shared,
        weights=EVERYTHING,
        admin_token=real_dvid.admin_token,
    ) as crowd:
        crowd.work(600)
    assert [str(exchange) for exchange in crowd.unexpected] == []
    assert {exchange.kind for exchange in crowd.exchanges} >= {
        "merge",
        "cleave",
        "split",
        "post_key",
        "commit",
    }
    state = read_state(real_dvid.url, repo.root, indices=True)
    assert contradictions(state) == []
    for place, labelmap in state["data"].items():
        if place.endswith("/segmentation"):
            assert sum(labelmap["labels"].values()) == repo.size**3, place


def test_one_seed_is_one_history(real_dvid: RealServer) -> None:
    histories = []
    for _ in range(2):
        repo = make_repo(real_dvid.url, real_dvid.admin_token, size=64)
        with Proofreaders(real_dvid.url, repo.root, seed=7, admin_token=real_dvid.admin_token) as crowd:
            crowd.work(100)
        histories.append(
            [(kind, path.replace(repo.root, "ROOT")) for kind, path in _what(crowd.exchanges, repo.root)]
        )
    assert len(histories[0]) > 10
    assert histories[0] == histories[1]


def test_a_server_that_goes_away_ends_the_work(tmp_path: Path) -> None:
    with RealServer.start(tmp_path / "dvid") as server:
        repo = make_repo(server.url, server.admin_token, size=64)
        with Proofreaders(server.url, repo.root, people=3, admin_token=server.admin_token) as crowd:
            crowd.work(30)
            server.kill()
            with pytest.raises(httpx.TransportError):
                crowd.work(30)


def test_tokens_stay_out_of_what_is_kept(real_dvid: RealServer) -> None:
    repo = make_repo(real_dvid.url, real_dvid.admin_token, size=64)
    with Proofreaders(
        real_dvid.url,
        repo.root,
        weights={"raise_maxlabel": 1, "set_nextlabel": 1},
        admin_token=real_dvid.admin_token,
        token="a-secret",
    ) as crowd:
        crowd.work(4)
    assert crowd.unexpected == []
    for exchange in crowd.exchanges:
        assert "token" not in str(exchange.row())
        assert "a-secret" not in str(exchange.row())


def test_a_copied_folder_is_a_copy_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    with RealServer.start(tmp_path / "one") as one:
        repo = make_repo(one.url, one.admin_token, size=64)
        weights = {kind: share for kind, share in WEIGHTS.items() if kind != "commit"}
        with Proofreaders(one.url, repo.root, weights=weights, admin_token=one.admin_token) as crowd:
            crowd.work(100)
        before = read_state(one.url, repo.root, indices=True)
        with one.stopped():
            copy = one.copy_to(tmp_path / "two")
        assert differences(before, read_state(one.url, repo.root, indices=True), ignore_times=False) == []
        with RealServer.start(copy) as two:
            assert differences(before, read_state(two.url, repo.root, indices=True), ignore_times=False) == []
            httpx.post(f"{two.url}/api/node/{repo.root}/segmentation_annotations/key/x", content=b"own")
            found = differences(before, read_state(two.url, repo.root, indices=True))
        assert found
