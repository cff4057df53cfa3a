"""A child process that says when it is ready."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

STOP_SECONDS = 30.0
KEPT_LINES = 50


class ChildProcess:
    """A process of ours. `started_line` is the first line it printed that begins with the awaited word.

    Args:
        command: program and arguments.
        environment: added to this process's own.
        ready: what the awaited line begins with.

    Raises:
        RuntimeError: it ended before it was ready; the message holds what it printed.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], ready: str) -> None:
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.started_line = self._await(ready)
        self._reader = threading.Thread(target=self._keep_output, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """The last lines that it printed."""
        return "".join(self._lines)

    def wait(self) -> int:
        """Waits for its end, as after a fault that kills it; gives its exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """Ends it with SIGTERM, or SIGKILL if it does not listen. Nothing happens if it has ended."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._ended()

    def kill(self) -> None:
        """Ends it at once, with SIGKILL."""
        if self.running:
            self._process.send_signal(signal.SIGKILL)
        self._ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ended(self) -> None:
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _await(self, ready: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            if line.startswith(ready):
                return line.strip()
        self._process.wait()
        self._process.stdout.close()
        raise RuntimeError(f"{self._process.args!r} ended before it was ready:\n{self.output}")

    def _keep_output(self) -> None:
        # Read to the end, so that the pipe never fills up.
        assert self._process.stdout is not None
        self._lines.extend(self._process.stdout)


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module in this interpreter."""
    return [sys.executable, "-m", name, *arguments]
