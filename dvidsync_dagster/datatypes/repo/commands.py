"""What is asked of a repo at a DVID server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dvidsync_dagster.datatypes.commands import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoCommand(Command):
    """What all have in common. `version` is the version that changes, for a new one its parent."""

    typename: ClassVar[str] = "repo"


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeVersion(RepoCommand):
    """Make a child on the same branch, on a new `branch`, or (with `tag`) a locked one named like the tag."""

    child: str
    note: str
    branch: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitVersion(RepoCommand):
    """Commit the version, with a note and lines for its log if there are any."""

    note: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteNote(RepoCommand):
    """Replace the note of a version.

    Args:
        noted_ns: when the source did so, ns since 1970. The note is left out if the destination has it, or if
            the source has replaced it since. 0 writes it whatever is there.
    """

    note: str
    noted_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLog(RepoCommand):
    """Add lines to the log of a version.

    Args:
        logged_ns: when the source did so, ns since 1970: the lines are left out if the destination has them.
            0 adds them whatever it has.
    """

    log: tuple[str, ...]
    logged_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeInstance(RepoCommand):
    """Make the `instance`, of a data type, with the source's settings, tags and syncs."""

    data_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSync(RepoCommand):
    """Let the `instance` follow others, and nothing else. Where its data type asks for it, what it has is
    sorted by them anew, in all versions.

    Args:
        followed: names of the others.
    """

    followed: tuple[str, ...]
