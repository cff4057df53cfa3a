"""Hashes of what an item holds."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any


def hashed(content: bytes) -> int:
    """64 bits of a hash."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def canonical(value: Any) -> bytes:
    """One text for each JSON value, whatever the order of its fields."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
