"""A real DVID and a sandbox server, side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.side_by_side import Both, Side
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.real_server import RealServer
from dvid_sandbox.state import differences, read_state


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with RealServer.start(tmp_path_factory.mktemp("dvid"), split_endpoint=True) as server:
        yield server


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    folder = tmp_path_factory.mktemp("sandbox")
    with SandboxServer.start(folder, split_endpoint=True, min_mutation_id=1_000_000_000) as server:
        yield server


@pytest.fixture
def both(real: RealServer, sandbox: SandboxServer) -> Iterator[Both]:
    """A new repo on each side; what differs fails the test."""
    pair = Both(Side(real.url, real.admin_token), Side(sandbox.url, sandbox.admin_token))
    pair.make_repo(size=128, cube=16)
    yield pair
    states = []
    for side in pair.sides:
        (root,) = [uuid for uuid, name in side.names.items() if name == "<ROOT>"]
        state = read_state(side.url, root)
        state["versions"] = {side.names[uuid]: node for uuid, node in state["versions"].items()}
        for node in state["versions"].values():
            node["parents"] = [side.names[each] for each in node["parents"]]
        state["data"] = {side.neutral(place): value for place, value in state["data"].items()}
        states.append(state)
        side.client.close()
    assert pair.found == [], "\n".join(pair.found)
    assert differences(*states) == []
