"""Sandbox servers from Python."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from dvid_sandbox.process import ChildProcess, python_module

_ADMIN_TOKEN_ENV = "DVID_ADMIN_TOKEN"
_TOKEN_ENV = "DVID_TOKEN"


@dataclass
class SandboxServer:
    """A sandbox server in a process of its own. `start` makes one; `restart` runs it again on the same port.

    A copy of a stopped server's folder is a copy of the server: start another one in it.
    """

    folder: Path
    port: int
    kafka: str | None
    topic_prefix: str
    admin_token: str = field(repr=False)
    split_endpoint: bool
    mutation_list: bool
    min_mutation_id: int
    token: str | None = field(repr=False)
    _process: ChildProcess | None = field(default=None, repr=False)

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
        min_mutation_id: int = 0,
        token: str | None = None,
    ) -> SandboxServer:
        """A running server that answers.

        Args:
            folder: made if it is not there; one that a stopped server left is served again.
            port: of HTTP; 0 takes a free one.
            kafka: ``host:port`` of a broker, which must be up; None publishes nothing.
            topic_prefix: put before all topic names of the mutation log.
            admin_token: what ``admintoken=`` must say.
            split_endpoint: turns the labelmap's ``split`` on.
            mutation_list: keeps what GET ``mutations`` answers.
            min_mutation_id: mutation ids start here or above.
            token: what ``Authorization: Bearer`` must say to reach a repo; None asks for nothing.

        Raises:
            RuntimeError: it stopped before it answered; the message ends with what it printed.
        """
        server = cls(
            folder,
            port,
            kafka,
            topic_prefix,
            admin_token,
            split_endpoint,
            mutation_list,
            min_mutation_id,
            token,
        )
        server.restart()
        return server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def restart(self) -> None:
        """Starts it after `stop` or `kill` (or stops it first), with what its folder holds."""
        self.stop()
        arguments = ["--port", str(self.port), "--folder", str(self.folder)]
        arguments += ["--topic-prefix", self.topic_prefix, "--admin-token-env", _ADMIN_TOKEN_ENV]
        arguments += ["--min-mutation-id", str(self.min_mutation_id)]
        if self.kafka is not None:
            arguments += ["--kafka", self.kafka]
        environment = {_ADMIN_TOKEN_ENV: self.admin_token}
        if self.token is not None:
            arguments += ["--token-env", _TOKEN_ENV]
            environment[_TOKEN_ENV] = self.token
        if self.split_endpoint:
            arguments.append("--split-endpoint")
        if not self.mutation_list:
            arguments.append("--no-mutation-list")
        command = python_module("dvid_sandbox.server", *arguments)
        self._process = ChildProcess(command, environment, "ready http://")
        self.port = int(self._process.started_line.rpartition(":")[2])

    def stop(self) -> None:
        """Ends it with SIGTERM: what it published is at the broker then. Does nothing if it does not run."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """Ends it at once, with SIGKILL. As at DVID, what it just published may not be at the broker yet."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def wait_for_death(self) -> None:
        """Waits until a fault has killed it."""
        if self._process is not None:
            self._process.wait()
            self.kill()

    def ask_for_faults(self, *faults: dict[str, Any]) -> None:
        """The faults that the next requests meet; see `sandbox.faults` for their fields."""
        answer = httpx.post(f"{self.url}/sandbox/faults", json=list(faults))
        if answer.status_code != 200:
            raise ValueError(answer.text)

    def traffic(self, *, begin_anew: bool = False) -> dict[str, Any]:
        """What clients sent; see `sandbox.traffic`. `begin_anew` forgets it."""
        method = "DELETE" if begin_anew else "GET"
        told: dict[str, Any] = httpx.request(method, f"{self.url}/sandbox/traffic").json()
        return told

    def put_cubes(self, uuid: str, data: str, *, size: int, cube: int, first: int = 1) -> None:
        """Fills a labelmap without voxels with cubes, each a supervoxel, numbered from `first`, x fastest.

        Args:
            uuid, data: version and instance.
            size: voxels along each axis, a multiple of `cube`.
            cube: voxels along a cube's edge; divides 64.
        """
        body = {"uuid": uuid, "data": data, "size": [size] * 3, "cube": cube, "first": first}
        httpx.post(f"{self.url}/sandbox/cubes", json=body, timeout=120).raise_for_status()

    def copy_to(self, folder: Path) -> Path:
        """A copy of the stopped server's folder, as people make one; start it like any other."""
        if self.running:
            raise RuntimeError("stop the server before you copy its folder")
        shutil.copytree(self.folder, folder)
        return folder

    def __enter__(self) -> SandboxServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
