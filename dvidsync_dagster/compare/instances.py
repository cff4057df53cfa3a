"""Which instance is whose copy, and which is missing, renamed, or something else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.dvid.repo import Instance, RepoInfo


@dataclass(frozen=True, slots=True)
class Twins:
    """An instance at the source, and its copy; names can differ."""

    source: Instance
    copy: Instance


@dataclass(frozen=True, slots=True)
class Instances:
    """The instances of both repos, put side by side.

    Args:
        twins: what can be compared.
        missing: what the destination does not have.
        differences: the rows.
        notes: what is not compared, and why.
    """

    twins: tuple[Twins, ...]
    missing: tuple[Instance, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def pair_instances(
    config: SyncConfig, own: Collection[str], compared: Collection[str], source: RepoInfo, copy: RepoInfo
) -> Instances:
    """Pair by name, and what is left by data UUID, which a copied folder shares with the source.

    Args:
        own: names of instances that are the destination's own.
        compared: the data types that are compared.
    """
    wanted = _wanted(config, source)
    left = {name: instance for name, instance in copy.instances.items() if name not in own}
    twins: list[Twins] = []
    missing: list[Instance] = []
    rows: list[Difference] = []
    notes = [
        f"{name}: the destination's own, not compared"
        if name in copy.instances
        else f"{name}: named in `own`, but the destination has no such instance"
        for name in sorted(own)
    ]
    for name, instance in sorted(wanted.items()):
        if name in own:
            continue
        there = left.get(name) or _by_uuid(instance, left, source)
        if there is not None:
            del left[there.name]
        if instance.typename not in compared:
            notes.append(f"{name}: {instance.typename} is not compared")
            continue
        if there is None:
            missing.append(instance)
            rows.append(_row(name, "instance only at the source", f"a {instance.typename}"))
            continue
        if there.name != name:
            rows.append(_row(name, "instance of another name", f"{there.name} there"))
        if there.typename != instance.typename:
            rows.append(
                _row(name, "instance of another type", f"{instance.typename} here, {there.typename} there")
            )
            continue
        twins.append(Twins(instance, there))
        here_synced, there_synced = syncs(source, copy, twins[-1])
        if here_synced != there_synced:
            shown = [", ".join(synced) or "nothing" for synced in (here_synced, there_synced)]
            rows.append(_row(name, "syncs of the instance", f"{shown[0]} here, {shown[1]} there"))
    if config.instances == "all":
        rows += [
            _row(name, "instance only at the destination", f"a {instance.typename}")
            for name, instance in sorted(left.items())
            if name not in source.instances
        ]
    return Instances(tuple(twins), tuple(missing), tuple(rows), tuple(notes))


def syncs(source: RepoInfo, copy: RepoInfo, twins: Twins) -> tuple[list[str], list[str]]:
    """What an instance and its copy follow, by the source's names."""
    names = {each.data_uuid: each.name for each in source.instances.values()}
    renamed = {name: names.get(each.data_uuid, name) for name, each in copy.instances.items()}
    return sorted(twins.source.syncs), sorted(renamed.get(name, name) for name in twins.copy.syncs)


def _wanted(config: SyncConfig, source: RepoInfo) -> Mapping[str, Instance]:
    if config.instances == "all":
        return source.instances
    names = {choice.name for choice in config.instances}
    return {name: instance for name, instance in source.instances.items() if name in names}


def _by_uuid(instance: Instance, left: Mapping[str, Instance], source: RepoInfo) -> Instance | None:
    for name, there in left.items():
        if there.data_uuid == instance.data_uuid and name not in source.instances:
            return there
    return None


def _row(name: str, what: str, example: str) -> Difference:
    return Difference("", name, what, 1, (example,))
