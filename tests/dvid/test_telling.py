"""What is logged of servers, with fields for whoever collects it."""

from __future__ import annotations

import logging

import pytest

from dvidsync_dagster.dvid.patience import Patience
from dvidsync_dagster.errors import LoginRefused, ServerBusy
from tests.dvid.test_client import ADMIN_TOKEN, TOKEN, answer, talking_to


def fields(record: logging.LogRecord) -> tuple[str, str, str]:
    told = vars(record)
    return record.levelname, told["server"], told["request"]


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dvidsync_dagster")


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("dvidsync_dagster.")]


def test_a_retry(caplog: pytest.LogCaptureFixture) -> None:
    with talking_to(None, answer(200, b"1")) as (_, client):
        assert client.read_json("/api/x", query={"q": TOKEN}) == 1
    (record,) = ours(caplog)
    assert fields(record) == ("INFO", "destinations[copy]", f"GET {client.url}/api/x")
    assert 0 < vars(record)["seconds"] < 2


def test_a_long_pause(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvidsync_dagster.dvid.again._LONG_PAUSE", 0.5)
    busy = [answer(429, b"slow down", Retry_After="1")] * 2
    with (
        talking_to(*busy, patience=Patience(busy=1.5)) as (_, client),
        pytest.raises(ServerBusy),
    ):
        client.change("POST", "/api/x")
    (record,) = ours(caplog)
    assert fields(record) == ("WARNING", "destinations[copy]", "POST /api/x")
    assert vars(record)["seconds"] == 1
    assert "waiting 1.0 s, then again: POST /api/x" in record.getMessage()


def test_a_refused_login(caplog: pytest.LogCaptureFixture) -> None:
    said = f"token {TOKEN} or {ADMIN_TOKEN} expired".encode()
    with talking_to(answer(401, said)) as (_, client), pytest.raises(LoginRefused):
        client.change("POST", "/api/x", query={"q": "secret"}, admin=True)
    (record,) = ours(caplog)
    assert fields(record) == ("WARNING", "destinations[copy]", "POST /api/x")
    assert "token_env" in record.getMessage()
    assert TOKEN not in str(vars(record))
    assert ADMIN_TOKEN not in str(vars(record))
