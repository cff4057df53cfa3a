"""Sandbox servers that begin as copies of a process which has loaded their modules.

A start takes a tenth of the time. That process is started when it is first needed, and ends with this one.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TextIO


class Forked:
    """A server's process. What it prints is read from `stdout`.

    Args:
        arguments: of `dvid_sandbox.server`.
        environment: added to this process's own.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.args = ["dvid_sandbox.server", *arguments]
        request = {"arguments": list(arguments), "environment": {**os.environ, **environment}}
        reads, output = os.pipe()
        ends, status = os.pipe()
        self.stdout: TextIO = os.fdopen(reads, errors="replace")
        self._status = os.fdopen(ends)
        try:
            self.pid = _origin().forked(json.dumps(request), output, status, self._status)
        finally:
            os.close(output)
            os.close(status)
        self._code: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code if it has ended; that of a signal is negative."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; gives its exit code.

        Raises:
            TimeoutExpired: it did not end within so many seconds.
        """
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            # It may have ended since, or its end is not told yet: another process is its parent.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _ended(self, timeout: float | None) -> int | None:
        with self._lock:
            if self._code is None and select.select([self._status], [], [], timeout)[0]:
                # Nothing is told if the other process was killed.
                self._code = int(self._status.readline() or -signal.SIGKILL)
                self._status.close()
            return self._code


class _Origin:
    """The process that forks."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._socket, there = socket.socketpair()
        with there:
            # Ends when this process does: its end of the socket is closed then.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dvid_sandbox.fork_server", str(there.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
            )

        atexit.register(self._end)

    def forked(self, request: str, output: int, status: int, answers: TextIO) -> int:
        """Ask for a server; its process id."""
        content = f"{request}\n".encode()
        with self._lock:
            sent = socket.send_fds(self._socket, [content], [output, status])
            self._socket.sendall(content[sent:])
            return int(answers.readline())

    def _end(self) -> None:
        if self.pid == os.getpid():
            self._socket.close()
            self._process.wait()


_lock = threading.Lock()
_running: _Origin | None = None


def _origin() -> _Origin:
    """That of this process; a forked one does not share it."""
    global _running
    with _lock:
        if _running is None or _running.pid != os.getpid():
            _running = _Origin()
        return _running
