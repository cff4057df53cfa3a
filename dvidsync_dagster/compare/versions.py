"""The DAG: versions, parents, branches, locks, notes, logs. Times are each server's own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from dvidsync_dagster.differences.findings import Difference, DifferenceKind
from dvidsync_dagster.dvid.repo import RepoInfo, Version


def ordered(repo: RepoInfo, versions: Iterable[str]) -> list[str]:
    """Parents before children."""
    return sorted(versions, key=lambda uuid: (len(repo.ancestors(uuid)), repo.versions[uuid].number))


def log_texts(version: Version) -> tuple[str, ...]:
    """The lines of its log without their times."""
    return tuple(line.partition("  ")[2] for line in version.log)


_FIELDS: dict[DifferenceKind, tuple[str, Callable[[Version], object]]] = {
    DifferenceKind.PARENTS: ("parents", lambda version: sorted(version.parents)),
    DifferenceKind.BRANCH: ("branch", lambda version: version.branch or "master"),
    DifferenceKind.STATE: ("state", lambda version: "committed" if version.locked else "open"),
    DifferenceKind.NOTE: ("note", lambda version: version.note),
    DifferenceKind.LOG: ("log", lambda version: list(log_texts(version))),
}


def compare_versions(
    source: RepoInfo,
    destination: RepoInfo,
    selected: frozenset[str],
    *,
    own: Collection[str] = (),
    others: bool = True,
) -> Iterator[Difference]:
    """One row for each version and field. `selected` are UUIDs of the source's; `own` are versions of the
    destination's own; without `others` all that only the destination has are left out."""
    for uuid in ordered(source, selected):
        here, there = source.versions[uuid], destination.versions.get(uuid)
        if there is None:
            what, kind = "version only at the source", DifferenceKind.VERSION_ONLY_AT_SOURCE
            yield Difference(uuid, "", what, 1, (_shown(here),), kind)
            continue
        for kind, (name, read) in _FIELDS.items():
            if read(here) != read(there):
                examples = (f"{str(read(here))[:100]} here, {str(read(there))[:100]} there",)
                yield Difference(uuid, "", f"{name} of the version", 1, examples, kind)
    extra = destination.versions.keys() - source.versions.keys() - set(own) if others else set()
    for uuid in ordered(destination, extra):
        what, kind = "version only at the destination", DifferenceKind.VERSION_ONLY_AT_DESTINATION
        yield Difference(uuid, "", what, 1, (_shown(destination.versions[uuid]),), kind)


def _shown(version: Version) -> str:
    return version.note or version.branch or "master"
