"""Faults strike when and where they were asked for, and what they leave behind is what DVID leaves behind."""

from __future__ import annotations

import httpx
import pytest

from dvid_sandbox import wire
from repos import Repo


def restart_after_death(repo: Repo) -> None:
    repo.server.wait_for_death()
    repo.server.restart()


@pytest.mark.parametrize(
    ("kind", "applied"), [("kill-before", False), ("kill-unpublished", True), ("kill-after", True)]
)
def test_a_kill_around_a_request(repo: Repo, kind: str, applied: bool) -> None:
    repo.server.ask_for_faults({"kind": kind, "after": 1})
    repo.labels("POST", "merge", [1, 2]).raise_for_status()
    with pytest.raises(httpx.TransportError):
        repo.labels("POST", "merge", [1, 3])
    restart_after_death(repo)
    assert repo.bodies_of(2, 3) == [1, 1 if applied else 3]


@pytest.mark.parametrize(("kind", "applied"), [("drop-before", False), ("drop-after", True)])
def test_a_dropped_connection(repo: Repo, kind: str, applied: bool) -> None:
    repo.server.ask_for_faults({"kind": kind})
    with pytest.raises(httpx.RemoteProtocolError):
        repo.labels("POST", "merge", [1, 3])
    assert repo.server.running
    assert repo.bodies_of(3) == [1 if applied else 3]


def test_unavailable_for_some_requests_on_some_paths(repo: Repo) -> None:
    repo.server.ask_for_faults({"kind": "unavailable", "count": 2, "only": "/mapping"})
    statuses = [repo.labels("GET", "mapping", [1]).status_code for _ in range(3)]
    assert repo.labels("GET", "nextlabel").status_code == 200
    assert statuses == [503, 503, 200]


def test_a_request_that_waits_in_vain_for_others_goes_on(repo: Repo) -> None:
    repo.server.ask_for_faults({"kind": "gather", "count": 2, "seconds": 0.01})
    repo.labels("POST", "merge", [1, 2]).raise_for_status()
    repo.labels("POST", "merge", [1, 3]).raise_for_status()
    assert repo.bodies_of(2, 3) == [1, 1]


def test_a_delayed_request_is_done_in_the_end(repo: Repo) -> None:
    repo.server.ask_for_faults({"kind": "delay", "seconds": 0.01})
    repo.labels("POST", "merge", [1, 2]).raise_for_status()
    assert repo.bodies_of(2) == [1]


def test_an_empty_list_ends_the_faults(repo: Repo) -> None:
    repo.server.ask_for_faults({"kind": "unavailable"})
    repo.server.ask_for_faults()
    assert repo.labels("GET", "nextlabel").status_code == 200


def test_reads_do_not_count_as_changes(repo: Repo) -> None:
    repo.server.ask_for_faults({"kind": "drop-before"})
    assert repo.labels("GET", "nextlabel").status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        repo.labels("POST", "merge", [1, 3])


def test_a_fault_that_makes_no_sense_is_refused(repo: Repo) -> None:
    with pytest.raises(ValueError, match="kind"):
        repo.server.ask_for_faults({"kind": "meteorite"})


def tear(repo: Repo, at: str, endpoint: str, body: list[int]) -> None:
    repo.server.ask_for_faults({"kind": "kill-torn", "at": at})
    with pytest.raises(httpx.TransportError):
        repo.labels("POST", endpoint, body)
    restart_after_death(repo)


def test_a_merge_torn_after_its_mapping(repo: Repo) -> None:
    tear(repo, "mapping", "merge", [1, 2])
    assert repo.bodies_of(2) == [1]
    assert repo.supervoxels_of(2) == [2]
    assert repo.supervoxels_of(1) == [1]
    # The repair: once more.
    repo.labels("POST", "merge", [1, 2]).raise_for_status()
    assert repo.supervoxels_of(1) == [1, 2]
    assert repo.supervoxels_of(2) is None


def test_a_cleave_torn_after_its_indices(repo: Repo) -> None:
    repo.labels("POST", "merge", [1, 2, 3]).raise_for_status()
    new = repo.next_label
    tear(repo, "indices", "cleave/1", [2])
    assert repo.bodies_of(2) == [1]
    assert repo.supervoxels_of(1) == [1, 3]
    assert repo.supervoxels_of(new) == [2]
    assert repo.next_label == new + 1
    mappings = wire.MappingOps()
    mappings.mappings.add(mapped=new, original=[2])
    mappings.mappings.add(mapped=0, original=[new])
    url = f"{repo.server.url}/api/node/{repo.root}/labelmap/mappings"
    httpx.post(url, content=mappings.SerializeToString()).raise_for_status()
    assert repo.bodies_of(2) == [new]


def test_a_torn_cleave_that_is_posted_again_gets_an_empty_label(repo: Repo) -> None:
    repo.labels("POST", "merge", [1, 2, 3]).raise_for_status()
    tear(repo, "indices", "cleave/1", [2])
    again = repo.labels("POST", "cleave/1", [2])
    assert again.status_code == 200
    label = again.json()["CleavedLabel"]
    assert repo.bodies_of(2) == [label]
    assert repo.supervoxels_of(label) is None


def test_a_renumber_torn_after_its_mapping(repo: Repo) -> None:
    tear(repo, "mapping", "renumber", [7000, 1])
    assert repo.bodies_of(1) == [7000]
    assert repo.supervoxels_of(1) == [1]
    repo.labels("POST", "renumber", [7000, 1]).raise_for_status()
    assert repo.supervoxels_of(7000) == [1]


@pytest.mark.parametrize(
    ("endpoint", "body", "used_up"), [("merge", [1, 2], 0), ("cleave/1", [2], 1), ("renumber", [9, 3], 0)]
)
def test_an_operation_torn_when_only_announced_uses_up_its_ids(
    repo: Repo, endpoint: str, body: list[int], used_up: int
) -> None:
    repo.labels("POST", "merge", [1, 2]).raise_for_status()
    before = repo.next_label
    tear(repo, "announced", endpoint, body)
    assert repo.bodies_of(1, 2, 3) == [1, 1, 3]
    assert repo.next_label == before + used_up


def test_a_merge_torn_after_the_targets_index_refuses_to_be_repeated(repo: Repo) -> None:
    tear(repo, "target index", "merge", [1, 2])
    assert repo.supervoxels_of(1) == [1, 2]
    assert repo.supervoxels_of(2) == [2]
    again = repo.labels("POST", "merge", [1, 2])
    assert (again.status_code, "already in index for target label 1" in again.text) == (400, True)
    empty = wire.LabelIndices(indices=[wire.LabelIndex(label=2)])
    url = f"{repo.server.url}/api/node/{repo.root}/labelmap/indices"
    httpx.post(url, content=empty.SerializeToString()).raise_for_status()
    assert repo.supervoxels_of(2) is None


def test_without_an_operation_that_comes_by_its_point_a_tear_kills_behind_it(repo: Repo) -> None:
    tear(repo, "no such point", "merge", [1, 2])
    assert repo.supervoxels_of(1) == [1, 2]
