"""Which instance a table is of. Names are given to others: an instance can be deleted and made anew, renamed,
or exchange its name with another one. Its data UUID stays. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dvidsync_dagster.dvid.repo import Instance, RepoInfo, Version
from dvidsync_dagster.snapshot.pointer import BranchState

SECOND = 1_000_000_000
"""The repo's log tells in which one an instance was made."""

Born = Mapping[str, int]
"""When instances were made (ns since 1970, whole seconds), by name, as far as that is told."""


def data_uuids(instances: Iterable[Instance]) -> dict[str, str]:
    """By name."""
    return {each.name: each.data_uuid for each in instances}


def is_of(owners: Mapping[str, str], instance: Instance) -> bool:
    """Whether the tables with an instance's name are its own; where nobody told, they are.

    Args:
        owners: the data UUIDs of the instances that tables are of, by name.
    """
    return owners.get(instance.name, instance.data_uuid) == instance.data_uuid


def are_of_another(state: BranchState, instance: Instance, born: Born) -> bool:
    """Whether the tables with an instance's name are those of another one.

    A snapshot of an earlier dvidsync does not tell whose they are. They are another's if this one is younger
    than they are.
    """
    if state.instances is None:
        return born.get(instance.name, 0) > state.log_time_ns
    return not is_of(state.instances, instance)


def is_newborn(state: BranchState, instance: Instance, born: Born) -> bool:
    """Whether an instance was surely made after the moment of the log at which the tables are, so that the
    log still tells all that came into it."""
    made = born.get(instance.name, 0)
    if state.instances is None or instance.data_uuid in state.instances.values():
        return False
    if not state.committed and made < state.base_read_ns:
        # What came into it before the open root was read counts as read.
        return False
    # The run before read what instances there are after the moment to which it followed the log, and this
    # one was not among them. The time only tells that nothing speaks against it.
    return made + SECOND > state.log_time_ns


def was_in(instance: Instance, version: Version, repo: RepoInfo, born: Born, committed_ns: int) -> bool:
    """Whether an instance was surely there when a version was committed, so that the version holds all that
    was in it.

    Args:
        committed_ns: the version was committed then (ns since 1970) or before; 0 if that is not known.
    """
    made = born.get(instance.name, 0)
    before = repo.ancestors(version.uuid)
    if instance.made_in not in before and version.uuid in repo.ancestors(instance.made_in):
        return False
    if not made:
        return True
    if instance.made_in in before:
        # It was made while that one was open, or by an administrator.
        return not committed_ns or made <= committed_ns
    return made + SECOND <= committed_ns
