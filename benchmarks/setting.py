"""Where a workload is measured: the kind of servers, the broker, a folder, and how often."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.announcing import make_topics
from benchmarks.measuring import Measured, measured
from benchmarks.source import Source, new_repo, only_root, topics_of
from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.real_server import BINARY_ENV, RealServer

BLOCKS = 2
"""In which a supervoxel has voxels. Real ones have more; the fewer, the less one request for each costs."""
_TENTHS = 10

Fill = Callable[[DvidServer, str], None]
"""Gives a server something to begin with. It takes the version too."""


def server_kind() -> type[DvidServer]:
    """Real servers where DVID_BIN names the binary, else the sandbox's."""
    return RealServer if os.environ.get(BINARY_ENV) else SandboxServer


@dataclass(frozen=True, slots=True)
class Setting:
    """Where one workload is measured, and how.

    Args:
        folder: an empty one, for one workload of one size.
        server: the kind of servers.
        broker: the address of a running one.
        repeats: how often each way is measured.
        say: takes what is being done.
        measured: does a piece of work and says what that took.
        kept: the folder in which servers that take long to fill are kept; None: they are not.
        blocks: in which each supervoxel has voxels, where supervoxels are apart; real servers only.
    """

    folder: Path
    server: type[DvidServer]
    broker: str
    repeats: int
    say: Callable[[str], None]
    measured: Callable[..., Measured] = measured
    kept: Path | None = None
    blocks: int = BLOCKS

    @contextmanager
    def source(self, fill: Fill | None = None, *, keep_as: str = "") -> Iterator[Source]:
        """A source with a repo, whose log begins when all is there that it begins with.

        Args:
            keep_as: the name under which its folder is kept for the next time; nothing: it is not.
        """
        before = self._filled(fill, keep_as)
        prefix = f"benchmark-{secrets.token_hex(4)}-"
        folder = shutil.copytree(before, self.folder / "source")
        with self.server.start(folder, kafka=self.broker, topic_prefix=prefix) as server:
            root = only_root(server.url)
            topics = topics_of(server, root)
            make_topics(self.broker, topics.values())
            quarantine = self.folder / "quarantine"
            quarantine.mkdir()
            yield Source(server, root, self.broker, topics, before, quarantine)

    @contextmanager
    def copy_of(self, source: Source) -> Iterator[DvidServer]:
        """A fresh server that holds what the source began with."""
        folder = shutil.copytree(source.before, self.folder / "copy")
        with self.server.start(folder) as server:
            yield server
        shutil.rmtree(folder)

    def turns(self, ways: Sequence[str]) -> Iterator[tuple[str, int]]:
        """The ways in turns, and the number of the turn, so that whatever else the machine does meets all."""
        for number in range(self.repeats):
            for way in ways:
                self.say(f"{way}, {number + 1} of {self.repeats}")
                yield way, number

    def _filled(self, fill: Fill | None, keep_as: str) -> Path:
        """The folder of a server that ran."""
        kept = self.kept / f"{self.server.__name__}-{keep_as}" if self.kept and keep_as else None
        if kept and kept.exists():
            return kept
        folder = self.folder / "before"
        with self.server.start(folder) as server:
            root = new_repo(server)
            if fill:
                self.say("the server is filled")
                fill(server, root)
        if kept:
            shutil.copytree(folder, kept)
        return folder


def tenths(say: Callable[[str], None], what: str, done: int, total: int) -> None:
    """Say so at each tenth of some work."""
    if done * _TENTHS // total != (done - 1) * _TENTHS // total:
        say(f"{what}: {done:,} of {total:,}")
