"""Paths of requests, with every part quoted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote, unquote

_NODES = "/api/node/"
_NODE = 4
"""Parts of ``/api/node/VERSION``, the empty one before the first slash among them."""


def node_path(version: str, *parts: str | int) -> str:
    """``/api/node/VERSION/part/…``."""
    return _NODES + _quoted((version, *parts))


def repo_path(root: str, *parts: str | int) -> str:
    """``/api/repo/ROOT/part/…``."""
    return "/api/repo/" + _quoted((root, *parts))


def version_in(path: str) -> tuple[str, str]:
    """The version that a path speaks of, and what comes after it; each "" if there is none."""
    parts = path.split("/")
    if len(parts) < _NODE or parts[2] not in ("node", "repo"):
        return "", ""
    return unquote(parts[3]), "/".join(parts[_NODE:])


def at_version(path: str, other: Callable[[str], str]) -> str:
    """A path with another version in place of its own, if it speaks of one."""
    version, endpoint = version_in(path)
    return node_path(other(version)) + f"/{endpoint}" if version and path.startswith(_NODES) else path


def _quoted(parts: Sequence[str | int]) -> str:
    return "/".join(quote(str(part), safe="") for part in parts)
