"""Where things are in a bucket.

    snapshot.json          the commit over all tables
    README.md
    BRANCH/TABLE/          a Delta table
    releases/VERSION/      files for download

Names of branches and instances are people's own: they can hold anything. As folders they hold what every
store and reader takes as it is: letters, digits and ``. _ -``. All else is ``~`` and two hex digits a byte.
"""

from __future__ import annotations

import re

POINTER = "snapshot.json"
_OWN = {"pins", "releases", "readme.md", POINTER}
_ODD = re.compile(r"[^A-Za-z0-9._-]")
_NOT_IN_A_PART = re.compile(r"/|~(?=2F|7E)")


def table_path(instance: str, *parts: str) -> str:
    """The path of an instance's table. Its first part is the instance, whatever that is called: an ordinary
    name as it is, a slash as ``~2F``, and a ``~`` that could be taken for the beginning of one as ``~7E``."""
    return "/".join([_NOT_IN_A_PART.sub(lambda odd: _coded(odd.group()), instance), *parts])


def branch_folder(branch: str) -> str:
    """A branch's folder; an ordinary name is its own."""
    folder = _segment(branch)
    return coded(folder) if folder.lower() in _OWN else folder


def release_folder(uuid: str) -> str:
    """That of a version's release. A version's id can be the name of a tag, and a tag can be any text."""
    return f"releases/{branch_folder(uuid)}"


def table_folder(branch: str, path: str) -> str:
    """A table's folder. Each part of its path is made a folder by itself."""
    return "/".join([branch_folder(branch), *path_folders(path)])


def path_folders(path: str) -> list[str]:
    """The parts of a table's path as folders."""
    return [_segment(part) for part in path.split("/")]


def coded(name: str) -> str:
    """A name with its first character coded, so that it is no other name."""
    return _coded(name[0]) + name[1:]


def _segment(name: str) -> str:
    if not name:
        raise ValueError("a name is empty")
    folder = _ODD.sub(lambda odd: _coded(odd.group()), name)
    # Readers of Delta leave out what begins so, and "." and ".." are places.
    return coded(folder) if folder[0] in "._" else folder


def _coded(text: str) -> str:
    return "".join(f"~{byte:02X}" for byte in text.encode())
