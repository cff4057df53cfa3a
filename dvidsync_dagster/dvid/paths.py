"""Paths of requests, with every part quoted."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote


def node_path(version: str, *parts: str | int) -> str:
    """``/api/node/VERSION/part/…``."""
    return "/api/node/" + _quoted((version, *parts))


def repo_path(root: str, *parts: str | int) -> str:
    """``/api/repo/ROOT/part/…``."""
    return "/api/repo/" + _quoted((root, *parts))


def _quoted(parts: Sequence[str | int]) -> str:
    return "/".join(quote(str(part), safe="") for part in parts)
