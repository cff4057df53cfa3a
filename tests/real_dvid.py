"""A real DVID server for tests: the binary that DVID_BIN names, in a folder of its own, on loopback.

The folder holds everything (configuration, badger store, mutation log, blobs, log file) with relative paths,
so that a copy of it is a copy of the server. DVID also opens its profiler on port 6060 of every interface
where that is free; there is no setting against it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx

START_SECONDS = 60.0
STOP_SECONDS = 90.0
RECORD_HEADER = struct.Struct("<HI")
MAX_ENTRY_TYPE = 20


def binary() -> str | None:
    """The path that DVID_BIN names; None if it is not set. A wrong one is an error, not a skipped test."""
    path = os.environ.get("DVID_BIN")
    if not path:
        return None
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"DVID_BIN is {path}, which is no program")
    return path


def _is_broken(log: Path) -> bool:
    """Records are type (uint16) and size (uint32), little-endian, then so many bytes."""
    content = log.read_bytes()
    start = 0
    while start + RECORD_HEADER.size <= len(content):
        entry_type, size = RECORD_HEADER.unpack_from(content, start)
        if entry_type > MAX_ENTRY_TYPE:
            return True
        start += RECORD_HEADER.size + size
    return start != len(content)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class RealDvid:
    """A server in `folder`. `start` makes one; `restart` runs it again, folder and port as before."""

    folder: Path
    port: int
    rpc_port: int
    admin_token: str
    kafka: str | None
    topic_prefix: str
    split_endpoint: bool
    mutation_list: bool
    rwmode: str = ""
    """``readonly`` takes no changes, from the next `restart` on."""
    started_in: float = 0.0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        port: int = 0,
        kafka: str | None = None,
        topic_prefix: str = "",
        admin_token: str = "adm",
        split_endpoint: bool = False,
        mutation_list: bool = True,
    ) -> RealDvid:
        """A running server that answers.

        Args:
            folder: made if it is not there; one that a stopped server left is served again.
            port: of HTTP; 0 takes a free one.
            kafka: ``host:port`` of a broker, which must be up; None publishes nothing.
            topic_prefix: put before all topic names of the mutation log.
            admin_token: what `admintoken=` must say.
            split_endpoint: turns the labelmap's `split` on.
            mutation_list: keeps what `GET DATA/mutations` answers.

        Raises:
            RuntimeError: it stopped, or did not answer in time; the message ends with its log.
        """
        folder.mkdir(parents=True, exist_ok=True)
        free = free_ports(2)
        server = cls(
            folder=folder,
            port=port or free[0],
            rpc_port=free[1],
            admin_token=admin_token,
            kafka=kafka,
            topic_prefix=topic_prefix,
            split_endpoint=split_endpoint,
            mutation_list=mutation_list,
        )
        server.restart()
        return server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def restart(self) -> None:
        """Starts it after `stop` or `kill` (or stops it first), with what its folder holds."""
        self.stop()
        self._write_configuration()
        environment = {**os.environ, "DVID_ADMIN_TOKEN": self.admin_token}
        path = binary()
        if path is None:
            raise RuntimeError("DVID_BIN does not name a DVID binary")
        began = time.monotonic()
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [path, "serve", "config.toml"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_it_answers(began + START_SECONDS)
        self.started_in = time.monotonic() - began

    def stop(self) -> None:
        """Ends it as its operators do, with SIGTERM, and waits. Nothing happens if it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"DVID did not stop within {STOP_SECONDS:.0f} s\n{self.log_tail()}") from None
        self._process = None

    def kill(self) -> None:
        """Ends it at once, with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def copy_to(self, folder: Path) -> Path:
        """A copy of the stopped server's folder, as people make one; start it like any other."""
        if self.running:
            raise RuntimeError("stop the server before you copy its folder")
        shutil.copytree(
            self.folder, folder, ignore=shutil.ignore_patterns("output.log", "dvid.log", "config.toml")
        )
        return folder

    def broken_logs(self) -> list[str]:
        """Mutation logs in which records are mixed up: the server would never start again.

        That comes of a kill, or of two first writes to a log at once. Look while nobody writes.
        """
        return [path.name for path in sorted((self.folder / "mutlog").iterdir()) if _is_broken(path)]

    def log_tail(self, lines: int = 30) -> str:
        texts = [path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log"))]
        return "\n".join("\n".join(text.splitlines()[-lines:]) for text in texts)

    def __enter__(self) -> RealDvid:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def stopped(self) -> Iterator[RealDvid]:
        """Stopped inside the block, started again behind it."""
        self.stop()
        try:
            yield self
        finally:
            self.restart()

    def _wait_until_it_answers(self, deadline: float) -> None:
        with httpx.Client(timeout=5) as client:
            while time.monotonic() < deadline:
                if not self.running:
                    self._process = None
                    raise RuntimeError(f"DVID stopped while it started\n{self.log_tail()}")
                try:
                    if client.get(f"{self.url}/api/server/info").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"DVID did not answer within {START_SECONDS:.0f} s\n{self.log_tail()}")

    def _write_configuration(self) -> None:
        for name in ("mutations", "mutlog", "blobs", "db"):
            (self.folder / name).mkdir(exist_ok=True)
        sections: dict[str, dict[str, object]] = {
            "server": {
                "host": "127.0.0.1",
                "httpAddress": f"127.0.0.1:{self.port}",
                "rpcAddress": f"127.0.0.1:{self.rpc_port}",
                "allowLabelmapSplit": self.split_endpoint,
                "rwmode": self.rwmode,
                "shutdownDelay": 0,  # seconds for requests to drain; tests have none left
            },
            "logging": {"logfile": "dvid.log"},
            "mutations": {"blobstore": "blobs"},
            "backend.default": {"store": "db", "log": "mutlog"},
            "store.db": {"engine": "badger", "path": "db"},
            "store.mutlog": {"engine": "filelog", "path": "mutlog"},
            "store.blobs": {"engine": "filestore", "path": "blobs"},
        }
        if self.mutation_list:
            sections["mutations"]["jsonstore"] = "mutations"
        if self.kafka is not None:
            sections["kafka"] = {"servers": [self.kafka], "topicPrefix": self.topic_prefix}
        # JSON's texts, numbers, booleans and lists are TOML's.
        blocks = [
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entries.items())
            for name, entries in sections.items()
        ]
        (self.folder / "config.toml").write_text("\n".join(blocks))
