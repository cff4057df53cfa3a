"""The DAG: versions, parents, branches, locks, notes, logs. Times are each server's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.dvid.repo import RepoInfo, Version


def ordered(repo: RepoInfo, versions: Iterable[str]) -> list[str]:
    """Parents before children."""
    return sorted(versions, key=lambda uuid: (len(repo.ancestors(uuid)), repo.versions[uuid].number))


def log_texts(version: Version) -> tuple[str, ...]:
    """The lines of its log without their times."""
    return tuple(line.partition("  ")[2] for line in version.log)


_FIELDS: dict[str, Callable[[Version], object]] = {
    "parents": lambda version: sorted(version.parents),
    "branch": lambda version: version.branch or "master",
    "state": lambda version: "committed" if version.locked else "open",
    "note": lambda version: version.note,
    "log": lambda version: list(log_texts(version)),
}


def compare_versions(
    source: RepoInfo, copy: RepoInfo, selected: frozenset[str], *, others: bool = True
) -> Iterator[Difference]:
    """One row for each version and field. `selected` are UUIDs of the source's; without `others` the versions
    that only the destination has are left out."""
    for uuid in ordered(source, selected):
        here, there = source.versions[uuid], copy.versions.get(uuid)
        if there is None:
            yield Difference(
                uuid, "", "version only at the source", 1, (here.note or here.branch or "master",)
            )
            continue
        for name, read in _FIELDS.items():
            if read(here) != read(there):
                examples = (f"{str(read(here))[:100]} here, {str(read(there))[:100]} there",)
                yield Difference(uuid, "", f"{name} of the version", 1, examples)
    for uuid in ordered(copy, copy.versions.keys() - source.versions.keys() if others else ()):
        note = copy.versions[uuid].note or copy.versions[uuid].branch or "master"
        yield Difference(uuid, "", "version only at the destination", 1, (note,))
