"""The server tells what it was sent, and which operations shared a body while both were in flight."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from repos import Repo


def at_once(repo: Repo, *requests: tuple[str, list[int]]) -> None:
    """Sends label operations so that all are in flight together."""
    repo.server.traffic(begin_anew=True)
    repo.server.ask_for_faults({"kind": "gather", "count": len(requests)})
    with ThreadPoolExecutor(len(requests)) as pool:
        for answer in pool.map(lambda request: repo.labels("POST", *request), requests):
            answer.raise_for_status()


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (("merge", [1, 2]), ("merge", [1, 3]), [[1]]),
        (("merge", [1, 2]), ("merge", [4, 3]), []),
        (("merge", [1, 2]), ("renumber", [9000, 3]), []),
        (("merge", [5, 2]), ("cleave/5", [6]), [[5]]),
    ],
)
def test_overlaps(
    repo: Repo, one: tuple[str, list[int]], other: tuple[str, list[int]], shared: list[list[int]]
) -> None:
    repo.labels("POST", "merge", [5, 6, 7]).raise_for_status()
    at_once(repo, one, other)
    told = repo.server.traffic()
    assert [each["shared"] for each in told["overlaps"]] == shared
    assert told["most in flight"] == 2


def test_requests_are_counted_by_endpoint(repo: Repo) -> None:
    repo.server.traffic(begin_anew=True)
    repo.labels("POST", "merge", [1, 2]).raise_for_status()
    repo.labels("POST", "cleave/1", [2]).raise_for_status()
    repo.labels("GET", "supervoxels/1")
    repo.send("GET", f"/api/repo/{repo.root}/info")
    told = repo.server.traffic()
    assert told["requests"] == {"GET info": 1, "GET supervoxels": 1, "POST cleave": 1, "POST merge": 1}
    assert told["most in flight"] == 1
    assert told["overlaps"] == []
