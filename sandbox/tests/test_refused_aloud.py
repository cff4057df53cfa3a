"""What DVID has and the sandbox lacks is refused with 501 and a text; it is never taken and ignored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dvid_sandbox.launcher import SandboxServer
from repos import Repo

NODE = "/api/node/ROOT"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """One for all: nothing here may change it."""
    with SandboxServer.start(tmp_path_factory.mktemp("server")) as server:
        yield Repo(server)


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", f"{NODE}/labelmap/sparsevol/1?scale=9&colour=red", "colour"),
        ("GET", f"{NODE}/labelmap/sparsevol/1?format=blocks", "sparsevol as blocks"),
        ("GET", f"{NODE}/labelmap/raw/0_1_2/64_64_64/0_0_0?roi=somewhere", "roi"),
        ("GET", f"{NODE}/labelmap/raw/0_1/64_64/0_0_0", "slices"),
        ("GET", f"{NODE}/labelmap/proximity/1,2", "proximity"),
        ("POST", f"{NODE}/labelmap/merge?dryrun=true", "dryrun"),
        ("GET", f"{NODE}/keyvalue/keys?limit=1", "limit"),
        ("GET", f"{NODE}/keyvalue/mutations-range/1/2", "mutations-range"),
        ("POST", f"{NODE}/neuronjson/key/5?u=ann&upsert=true", "upsert"),
        ("GET", f"{NODE}/annotation/roi/hills", "roi"),
        ("GET", "/api/repo/ROOT/info?depth=1", "depth"),
        ("POST", "/api/repo/ROOT/merge", "merge"),
        ("POST", f"{NODE}/commit?force=true", "force"),
        ("GET", "/api/server/types", "types"),
        ("GET", "/api/server/info?short=1", "short"),
        ("GET", "/api/help", "help"),
    ],
)
def test_unknown_is_refused(repo: Repo, method: str, path: str, what: str) -> None:
    answer = repo.send(method, path.replace("ROOT", repo.root), [1, 2] if method == "POST" else None)
    assert answer.status_code == 501
    assert answer.text.startswith("the sandbox lacks ")
    assert what in answer.text


def test_a_refused_request_changes_nothing(repo: Repo) -> None:
    assert repo.labels("POST", "merge?dryrun=true", [1, 2]).status_code == 501
    assert repo.bodies_of(1, 2) == [1, 2]


@pytest.mark.parametrize(
    "settings",
    [
        {"typename": "labelblk"},
        {"typename": "roi"},
        {"typename": "labelmap", "IndexedLabels": "false"},
        {"typename": "labelmap", "Background": "7"},
        {"typename": "labelmap", "BlockSize": "64,64,32"},
        {"typename": "keyvalue", "Checksum": "crc32"},
        {"typename": "keyvalue", "Compression": "jpeg"},
    ],
)
def test_instances_of_another_kind_are_refused(repo: Repo, settings: dict[str, str]) -> None:
    answer = repo.send("POST", f"/api/repo/{repo.root}/instance", {"dataname": "other", **settings})
    assert answer.status_code == 501
    assert answer.text.startswith("the sandbox lacks ")
    assert "other" not in repo.send("GET", f"/api/repo/{repo.root}/info").json()["DataInstances"]


@pytest.mark.parametrize("path", [f"{NODE}/labelmap/frobnicate", f"{NODE}/keyvalue/frobnicate"])
def test_what_dvid_does_not_know_either_is_refused_in_its_words(repo: Repo, path: str) -> None:
    answer = repo.send("GET", path.replace("ROOT", repo.root))
    assert answer.status_code == 400
    assert answer.text.startswith("Bad API call")
