"""What a repair asks of the repo itself: its versions and instances, as the source has them."""

from __future__ import annotations

from collections.abc import Sequence

from dvidsync_dagster.datatypes.commands import Command
from dvidsync_dagster.datatypes.repo.commands import (
    CommitVersion,
    MakeInstance,
    MakeVersion,
    SetSync,
    WriteLog,
    WriteNote,
)
from dvidsync_dagster.dvid.repo import Instance, Version


class RepoRepair:
    """Each method gives the command for one change."""

    def make_version(self, parent: Version, version: Version) -> Command:
        """A child with the source's id. Its state comes with `commit`, but that of a tag."""
        tag = version.uuid if version.branch == f"tag-{version.uuid}" else ""
        return MakeVersion(
            version=parent.uuid,
            child=version.uuid,
            note=version.note,
            branch=version.branch if not tag and version.branch != parent.branch else "",
            tag=tag,
        )

    def write_note(self, version: Version) -> Command:
        """The version's note in place of the one that the destination has."""
        return WriteNote(version=version.uuid, note=version.note)

    def write_log(self, version: Version, lines: Sequence[str]) -> Command:
        """More lines for the version's log."""
        return WriteLog(version=version.uuid, log=tuple(lines))

    def commit(self, version: Version) -> Command:
        """Note and log stay as they are."""
        return CommitVersion(version=version.uuid)

    def make_instance(self, instance: Instance, version: str) -> Command:
        """An instance with the source's settings.

        Args:
            version: in which it is made; it is there in all.
        """
        return MakeInstance(version=version, instance=instance.name, data_type=instance.typename)

    def set_sync(self, instance: Instance, followed: Sequence[str], version: str) -> Command:
        """What an instance follows, in place of what it follows now.

        Args:
            followed: names of instances, all that it follows.
            version: in which it is said; it holds in all.
        """
        return SetSync(version=version, instance=instance.name, followed=tuple(followed))
