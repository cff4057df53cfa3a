"""Azurite, Microsoft's emulator of Azure, in a process of its own. ``.ci/azurite`` installs it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

from tests.emulators.faults import App, Environ, Start

ACCOUNT = "somebody"
_CHECKOUT = Path(__file__).resolve().parents[2]
_OF_THIS_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


def _program() -> Path:
    home = Path(os.environ.get("DVIDSYNC_AZURITE") or _CHECKOUT / ".azurite")
    return home / "node_modules/azurite/dist/src/blob/main.js"


def why_missing() -> str | None:
    """What this machine lacks to run Azurite, or None."""
    if shutil.which("node") is None:
        return "no node on PATH"
    if not _program().exists():
        return "no Azurite: run .ci/azurite"
    return None


@contextmanager
def azurite(key: str) -> Iterator[App]:
    """Start it, with one account.

    Args:
        key: the account's, in base64.
    """
    process = subprocess.Popen(
        [
            "node",
            _program(),
            *("--blobHost", "127.0.0.1", "--blobPort", "0"),
            *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"),
        ],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        listens = (re.search(r"listens on (\S+)", line) for line in process.stdout)
        yield _forwarded(next(found[1] for found in listens if found))
    finally:
        process.kill()
        process.communicate()


def _forwarded(url: str) -> App:
    """Requests go to Azurite byte by byte: their signatures are looked at there."""
    there = urlsplit(url)

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        assert there.hostname
        connection = http.client.HTTPConnection(there.hostname, there.port)
        try:
            connection.request(
                environ["REQUEST_METHOD"],
                environ["RAW_URI"],
                environ["wsgi.input"].read(),
                dict(_headers(environ)),
            )
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        headers = [each for each in answer.getheaders() if each[0].lower() not in _OF_THIS_CONNECTION]
        length = answer.getheader("Content-Length") if environ["REQUEST_METHOD"] == "HEAD" else None
        start(f"{answer.status} {answer.reason}", [*headers, ("Content-Length", length or str(len(content)))])
        return [content]

    return app


def _headers(environ: Environ) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name.removeprefix("HTTP_").replace("_", "-"), value
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            yield name.replace("_", "-"), environ[name]


def signed_to_make(container: str, key: str) -> Mapping[str, str]:
    """Headers of the request that makes a container, by "Authorize with Shared Key" in Azure's docs."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    named = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = "PUT" + 12 * "\n" + f"{named}/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
    signature = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return {**headers, "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"}
