"""A server that does not start, or does not end, says so."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import httpx
import pytest

from dvid_sandbox import process
from dvid_sandbox.forked import Forked
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.process import ChildProcess, started
from dvid_sandbox.real_server import RealServer, dvid_binary
from repos import Repo

DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""


def test_one_that_ends_before_it_is_ready_tells_what_it_printed() -> None:
    with pytest.raises(RuntimeError, match="before it was ready:\nno such volume"):
        ChildProcess(started([sys.executable, "-c", "print('no such volume')"], {}), ready="ready")


def test_one_that_does_not_stop_is_killed_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.1)
    child = ChildProcess(started([sys.executable, "-c", DEAF], {}), ready="ready")
    with pytest.raises(RuntimeError, match=r"did not stop within .* was killed"):
        child.stop()
    assert not child.running


def test_a_server_on_a_port_that_is_taken_says_so(server: SandboxServer, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Address already in use"):
        SandboxServer.start(tmp_path / "other", port=server.port)


def test_only_a_stopped_server_is_copied(repo: Repo, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop the server"):
        repo.server.copy_to(tmp_path / "copy")
    with repo.server.stopped() as server:
        assert not server.running
        server.copy_to(tmp_path / "copy")
    assert repo.bodies_of(1) == [1]


def test_a_stopped_server_has_no_process(server: SandboxServer) -> None:
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.pid


def test_one_that_ends_by_itself_may_be_ended_at_any_moment(tmp_path: Path) -> None:
    for round_ in range(20):
        process = Forked(["--no-such-option", str(tmp_path / str(round_))], {})
        while process.poll() is None:
            process.terminate()
        process.stdout.close()


def test_the_port_of_a_stopped_server_is_given_to_nobody_else(server: SandboxServer) -> None:
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port))
    server.restart()
    assert httpx.get(f"{server.url}/api/server/info").status_code == 200


def test_without_a_program_there_is_no_real_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVID_BIN", raising=False)
    assert dvid_binary() is None
    with pytest.raises(RuntimeError, match="DVID_BIN does not name"):
        RealServer.start(tmp_path)
    monkeypatch.setenv("DVID_BIN", str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="no program"):
        dvid_binary()


@pytest.mark.dvid
def test_a_real_server_that_stops_at_once_tells_what_it_logged(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "MANIFEST").write_text("no manifest of badger")
    with pytest.raises(RuntimeError, match=r"stopped while it started\n(.|\n)*manifest"):
        RealServer.start(tmp_path)
