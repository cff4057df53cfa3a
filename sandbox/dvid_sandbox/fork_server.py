"""The process that has loaded a server's modules, and becomes a server each time that one is asked for.

``python -m dvid_sandbox.fork_server FD`` serves the socket with that number until its other end is closed;
then all servers end. A request is a line of JSON with two descriptors: what the server prints goes to the
first; the other one gets a line with the server's process id at once, and one with its exit code at its end.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any, NoReturn

from dvid_sandbox.server import main

MAX_REQUEST = 1 << 20
"""Bytes."""

_DESCRIPTORS = 4096
"""More than this process has open."""


def serve(requests: socket.socket) -> None:
    """Serves until the other end is closed."""
    # Ctrl-C reaches all processes of a terminal; this one ends with the one that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    waiting: dict[int, int] = {}
    with selectors.DefaultSelector() as ready:
        ready.register(requests, selectors.EVENT_READ)
        ready.register(ended, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is requests:
                    content, descriptors, *_ = socket.recv_fds(requests, MAX_REQUEST, 2)
                    if not content:
                        for pid in waiting:
                            os.kill(pid, signal.SIGTERM)
                        return
                    while not content.endswith(b"\n"):
                        content += requests.recv(MAX_REQUEST)
                    output, status = descriptors
                    pid = os.fork()
                    if pid == 0:
                        _become(json.loads(content), output)
                    os.close(output)
                    waiting[pid] = status
                    os.write(status, b"%d\n" % pid)
                else:
                    os.read(ended, 4096)
                    _tell_of_ends(waiting)


def _tell_of_ends(waiting: dict[int, int]) -> None:
    """`waiting`: by process id, who wants to know its exit code."""
    while waiting:
        pid, code = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        status = waiting.pop(pid)
        with suppress(BrokenPipeError):
            os.write(status, b"%d\n" % os.waitstatus_to_exitcode(code))
        os.close(status)


def _become(request: dict[str, Any], output: int) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.closerange(3, _DESCRIPTORS)
        os.environ.clear()
        os.environ.update(request["environment"])
        main(request["arguments"], standalone_mode=False)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        serve(requests)
