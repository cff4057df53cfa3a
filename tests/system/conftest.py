"""The recordings: their copies prepared once, their records on one broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dvid_sandbox.broker import EmbeddedBroker
from tests.recorded import ADMIN_TOKEN, ADMIN_TOKEN_ENV, publish, set_up
from tests.recordings import Recording


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recording], Path]:
    """The folder of a server in a recording's state before."""
    known: dict[str, Path] = {}

    def prepare(recording: Recording) -> Path:
        if recording.name not in known:
            known[recording.name] = set_up(recording, tmp_path_factory.mktemp(recording.name) / "before")
        return known[recording.name]

    return prepare


@pytest.fixture(scope="session")
def published() -> Iterator[Callable[[Recording], str]]:
    """The address of a broker with a recording's records."""
    done: set[str] = set()
    with EmbeddedBroker.start() as broker:

        def put(recording: Recording) -> str:
            if recording.name not in done:
                publish(recording, broker.address, 3)
                done.add(recording.name)
            return broker.address

        yield put


@pytest.fixture(autouse=True)
def admin_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADMIN_TOKEN_ENV, ADMIN_TOKEN)
