"""The demo as people start it: a process of its own, which ends by itself or by a signal."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from dvid_sandbox.broker import EmbeddedBroker, broker_binary
from dvid_sandbox.errors import SandboxError
from dvidsync_dagster.cli.exit_codes import OUTAGE

DIFFERED, FAILED = 1, 2
ADMIN_TOKEN = "adm"


def _embedded_broker() -> bool:
    try:
        broker_binary()
    except SandboxError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _embedded_broker(), reason="no embedded broker for this platform")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "demo", "--folder", str(folder), *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def demo(folder: Path, *arguments: str) -> tuple[int, str]:
    process = start(folder, *arguments)
    output, _ = process.communicate()
    return process.returncode, output


@pytest.mark.timeout(600)
def test_it_starts_anew_and_ends_by_itself(tmp_path: Path) -> None:
    """With a broker that is there already, and somebody who works at one of its destinations. (`make demo
    ONCE=1` is one at which nobody does.)"""
    folder = tmp_path / "demo"
    ended = start(folder)
    first = until_servers_run(ended)
    ended.send_signal(signal.SIGTERM)
    ended.communicate()
    with EmbeddedBroker.start() as broker:
        process = start(folder, "--once", "--broker", broker.address)
        begun = until_servers_run(process)
        destination = re.search(r"http://[0-9.:]+", begun.splitlines()[-2])
        assert destination is not None
        work_at(destination[0], root_in(begun))
        rest, _ = process.communicate()
    output = begun + rest
    assert process.returncode == DIFFERED, output
    assert "own-work" in rest
    assert "Not everything was applied or agreed" in rest
    assert output.count("The scheduled job runs: follow_demo_copy") == 3, output
    # While its server was down, its run ended as an outage does, and nobody waited for it.
    assert output.count("The scheduled job runs: follow_demo_spare") == 2, output
    meanwhile = output.index("demo/spare: Outage: ")
    assert f"\n  exit code    {OUTAGE};" in output[meanwhile:], output
    assert output[:meanwhile].count("The scheduled job runs: follow_demo_copy") == 2, output
    for name, comparisons in (("copy", 2), ("spare", 1), ("cloud", 2)):
        assert output.count(f"Source and {name} compared") == comparisons, output
    assert "elements only at the source" in output, output
    mended = output[output.index("Repaired: dvidsync repair --apply, cloud") :]
    assert "elements put right" in mended, output
    assert "they agree" in mended[mended.index("Source and cloud compared") :], output
    for word in ("records", "operations", "requests", "lag", "checkpoint"):
        assert f"\n  {word}" in output, output
    assert root_in(first) != root_in(output)


def until_servers_run(process: subprocess.Popen[str]) -> str:
    """What a demo prints up to the line of its last server."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("  spare "):
            break
    return "".join(lines)


def root_in(output: str) -> str:
    root = re.search(r"repo ([0-9a-f]{32})", output)
    assert root is not None, output
    return root[1]


def work_at(destination: str, root: str) -> None:
    path = f"{destination}/api/node/{root}/segmentation_annotations/key/own-work"
    answer = httpx.post(path, params={"u": "amy", "admintoken": ADMIN_TOKEN}, content=b"{}")
    assert answer.status_code == 200, answer.text


def test_a_signal_ends_all_that_it_started(tmp_path: Path) -> None:
    process = start(tmp_path / "demo")
    until_servers_run(process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 5  # three servers, what they are copies of, the broker
    process.send_signal(signal.SIGTERM)
    process.communicate()
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, gone


def test_no_two_at_once_in_one_folder(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (tmp_path / "kept").touch()
        code, output = demo(tmp_path, "--once")
    assert code == FAILED
    assert f"a demo is running in {tmp_path}" in output
    assert (tmp_path / "kept").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").touch()
    code, output = demo(tmp_path, "--once")
    assert code == FAILED
    assert "Name an empty folder" in output
    assert (tmp_path / "thesis").exists()
