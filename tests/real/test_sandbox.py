"""The sandbox server beside the real one: the same people, the same answers, the same state in the end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dvidsync_dagster.sandbox.launcher import SandboxServer
from dvidsync_dagster.sandbox.proofreaders import KINDS, WEIGHTS, Proofreaders, make_repo
from tests.real_dvid import RealDvid
from tests.state import State, differences, read_state

pytestmark = pytest.mark.dvid

ODD_TEXTS = {"unread_cleave"}
"""Refusals whose text quotes Go's JSON decoder."""

FIRST_MUTATION_ID = 1_000_000_000
EVERYTHING = {**dict.fromkeys(KINDS, 0.5), **WEIGHTS, "split": 2.0}


def history(server: RealDvid | SandboxServer, seed: int, count: int) -> tuple[list[Any], State]:
    """Exchanges and state, with the UUIDs that each server makes up numbered by their first appearance."""
    repo = make_repo(server.url, server.admin_token, size=64, synced=True)
    with Proofreaders(
        server.url, repo.root, seed=seed, admin_token=server.admin_token, weights=EVERYTHING
    ) as people:
        people.work(count)
    names: dict[str, str] = {}

    def plain(text: str) -> str:
        named = re.sub(r"[0-9a-f]{32}", lambda found: names.setdefault(found[0], f"UUID{len(names)}"), text)
        for uuid in names:
            named = re.sub(rf"(after |release-){uuid[:6]}", r"\1UUID", named)
        return named

    plain(repo.root)
    exchanges = []
    for each in people.exchanges:
        row = json.loads(plain(json.dumps(each.row())))
        if each.kind in ODD_TEXTS:
            row.pop("response")
        exchanges.append(row)
    state = json.loads(plain(json.dumps(read_state(server.url, repo.root, indices=True))))
    return exchanges, state


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_and_ends_like_the_real_one(tmp_path: Path, seed: int) -> None:
    with RealDvid.start(tmp_path / "real", split_endpoint=True) as real:
        expected, expected_state = history(real, seed, 500)
    sandbox = SandboxServer.start(
        tmp_path / "sandbox", split_endpoint=True, min_mutation_id=FIRST_MUTATION_ID
    )
    try:
        answers, state = history(sandbox, seed, 500)
    finally:
        sandbox.stop()
    for one, other in zip(expected, answers, strict=True):
        assert one == other
    assert differences(expected_state, state) == []
