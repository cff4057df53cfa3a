"""Processes that begin as copies of one which has loaded their modules: a start takes a tenth of the time.

That one is Python's forkserver, which this process starts when it first needs it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from subprocess import TimeoutExpired
from typing import TextIO


class Forked:
    """A process that runs a module's `main`. What it prints is read from `stdout`.

    Args:
        module: is loaded in advance. Its `main` is a command of click's.
        arguments: of the command line.
        environment: added to this process's own.
    """

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.args = [module, *arguments]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([module])
        reads, writes = context.Pipe(duplex=False)
        with reads, writes:
            given = (module, arguments, {**os.environ, **environment}, writes)
            # This process must not wait for it at its own end.
            self._process = context.Process(target=_run, args=given, daemon=True)
            self._process.start()
            self.stdout: TextIO = os.fdopen(os.dup(reads.fileno()), errors="replace")

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code if it has ended; that of a signal is negative."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; gives its exit code.

        Raises:
            TimeoutExpired: it did not end within so many seconds.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise TimeoutExpired(self.args, timeout or 0)
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _run(module: str, arguments: Sequence[str], environment: Mapping[str, str], output: Connection) -> None:
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output.fileno(), stream.fileno())
    output.close()
    os.environ.clear()
    os.environ.update(environment)
    import_module(module).main(arguments, standalone_mode=False)
