"""Dagster's UI and daemon (schedules, runs) as a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

HOST = "127.0.0.1"
START_SECONDS = 300.0
STOP_SECONDS = 30.0


@contextmanager
def dagster_ui(workspace: Path, log: Path, port: int) -> Iterator[str]:
    """Serve the instance of DAGSTER_HOME, and end all of it again.

    Args:
        log: the file for what Dagster prints.
        port: another one is taken if somebody has it.

    Yields:
        The URL; it answers.

    Raises:
        RuntimeError: it did not start.
    """
    port = _free_port(port)
    command = [sys.executable, "-m", "dagster", "dev", "--workspace", str(workspace)]
    command += ["--host", HOST, "--port", str(port)]
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C is for us, and all of its processes can be ended at once.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://{HOST}:{port}"
        _await(process, url, log)
        yield url
    finally:
        _end(process)


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/server_info", timeout=10).status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"Dagster did not start; {log} ends with:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise RuntimeError(f"no free port on {HOST}")
