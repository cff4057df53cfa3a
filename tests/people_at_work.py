"""People who work while something else happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dvid_sandbox.proofreaders import Proofreaders


@contextmanager
def at_work(people: Proofreaders) -> Iterator[None]:
    """They work as fast as they can, and have begun when the block is entered."""
    stop, begun = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                people.work(5, stop=stop)
                begun.set()
        except BaseException as error:
            failed.append(error)
            begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        begun.wait()
        yield
    finally:
        stop.set()
        thread.join()
    assert not failed, failed
