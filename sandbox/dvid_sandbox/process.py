"""A child process whose output is read."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

STOP_SECONDS = 90.0
KEPT_LINES = 50


class Started(Protocol):
    """A process as `subprocess` has it."""

    @property
    def args(self) -> Any: ...
    @property
    def pid(self) -> int: ...
    @property
    def stdout(self) -> TextIO | Any: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class ChildProcess:
    """A program that this process has started.

    Args:
        process: with a pipe for what it prints.
        ready: what the line begins with that says that it is ready; None waits for none.

    Raises:
        RuntimeError: it ended before it was ready; the message holds what it printed.
    """

    def __init__(self, process: Started, *, ready: str | None = None) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        if ready is not None:
            self._await(ready)
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
        return "".join(tuple(self._lines))

    def wait(self) -> int:
        """Waits for its end, as after a fault that kills it; gives its exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """Ends it with SIGTERM, and waits. Does nothing if it has ended.

        Raises:
            RuntimeError: it did not end in time and was killed; the message holds what it printed.
        """
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            happened = f"did not stop within {STOP_SECONDS:.0f} s and was killed"
            raise RuntimeError(f"{self._process.args!r} {happened}:\n{self.output}") from None
        self._ended()

    def kill(self) -> None:
        """Ends it at once, with SIGKILL. Does nothing if it has ended."""
        self._process.kill()
        self._ended()

    def _ended(self) -> None:
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def _await(self, ready: str) -> None:
        for line in self._process.stdout:
            self._lines.append(line)
            if line.startswith(ready):
                return
        self._process.wait()
        self._process.stdout.close()
        raise RuntimeError(f"{self._process.args!r} ended before it was ready:\n{self.output}")

    def _keep_output(self) -> None:
        # Read to the end, so that the pipe never fills up.
        self._lines.extend(self._process.stdout)


def started(
    command: Sequence[str], environment: Mapping[str, str], *, folder: Path | None = None
) -> subprocess.Popen[str]:
    """A process that runs a command.

    Args:
        command: program and arguments.
        environment: added to this process's own.
        folder: its working folder; None is this process's.
    """
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
