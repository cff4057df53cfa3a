"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests.emulators import azure
from tests.emulators.emulator import KINDS, Emulator, Kind, emulator
from tests.emulators.faults import Faults
from tests.real_kafka import RealKafka, why_missing

# The machine may be busy: how long an example takes says nothing.
# The same examples every time, so that a red build speaks of the change; `--hypothesis-profile=search` looks
# for new ones.
settings.register_profile("dvidsync", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("dvidsync")


_NEEDED = {
    "kafka": ("DVIDSYNC_REQUIRE_KAFKA", why_missing),
    "azurite": ("DVIDSYNC_REQUIRE_AZURITE", azure.why_missing),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests with these marks are skipped where what they need is missing, unless it is required (CI)."""
    for mark, (required, why) in _NEEDED.items():
        if item.get_closest_marker(mark) is None or (missing := why()) is None:
            continue
        if os.environ.get(required) == "1":
            pytest.fail(f"{required}=1, but {missing}")
        pytest.skip(missing)


_LONGEST = (
    "tests/system/test_demo.py",
    "tests/browser/test_ui.py",
    "tests/hostile/test_servers.py",
    "tests/destinations/test_bucket_instances.py",
    "tests/datatypes/test_snapshot_annotation.py",
    "tests/datatypes/test_snapshot_keyvalue.py",
    "tests/faults/",
    "tests/repair/test_repairing.py",
    "tests/destinations/",
    "tests/practice/",
    "tests/labelmap/test_own_edits.py",
    "tests/compare/test_while_people_work.py",
)
"""Files whose tests take minutes. They come first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next(
            (place for place, name in enumerate(_LONGEST) if item.nodeid.startswith(name)), len(_LONGEST)
        )

    items.sort(key=place)


@pytest.fixture(scope="session")
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKafka]:
    """A real Kafka for the whole test run. Use random topic names; to kill one, start your own."""
    with RealKafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[Callable[[Kind], Emulator]]:
    """One emulator of each kind for the whole test run, started when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(emulator(kind)))


@pytest.fixture(params=KINDS)
def store(
    request: pytest.FixtureRequest,
    running_emulator: Callable[[Kind], Emulator],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Emulator]:
    """An object store of each kind, known to the environment. Use a folder of your own in it."""
    yield from _known(running_emulator(request.param), monkeypatch)


@pytest.fixture
def s3(running_emulator: Callable[[Kind], Emulator], monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """That of S3 alone, where one kind stands for all."""
    yield from _known(running_emulator("s3"), monkeypatch)


@pytest.fixture(params=["folder", *KINDS])
def place(
    request: pytest.FixtureRequest,
    running_emulator: Callable[[Kind], Emulator],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[str]:
    """The URI of an empty place for a snapshot, of each kind."""
    if request.param == "folder":
        yield str(tmp_path / "with space" / "and#more%20ü")
    else:
        for store in _known(running_emulator(request.param), monkeypatch):
            yield f"{store.uri}/{tmp_path.name}"


def _known(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    yield running
    running.set(Faults())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on PATH")
    path = tmp_path_factory.mktemp("certificate") / "localhost.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name]
    subprocess.run(
        [*command, "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True
    )
    with path.open("ab") as file:
        file.write(path.with_suffix(".crt").read_bytes())
    return path
