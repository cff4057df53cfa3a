"""Real traffic and states of a DVID server, read for tests. README.md beside this file tells what is what."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _json(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


@dataclass(frozen=True)
class Recording:
    """One folder of recordings."""

    name: str

    @property
    def folder(self) -> Path:
        return HERE / self.name

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


every_op = Recording("every_op")
proofreading = Recording("proofreading")
crowd = Recording("crowd")
huge_cleave = Recording("huge_cleave")
