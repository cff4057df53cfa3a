"""What the README gives people to copy works as it stands, and its tables say what the code has."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import httpx
import pytest

from dvid_sandbox import faults
from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.messages import published
from dvid_sandbox.offered import PARAMETERS

SANDBOX = Path(__file__).resolve().parents[1]
PACKAGE = SANDBOX / "dvid_sandbox"
README = (SANDBOX / "README.md").read_text()
HEADINGS = re.split(r"^## (.*)\n", README, flags=re.M)
SECTIONS = dict(zip(HEADINGS[1::2], HEADINGS[2::2], strict=True))
INSTALL, SHELL = "Install", "Start a server from the shell"


def samples(language: str) -> list[tuple[str, str]]:
    """Heading and text of each code sample."""
    return [
        (heading, found)
        for heading, text in SECTIONS.items()
        for found in re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    ]


def rows(heading: str, first: str) -> dict[str, str]:
    """First and second column of the table whose first column is headed so."""
    table = re.search(rf"^\| {first} \|.*\n\| --- \|.*\n((?:\|.*\n)+)", SECTIONS[heading], re.M)
    assert table is not None
    return dict(re.findall(r"^\| `?([\w-]+)`? \| (.*) \|$", table[1], re.M))


PYTHON = dict(samples("python"))
PLAIN = {heading: text for heading, text in PYTHON.items() if "import pytest" not in text}
(PYTEST,) = PYTHON.keys() - PLAIN.keys()


def run(*command: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_every_sample_is_run_here() -> None:
    fences = re.findall(r"^```(\w+)$", README, re.M)
    assert fences.count("python") == len(PYTHON) == len(samples("python"))
    assert [heading for heading, _ in samples("sh")] == [INSTALL, SHELL, SHELL]
    assert len(fences) == len(PYTHON) + 3


@pytest.mark.parametrize("heading", PLAIN)
def test_a_python_sample_runs(heading: str, tmp_path: Path) -> None:
    run(sys.executable, "-c", PLAIN[heading], folder=tmp_path)


def test_the_sample_test_passes(tmp_path: Path) -> None:
    name = re.match(r"# (\S+)\n", PYTHON[PYTEST])
    assert name is not None
    (tmp_path / name[1]).write_text(PYTHON[PYTEST])
    run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", folder=tmp_path)


def test_it_installs(tmp_path: Path) -> None:
    """Alone: what it needs is here already."""
    ((_, text), *_) = samples("sh")
    program, *arguments = text.split()
    assert program == "python"
    requirement = arguments.pop().strip("'").replace("./sandbox", str(SANDBOX))
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path)]
    run(sys.executable, *arguments, *offline, requirement, folder=tmp_path)
    assert (tmp_path / "dvid_sandbox" / "py.typed").exists()
    (about,) = tmp_path.glob("dvid_sandbox-*.dist-info")
    assert list(about.rglob("LICENSE"))
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "dvid_sandbox", about.name}


class Started:
    """A shell sample as a process, on a free port and with the broker given."""

    def __init__(self, text: str, folder: Path, broker: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = str(probe.getsockname()[1])
        command = text.replace("127.0.0.1:9092", broker).replace("8000", port)
        command = command.replace("dvid-sandbox --", "exec dvid-sandbox --")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said == f"ready http://127.0.0.1:{port}\n"
        self.url = said.split()[1]

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


def test_the_shell_sample_starts_a_server_which_remembers(tmp_path: Path) -> None:
    (_, text), _ = (each for each in samples("sh") if each[0] == SHELL)
    for _ in range(2):
        started = Started(text, tmp_path)
        assert httpx.get(f"{started.url}/api/server/info").status_code == 200
        assert httpx.post(f"{started.url}/api/repos?admintoken=secret", json={}).status_code == 400
        started.end()
    assert (tmp_path / "my-dvid" / "journal").exists()


def test_the_shell_sample_with_kafka_publishes(tmp_path: Path) -> None:
    _, (_, text) = (each for each in samples("sh") if each[0] == SHELL)
    with EmbeddedBroker.start() as broker:
        started = Started(text, tmp_path, broker.address)
        root = httpx.post(f"{started.url}/api/repos?admintoken=secret", json={}).json()["root"]
        instance = {"typename": "keyvalue", "dataname": "notes"}
        httpx.post(f"{started.url}/api/repo/{root}/instance", json=instance).raise_for_status()
        started.end()
        (record,) = published(broker.address, "lab-", 1)
        assert record["topic"].startswith(f"lab-dvidrepo-{root}-")


def test_the_endpoints_are_those_that_are_answered() -> None:
    told = {name: set(text.split(", ")) for name, text in rows("What it answers", "data type").items()}
    assert told == {name: set(endpoints) for name, endpoints in PARAMETERS.items()}


def test_the_faults_are_those_that_there_are() -> None:
    told = rows("Faults", "kind")
    assert list(told) == list(get_args(faults.Kind))
    assert faults.__doc__ is not None
    for kind, what in told.items():
        assert f"| {kind} | {what} |" in faults.__doc__


def test_the_points_are_those_that_operations_pass() -> None:
    told = rows("Faults", "operation")
    reached = {
        point
        for path in PACKAGE.glob("*.py")
        for point in re.findall(r'exchange\.reached\("([\w ]+)"\)', path.read_text())
    }
    assert {point for points in told.values() for point in points.split(", ")} == reached
    assert faults.__doc__ is not None
    for operation, points in told.items():
        assert f"| {operation} | {points} |" in faults.__doc__
