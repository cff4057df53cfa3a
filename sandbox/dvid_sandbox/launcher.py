"""DVID servers from Python: what they have in common, and the sandbox's. `real_server` has the real one."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from dvid_sandbox.forked import Forked
from dvid_sandbox.ports import held_port
from dvid_sandbox.process import ChildProcess

ADMIN_TOKEN_ENV = "DVID_ADMIN_TOKEN"
"""Where a server's process finds its admin token."""

_TOKEN_ENV = "DVID_TOKEN"


@dataclass
class DvidServer(ABC):
    """A DVID server in a process of its own, which keeps all that it has in one folder.

    `start` makes one that answers; `restart` runs it again in its folder, on its port. A test that takes a
    `DvidServer` runs on the sandbox's and on the real one.

    A copy of a stopped server's folder is a copy of the server: start another one in it.
    """

    folder: Path
    port: int
    kafka: str | None
    topic_prefix: str
    admin_token: str = field(repr=False)
    split_endpoint: bool
    mutation_list: bool
    _process: ChildProcess | None = field(default=None, init=False, repr=False)

    NOT_COPIED: ClassVar[tuple[str, ...]] = ()
    """Files of the folder that belong to one server alone."""

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
    ) -> Self:
        """A running server that answers.

        Args:
            folder: made if it is not there; one that a stopped server left is served again.
            port: of HTTP; 0 takes a free one.
            kafka: ``host:port`` of a broker, which must be up; None publishes nothing.
            topic_prefix: put before all topic names of the mutation log.
            admin_token: what ``admintoken=`` must say.
            split_endpoint: turns the labelmap's ``split`` on.
            mutation_list: keeps what GET ``mutations`` answers.

        Raises:
            RuntimeError: it stopped before it answered; the message ends with what it printed.
        """
        server = cls(folder, port, kafka, topic_prefix, admin_token, split_endpoint, mutation_list)
        server.restart()
        return server

    @abstractmethod
    def _launch(self) -> ChildProcess:
        """A process that answers on `port`."""

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
        self.port = self.port or held_port(self)
        self._process = self._launch()

    def stop(self) -> None:
        """Ends it with SIGTERM: what it published is at the broker then. Does nothing if it does not run.

        Raises:
            RuntimeError: it did not end in time and was killed.
        """
        if self._process is not None:
            process, self._process = self._process, None
            process.stop()

    def kill(self) -> None:
        """Ends it at once, with SIGKILL: what it just published may not be at the broker yet."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()

    @contextmanager
    def stopped(self) -> Iterator[Self]:
        """Stopped inside the block, started again behind it."""
        self.stop()
        try:
            yield self
        finally:
            self.restart()

    def copy_to(self, folder: Path) -> Path:
        """A copy of the stopped server's folder, as people make one; start it like any other."""
        if self.running:
            raise RuntimeError("stop the server before you copy its folder")
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(*self.NOT_COPIED))
        return folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass
class SandboxServer(DvidServer):
    """The sandbox's server. Faults, traffic and cubes are what a real one does not have."""

    min_mutation_id: int = 0
    token: str | None = field(default=None, repr=False)

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
    ) -> Self:
        """A running server that answers. Arguments that are not here are those of `DvidServer.start`.

        Args:
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

    def wait_for_death(self) -> None:
        """Waits until a fault has killed it."""
        if self._process is not None:
            self._process.wait()
            self.kill()

    def ask_for_faults(self, *faults: dict[str, Any]) -> None:
        """The faults that the next requests meet; `dvid_sandbox.faults` tells their fields.

        Raises:
            ValueError: one of them makes no sense; the message says why.
        """
        answer = httpx.post(f"{self.url}/sandbox/faults", json=list(faults))
        if answer.status_code != 200:
            raise ValueError(answer.text)

    def traffic(self, *, begin_anew: bool = False) -> dict[str, Any]:
        """What clients sent, as `dvid_sandbox.traffic` tells it. `begin_anew` forgets it."""
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

    def _launch(self) -> ChildProcess:
        arguments = ["--port", str(self.port), "--folder", str(self.folder)]
        arguments += ["--topic-prefix", self.topic_prefix, "--admin-token-env", ADMIN_TOKEN_ENV]
        arguments += ["--min-mutation-id", str(self.min_mutation_id)]
        if self.kafka is not None:
            arguments += ["--kafka", self.kafka]
        environment = {ADMIN_TOKEN_ENV: self.admin_token}
        if self.token is not None:
            arguments += ["--token-env", _TOKEN_ENV]
            environment[_TOKEN_ENV] = self.token
        if self.split_endpoint:
            arguments.append("--split-endpoint")
        if not self.mutation_list:
            arguments.append("--no-mutation-list")
        return ChildProcess(Forked(arguments, environment), ready="ready http://")
