"""A real Apache Kafka for tests: one process that is broker and controller.

The jars come from ``.ci/kafka``. Topics appear by themselves, with three partitions.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from dvid_sandbox.ports import held_port

STARTUP_SECONDS = 90
_CHECKOUT = Path(__file__).resolve().parent.parent
_CLUSTER_ID = "ZHZpZHN5bmMtZGFnc3Rlcg"  # 16 bytes in base64, as Kafka wants it
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOGGING = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")


def jars() -> Path | None:
    """The folder of Kafka's jars, or None where ``.ci/kafka`` has not run."""
    home = Path(os.environ.get("DVIDSYNC_KAFKA") or _CHECKOUT / ".kafka")
    found = sorted(home.glob("libs-*/"))
    return found[-1].resolve() if found else None


def why_missing() -> str | None:
    """What this machine lacks to run a real Kafka, or None."""
    if shutil.which("java") is None:
        return "no java on PATH"
    if jars() is None:
        return "no Kafka jars: run .ci/kafka"
    return None


@dataclass(frozen=True)
class Login:
    """A second listener, SASL_SSL, where one user may log in. `certificate` is a PEM file with its key."""

    user: str
    password: str
    certificate: Path


class RealKafka:
    """A running broker. Use as a context manager, or call `stop`.

    Args:
        folder: where the broker keeps its data and its output (``server.log``); made if need be. A folder
            that held a broker before goes on where that one ended.
        port: to listen on; 0 takes a free one.
        login: for a listener that wants one, at `secure_address`.
        advertised: the address that it tells clients to use, in place of its own.

    Raises:
        RuntimeError: Java or the jars are missing, or the broker does not come up; with its output.
    """

    def __init__(
        self, folder: Path, port: int = 0, login: Login | None = None, advertised: str | None = None
    ) -> None:
        missing = why_missing()
        if missing:
            raise RuntimeError(missing)
        self.folder = folder
        self._port = port or held_port(self)
        self._controller_port = held_port(self)
        self._secure_port = held_port(self)
        self._login = login
        self._advertised = advertised or self.address
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._settings = folder / "server.properties"
        self._settings.write_text(self._properties())
        if not (folder / "data" / "meta.properties").exists():
            self._format()
        self.restart()

    @classmethod
    def start(cls, folder: Path, port: int = 0) -> RealKafka:
        """Start a broker in this folder; the same as calling the class."""
        return cls(folder, port)

    @property
    def address(self) -> str:
        """``host:port`` for clients; the same after a restart."""
        return f"127.0.0.1:{self._port}"

    @property
    def secure_address(self) -> str:
        """``host:port`` of the listener that wants a login."""
        return f"localhost:{self._secure_port}"

    def stop(self) -> None:
        """Stop in order (SIGTERM); data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop at once (SIGKILL); data stays."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same port and data; stop first if it still runs. Returns when ready."""
        self.stop()
        output = (self.folder / "server.log").open("ab")
        with output:
            self._process = subprocess.Popen(
                [*_java(), *_LOGGING, "kafka.Kafka", str(self._settings)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self._await_ready()

    def __enter__(self) -> RealKafka:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _await_ready(self) -> None:
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            if _answers(self.address):
                return
            time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"Kafka did not come up:\n{(self.folder / 'server.log').read_text()[-4000:]}")

    def _format(self) -> None:
        done = subprocess.run(
            [*_java(), "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._settings)],
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        if done.returncode:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stdout}\n{done.stderr}")

    def _properties(self) -> str:
        secure = f",SECURE://{self.secure_address}" if self._login else ""
        return "\n".join(
            (
                "process.roles=broker,controller",
                "node.id=1",
                f"controller.quorum.voters=1@127.0.0.1:{self._controller_port}",
                f"listeners=PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self._controller_port}{secure}",
                f"advertised.listeners=PLAINTEXT://{self._advertised}{secure}",
                "controller.listener.names=CONTROLLER",
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
                f"log.dirs={(self.folder / 'data').resolve()}",
                "num.partitions=3",
                "auto.create.topics.enable=true",
                "delete.topic.enable=true",
                # Recorded traffic is old, and made-up traffic may be of the future.
                "log.retention.ms=-1",
                "log.message.timestamp.after.max.ms=9223372036854775807",
                "offsets.topic.replication.factor=1",
                "offsets.topic.num.partitions=1",
                "transaction.state.log.replication.factor=1",
                "transaction.state.log.min.isr=1",
                "transaction.state.log.num.partitions=1",
                "share.coordinator.state.topic.replication.factor=1",
                "share.coordinator.state.topic.min.isr=1",
                "group.initial.rebalance.delay.ms=0",
                # So that a broker which was killed is let in again at once.
                "broker.session.timeout.ms=3000",
                "broker.heartbeat.interval.ms=200",
                "controller.quorum.election.timeout.ms=500",
                "controller.quorum.fetch.timeout.ms=1000",
                *_secure_properties(self._login),
                "",
            )
        )


def _secure_properties(login: Login | None) -> tuple[str, ...]:
    if login is None:
        return ()
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    user = f'user_{login.user}="{login.password}"'
    return (
        "listener.name.secure.sasl.enabled.mechanisms=PLAIN",
        f"listener.name.secure.plain.sasl.jaas.config={module} required {user};",
        "listener.name.secure.ssl.keystore.type=PEM",
        f"listener.name.secure.ssl.keystore.location={login.certificate.resolve()}",
    )


def _java() -> list[str]:
    return ["java", *_JVM, "-cp", f"{jars()}/*"]


def _answers(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        client = KafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5000)
    except (OSError, KafkaError):
        return False
    try:
        client.list_topics()
    except KafkaError:
        return False
    finally:
        client.close()
    return True
