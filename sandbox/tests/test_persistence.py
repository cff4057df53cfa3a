"""A server goes on where it stopped, however it stopped; a copy of its folder is a copy of it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from dvid_sandbox.journal import NAME
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.state import differences, read_state
from repos import Repo


def work(repo: Repo) -> None:
    """Something of everything that can be changed."""
    repo.labels("POST", "merge?u=ann&app=a", [1, 2, 3]).raise_for_status()
    repo.labels("POST", "cleave/1?u=bob", [2]).raise_for_status()
    repo.labels("POST", "renumber", [5000, 4]).raise_for_status()
    root = repo.root
    repo.send("POST", f"/api/node/{root}/keyvalue/key/a%20b", {"x": 1}).raise_for_status()
    repo.send("POST", f"/api/node/{root}/neuronjson/key/7?u=ann", {"bodyid": 7, "t": "x"}).raise_for_status()
    elements = [{"Pos": [1, 2, 3], "Kind": "Note"}]
    repo.send("POST", f"/api/node/{root}/annotation/elements", elements).raise_for_status()
    repo.send("POST", f"/api/node/{root}/commit", {"note": "done"}).raise_for_status()
    child = repo.send("POST", f"/api/node/{root}/newversion", {}).json()["child"]
    repo.send("POST", f"/api/node/{child}/labelmap/merge", [10, 11]).raise_for_status()


def info(server: SandboxServer, root: str) -> dict[str, object]:
    answer: dict[str, object] = httpx.get(f"{server.url}/api/repo/{root}/info").json()
    # A restart takes the next range of mutation ids, as DVID's does.
    answer.pop("MutationID")
    answer.pop("SavedMutationID")
    return answer


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_goes_on_after_a_restart(repo: Repo, how: str) -> None:
    work(repo)
    server = repo.server
    before, about = read_state(server.url, repo.root, indices=True), info(server, repo.root)
    port = server.port
    getattr(server, how)()
    assert not server.running
    server.restart()
    assert server.port == port
    assert read_state(server.url, repo.root, indices=True) == before
    assert info(server, repo.root) == about


def test_mutation_ids_are_never_given_twice(repo: Repo) -> None:
    first = repo.labels("POST", "merge", [1, 2]).json()["MutationID"]
    repo.server.kill()
    repo.server.restart()
    second = repo.labels("POST", "merge", [1, 3]).json()["MutationID"]
    assert first < second
    assert second % 100 == 0


def test_a_copied_folder_is_a_copy_of_the_server(repo: Repo, tmp_path: Path) -> None:
    work(repo)
    server = repo.server
    server.stop()
    copied = server.copy_to(tmp_path / "copy")
    server.restart()
    with SandboxServer.start(copied) as copy:
        assert (
            differences(
                read_state(server.url, repo.root), read_state(copy.url, repo.root), ignore_times=False
            )
            == []
        )
        assert info(server, repo.root) == info(copy, repo.root)


def test_two_copies_make_different_uuids(repo: Repo, tmp_path: Path) -> None:
    repo.send("POST", f"/api/node/{repo.root}/commit", {}).raise_for_status()
    server = repo.server
    server.stop()
    copied = server.copy_to(tmp_path / "copy")
    server.restart()
    child = repo.send("POST", f"/api/node/{repo.root}/newversion", {}).json()["child"]
    with SandboxServer.start(copied) as copy:
        repo.server = copy
        assert repo.send("POST", f"/api/node/{repo.root}/newversion", {}).json()["child"] != child


def test_a_journal_cut_in_its_last_record_forgets_that_one(repo: Repo) -> None:
    repo.labels("POST", "merge", [1, 2]).raise_for_status()
    repo.labels("POST", "merge", [3, 4]).raise_for_status()
    server = repo.server
    server.kill()
    journal = server.folder / NAME
    journal.write_bytes(journal.read_bytes()[:-3])
    server.restart()
    assert repo.bodies_of(2, 4) == [1, 4]
    repo.labels("POST", "merge", [3, 4]).raise_for_status()
    server.kill()
    server.restart()
    assert repo.bodies_of(2, 4) == [1, 3]


def test_tokens_are_not_in_the_folder(repo: Repo) -> None:
    token = repo.server.admin_token = "a-secret-word"
    repo.server.restart()
    answer = repo.labels("POST", f"set-nextlabel/9000?admintoken={token}")
    answer.raise_for_status()
    repo.server.stop()
    for path in repo.server.folder.rglob("*"):
        assert token.encode() not in path.read_bytes()
    repo.server.restart()
    assert repo.next_label == 9001
