"""Which instance at the destination belongs to which of the source, and which is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.differences.findings import Difference, DifferenceKind
from dvidsync_dagster.dvid.repo import Instance, RepoInfo


@dataclass(frozen=True, slots=True)
class InstancePair:
    """An instance at the source and at the destination; names can differ."""

    source: Instance
    destination: Instance


@dataclass(frozen=True, slots=True)
class Instances:
    """The instances of both repos, put side by side.

    Args:
        pairs: what can be compared.
        missing: what the destination does not have.
        differences: the rows.
        notes: what is not compared, and why.
    """

    pairs: tuple[InstancePair, ...]
    missing: tuple[Instance, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def pair_instances(
    config: SyncConfig,
    own: Collection[str],
    compared: Collection[str],
    source: RepoInfo,
    destination: RepoInfo,
) -> Instances:
    """Pair by name, and what is left by data UUID, which a copied folder shares with the source.

    Args:
        own: names of instances that are the destination's own.
        compared: the data types that are compared.
    """
    unpaired = {name: each for name, each in destination.instances.items() if name not in own}
    pairs: list[InstancePair] = []
    missing: list[Instance] = []
    rows: list[Difference] = []
    notes = _notes_on_own(own, destination)
    for name, instance in sorted(_wanted(config, source).items()):
        if name in own:
            continue
        there = unpaired.get(name) or _by_uuid(instance, unpaired, source)
        if there is not None:
            del unpaired[there.name]
        if instance.typename not in compared:
            notes.append(f"{name}: {instance.typename} is not compared")
        elif there is None:
            missing.append(instance)
            rows.append(_row(name, DifferenceKind.INSTANCE_ONLY_AT_SOURCE, f"a {instance.typename}"))
        else:
            pair = InstancePair(instance, there)
            rows += _rows(pair, source, destination)
            if there.typename == instance.typename:
                pairs.append(pair)
    if config.instances == "all":
        rows += [
            _row(name, DifferenceKind.INSTANCE_ONLY_AT_DESTINATION, f"a {instance.typename}")
            for name, instance in sorted(unpaired.items())
            if name not in source.instances
        ]
    return Instances(tuple(pairs), tuple(missing), tuple(rows), tuple(notes))


def _notes_on_own(own: Collection[str], destination: RepoInfo) -> list[str]:
    return [
        f"{name}: named in `own`, but the destination has no such instance"
        for name in sorted(own)
        if name not in destination.instances
    ]


def _rows(pair: InstancePair, source: RepoInfo, destination: RepoInfo) -> Iterator[Difference]:
    """What differs in name, type and syncs."""
    here, there = pair.source, pair.destination
    if there.name != here.name:
        yield _row(here.name, DifferenceKind.INSTANCE_NAME, f"{there.name} there")
    if there.typename != here.typename:
        shown = f"{here.typename} here, {there.typename} there"
        yield _row(here.name, DifferenceKind.INSTANCE_TYPE, shown)
        return
    synced = syncs(source, destination, pair)
    if synced[0] != synced[1]:
        texts = [", ".join(names) or "nothing" for names in synced]
        yield _row(here.name, DifferenceKind.SYNCS, f"{texts[0]} here, {texts[1]} there")


def syncs(source: RepoInfo, destination: RepoInfo, pair: InstancePair) -> tuple[list[str], list[str]]:
    """What an instance follows at the source and at the destination, by the source's names."""
    names = {each.data_uuid: each.name for each in source.instances.values()}
    renamed = {name: names.get(each.data_uuid, name) for name, each in destination.instances.items()}
    followed = pair.destination.syncs
    return sorted(pair.source.syncs), sorted(renamed.get(name, name) for name in followed)


def _wanted(config: SyncConfig, source: RepoInfo) -> Mapping[str, Instance]:
    if config.instances == "all":
        return source.instances
    names = {choice.name for choice in config.instances}
    return {name: instance for name, instance in source.instances.items() if name in names}


def _by_uuid(instance: Instance, unpaired: Mapping[str, Instance], source: RepoInfo) -> Instance | None:
    for name, there in unpaired.items():
        if there.data_uuid == instance.data_uuid and name not in source.instances:
            return there
    return None


_TEXTS = {
    DifferenceKind.INSTANCE_ONLY_AT_SOURCE: "instance only at the source",
    DifferenceKind.INSTANCE_ONLY_AT_DESTINATION: "instance only at the destination",
    DifferenceKind.INSTANCE_NAME: "instance of another name",
    DifferenceKind.INSTANCE_TYPE: "instance of another type",
    DifferenceKind.SYNCS: "syncs of the instance",
}


def _row(name: str, kind: DifferenceKind, example: str) -> Difference:
    return Difference("", name, _TEXTS[kind], 1, (example,), kind)
