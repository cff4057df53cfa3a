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

AGREED, DIFFERED, FAILED = 0, 1, 2
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


def test_it_ends_by_itself_and_starts_anew(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    roots = []
    with EmbeddedBroker.start() as broker:
        # The second one takes a broker that is there already.
        for arguments in ((), ("--broker", broker.address)):
            code, output = demo(folder, "--once", *arguments)
            assert code == AGREED, output
            assert output.count("The scheduled job runs: follow_demo_copy") == 3, output
            # While its server was down, its run ended as an outage does, and nobody waited for it.
            assert output.count("The scheduled job runs: follow_demo_spare") == 2, output
            meanwhile = output.index("demo/spare: Outage: ")
            assert f"\n  exit code    {OUTAGE};" in output[meanwhile:], output
            assert output[:meanwhile].count("The scheduled job runs: follow_demo_copy") == 2, output
            for name, comparisons in (("copy", 2), ("spare", 1)):
                assert output.count(f"Source and {name} compared") == comparisons, output
            assert "elements only at the source" in output, output
            for word in ("records", "operations", "requests", "lag", "checkpoint"):
                assert f"\n  {word}" in output, output
            assert "All agree." in output, output
            roots += re.findall(r"repo ([0-9a-f]{32})", output)
    assert len(set(roots)) == 2


def test_a_difference_is_told_and_is_the_exit_code(tmp_path: Path) -> None:
    process = start(tmp_path / "demo", "--once")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("  spare "):
            break
    root = re.search(r"repo ([0-9a-f]{32})", "".join(lines))
    destination = re.search(r"http://[0-9.:]+", lines[-2])
    assert root is not None
    assert destination is not None
    path = f"{destination[0]}/api/node/{root[1]}/segmentation_annotations/key/own-work"
    answer = httpx.post(path, params={"u": "amy", "admintoken": ADMIN_TOKEN}, content=b"{}")
    assert answer.status_code == 200, answer.text
    output, _ = process.communicate()
    assert process.returncode == DIFFERED, output
    assert "own-work" in output
    assert "Not everything was applied or agreed" in output


def test_a_signal_ends_all_that_it_started(tmp_path: Path) -> None:
    process = start(tmp_path / "demo")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith("  spare ") for line in lines)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 4
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
