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


def concerns_repo(method: str, path: str) -> bool:
    """Whether a request changes the repo (its versions, their notes and logs, its instances and what they are
    synced to), or tells of all that is in the repo or in an instance."""
    match path.split("/")[1:]:
        case ["api", "repo" | "repos", *_] | ["api", "node", _, _, "info"]:
            return True
        case ["api", "node", _, _] | ["api", "node", _, _, "sync"]:
            return method != "GET"
    return False


def at_version(path: str, other: Callable[[str], str]) -> str:
    """A path with another version in place of its own, if it speaks of one."""
    version, endpoint = version_in(path)
    return node_path(other(version)) + f"/{endpoint}" if version and path.startswith(_NODES) else path


def _quoted(parts: Sequence[str | int]) -> str:
    return "/".join(quote(str(part), safe="") for part in parts)
