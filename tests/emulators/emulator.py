"""An emulator from outside: how a test starts it, and tells it what to do wrong.

It is a process of its own, as obstore and delta-rs hold Python's lock while they wait.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import httpx
import pytest

from tests.emulators import azure
from tests.emulators.faults import CONTROL, Faults

Kind = Literal["s3", "gs", "az"]
KINDS = ["s3", "gs", pytest.param("az", marks=pytest.mark.azurite)]
"""For `parametrize`."""

SECRET = base64.b64encode(b"a secret that nobody may see").decode()
"""What logins have, of any kind."""


@dataclass(frozen=True)
class Emulator:
    """A running one.

    Args:
        uri: of a bucket that it has, `snap`.
        environment: what clients find it by.
    """

    kind: Kind
    url: str

    @property
    def uri(self) -> str:
        return f"{self.kind}://snap"

    @property
    def environment(self) -> Mapping[str, str]:
        return _ENVIRONMENTS[self.kind](self.url)

    @contextmanager
    def faults(self, faults: Faults) -> Iterator[None]:
        self.set(faults)
        try:
            yield
        finally:
            self.set(Faults())

    def set(self, faults: Faults) -> None:
        """Also counts requests from 0 again."""
        httpx.post(self.url + CONTROL, json=asdict(faults)).raise_for_status()

    def requests(self) -> list[str]:
        """Methods and paths of the requests that came since `set`."""
        return [str(each) for each in httpx.get(self.url + CONTROL).json()]


@contextmanager
def emulator(kind: Kind) -> Iterator[Emulator]:
    """Start one with a bucket. It is for who has its `environment`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.emulators", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        running = Emulator(kind, f"http://127.0.0.1:{int(process.stdout.readline())}")
        _make_bucket(running)
        yield running
    finally:
        process.communicate()  # which ends it: its input does


def _make_bucket(running: Emulator) -> None:
    if running.kind == "az":
        answer = httpx.put(
            f"{running.url}/{azure.ACCOUNT}/snap?restype=container",
            headers=azure.signed_to_make("snap", SECRET),
        )
    else:
        answer = httpx.put(f"{running.url}/snap")
    answer.raise_for_status()


def _s3(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


def _gcs(url: str) -> dict[str, str]:
    key = {
        "gcs_base_url": url,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": SECRET,
    }
    return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key), "GOOGLE_ALLOW_HTTP": "true"}


def _azure(url: str) -> dict[str, str]:
    return {
        "AZURE_STORAGE_USE_EMULATOR": "true",
        "AZURITE_BLOB_STORAGE_URL": url,
        "AZURE_STORAGE_ACCOUNT_NAME": azure.ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": SECRET,
        "AZURE_ALLOW_HTTP": "true",
    }


_ENVIRONMENTS = {"s3": _s3, "gs": _gcs, "az": _azure}
