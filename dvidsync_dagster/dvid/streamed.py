"""Answers that are read piece by piece.

A thread has one request under way at most: one that asks for something else while it reads an answer first
brings what has not come yet into a file. So nobody who waits for a server's next free place holds one, and
threads cannot wait for each other. (Who reads an answer must not wait for other threads that ask.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile
from typing import IO

from dvidsync_dagster.dvid.patience import MIB

_thread = threading.local()


class StreamedAnswer:
    """The pieces of an answer, for one reader.

    Args:
        pieces: as they come.
        end: ends the request. Called, perhaps more than once, as soon as the last piece is there, reading it
            has failed, or nobody reads on.
    """

    def __init__(self, pieces: Iterator[bytes], end: Callable[[], None]) -> None:
        self._pieces = pieces
        self._end = end
        self._close_file: Callable[[], None] = lambda: None
        self._file: IO[bytes] | None = None
        self._failed: BaseException | None = None
        self._ended = False
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._lock:
            if self._file is None:
                return self._come()
            piece = self._file.read(MIB)
            if piece:
                return piece
            if self._failed is not None:
                raise self._failed
            raise StopIteration

    def _come(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self._ended = True
            self._end()
            raise

    def set_aside(self) -> None:
        """Bring the rest into a file and end the request. What fails is raised to the reader, when it gets
        there."""
        with self._lock:
            if self._file is not None or self._ended:
                return
            with ExitStack() as stack:
                self._file = stack.enter_context(TemporaryFile())
                self._close_file = stack.pop_all().close
            try:
                while True:
                    self._file.write(self._come())
            except StopIteration:
                pass
            except Exception as error:
                self._failed = error
                self._end()
            self._file.seek(0)

    def close(self) -> None:
        """Nobody reads on."""
        self._end()
        self._close_file()


@contextmanager
def reading(answer: StreamedAnswer) -> Iterator[Iterator[bytes]]:
    """This thread reads an answer."""
    mine = _mine()
    mine.append(answer)
    try:
        yield answer
    finally:
        mine.remove(answer)
        answer.close()


def set_all_aside() -> None:
    """This thread is about to ask for something else."""
    for answer in _mine():
        answer.set_aside()


def _mine() -> list[StreamedAnswer]:
    answers: list[StreamedAnswer] = _thread.__dict__.setdefault("answers", [])
    return answers
