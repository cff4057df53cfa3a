"""A recording of a DVID server's traffic and states, read for tests.

A recording is a folder of gzip-compressed JSON files; `sandbox/tests/recordings/README.md` tells what each
holds.
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _json(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


@dataclass(frozen=True)
class Recording:
    """One recording. What is read of it is kept."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def setup(self) -> dict[str, Any]:
        result: dict[str, Any] = _json(self.folder / "setup.json.gz")
        return result

    @property
    def root(self) -> str:
        return str(self.setup["repo"]["root"])

    @property
    def data(self) -> dict[str, str]:
        """Data UUID by instance name."""
        result: dict[str, str] = self.setup["repo"]["data"]
        return result

    @cached_property
    def http(self) -> list[dict[str, Any]]:
        return _lines(self.folder / "http.jsonl.gz")

    @cached_property
    def kafka(self) -> list[dict[str, Any]]:
        """Records sorted by key: topic, partition, offset, timestamp, key, value (texts and ints)."""
        return _lines(self.folder / "kafka.jsonl.gz")

    @cached_property
    def blobs(self) -> dict[str, bytes]:
        return {ref: base64.b64decode(text) for ref, text in _json(self.folder / "blobs.json.gz").items()}

    @cached_property
    def before(self) -> dict[str, Any]:
        result: dict[str, Any] = _json(self.folder / "state_before.json.gz")
        return result

    @cached_property
    def after(self) -> dict[str, Any]:
        result: dict[str, Any] = _json(self.folder / "state_after.json.gz")
        return result
