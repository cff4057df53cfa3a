"""A real DVID server: the program that DVID_BIN names, in a folder of its own, on 127.0.0.1.

The folder holds everything (configuration, badger store, mutation log, blobs, log file) with relative paths,
so that a copy of it is a copy of the server. DVID also opens its profiler on port 6060 of every interface
where that is free; there is no setting against it.
"""

from __future__ import annotations

import json
import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import httpx

from dvid_sandbox.launcher import ADMIN_TOKEN_ENV, DvidServer
from dvid_sandbox.ports import held_port
from dvid_sandbox.process import ChildProcess, started

BINARY_ENV = "DVID_BIN"
START_SECONDS = 60.0
_RECORD_HEADER = struct.Struct("<HI")
_MAX_ENTRY_TYPE = 20


def dvid_binary() -> str | None:
    """The path that DVID_BIN names; None if it is not set.

    Raises:
        FileNotFoundError: it names no program: an error, not a reason to skip a test.
    """
    path = os.environ.get(BINARY_ENV)
    if not path:
        return None
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"{BINARY_ENV} is {path}, which is no program")
    return path


@dataclass
class RealServer(DvidServer):
    """A real DVID in `folder`. `start` makes one."""

    rpc_port: int = 0
    """For DVID's own command line; 0 takes a free one."""
    rwmode: str = ""
    """``readonly`` takes no changes, from the next `restart` on."""

    index_cache_mb: int = 0
    """For indices of labelmaps that are kept in memory, from the next `restart` on."""

    NOT_COPIED: ClassVar[tuple[str, ...]] = ("dvid.log", "config.toml")

    def broken_logs(self) -> list[str]:
        """Mutation logs in which records are mixed up: the server would never start again.

        That comes of a kill, or of two first writes to a log at once. Look while nobody writes.
        """
        return [path.name for path in sorted((self.folder / "mutlog").iterdir()) if _is_broken(path)]

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of its log file."""
        path = self.folder / "dvid.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _launch(self) -> ChildProcess:
        path = dvid_binary()
        if path is None:
            raise RuntimeError(f"{BINARY_ENV} does not name a DVID binary")
        self.rpc_port = self.rpc_port or held_port(self)
        self._write_configuration()
        command = [path, "serve", "config.toml"]
        environment = {ADMIN_TOKEN_ENV: self.admin_token}
        process = ChildProcess(started(command, environment, folder=self.folder))
        self._wait_until_it_answers(process)
        return process

    def _wait_until_it_answers(self, process: ChildProcess) -> None:
        deadline = time.monotonic() + START_SECONDS
        while process.running and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/api/server/info").status_code == 200:
                    return
            time.sleep(0.05)
        happened = f"did not answer within {START_SECONDS:.0f} s" if process.running else "stopped"
        process.kill()
        raise RuntimeError(f"DVID {happened} while it started\n{process.output}\n{self.log_tail()}")

    def _write_configuration(self) -> None:
        for name in ("mutations", "mutlog", "blobs", "db"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
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
        if self.index_cache_mb:
            sections["cache.labelmap"] = {"size": self.index_cache_mb}
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


def _is_broken(log: Path) -> bool:
    """Records are type (uint16) and size (uint32), little-endian, then so many bytes."""
    content = log.read_bytes()
    start = 0
    while start + _RECORD_HEADER.size <= len(content):
        entry_type, size = _RECORD_HEADER.unpack_from(content, start)
        if entry_type > _MAX_ENTRY_TYPE:
            return True
        start += _RECORD_HEADER.size + size
    return start != len(content)
