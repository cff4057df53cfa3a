"""The score sheet of a practice branch: what people did in it, beside what the source has later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.differences.own import PracticeBranch
from dvidsync_dagster.dvid.label_lists import mapping_pairs
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.practice.branches import Place, opened_place
from dvidsync_dagster.practice.decisions import Bodies, ScoreRow, decisions, not_compared, scores
from dvidsync_dagster.run.discovery import chosen_instances


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """What a practice branch came to.

    Args:
        branch: its name.
        begin: the version that it was made from.
        end: its latest version.
        later: the source's version that it is put beside.
        rows: a decision each.
        not_compared: how many supervoxels were split, so that nothing is said of them.
    """

    branch: str
    begin: str
    end: str
    later: str
    rows: tuple[ScoreRow, ...]
    not_compared: int

    def as_json(self) -> dict[str, Any]:
        return {
            "branch": self.branch,
            "from": self.begin,
            "version": self.end,
            "beside": self.later,
            "users": scores(self.rows),
            "decisions": [row.as_json() for row in self.rows],
            "supervoxels_not_compared": self.not_compared,
        }


def score(
    config: SyncConfig, destination: DestinationConfig, name: str, *, at: str | None = None
) -> ScoreSheet:
    """Put a practice branch beside the source. Only looks.

    Args:
        name: of the branch.
        at: the first letters of a version of the source; without, the latest commit that descends from the
            version that the branch was made from.

    Raises:
        ConfigurationError: there is no such branch or version, or none that is later.
        ServerError: a server does not answer.
    """
    with opened_place(config, destination) as place:
        branch = _branch(place, name)
        begin, end = branch.parent, branch.last.uuid
        later = _later(place.source_repo, begin, at)
        there = read_repo_info(place.client, config.repo).instances
        labelmaps = [
            instance.name
            for instance in chosen_instances(config, place.source_repo)
            if instance.typename == "labelmap"
            and instance.name not in destination.own
            and instance.name in there
        ]
        rows: list[ScoreRow] = []
        skipped = 0
        for labelmap in labelmaps:
            pair = _Sides(
                Labelmap(place.client, labelmap), Labelmap(place.source, labelmap), begin, end, later
            )
            found, left = pair.rows()
            rows += found
            skipped += left
        return ScoreSheet(branch.name, begin, end, later, tuple(rows), skipped)


def _branch(place: Place, name: str) -> PracticeBranch:
    branches = {branch.name: branch for branch in place.branches()}
    if name not in branches:
        raise ConfigurationError(
            "BRANCH",
            f"{name[:80]!r} is no practice branch of {place.destination.name}",
            f"There are: {', '.join(branches) or 'none'}.",
        )
    return branches[name]


def _later(source: RepoInfo, begin: str, at: str | None) -> str:
    """A version of the source that descends from the one at which practice began."""
    after = [
        version
        for uuid, version in source.versions.items()
        if uuid != begin and begin in source.ancestors(uuid) and uuid.startswith(at or "")
    ]
    if not after or (at is not None and len(after) != 1):
        raise ConfigurationError(
            "--at",
            f"{at or 'the source'} has {len(after) or 'no'} versions that come after {begin}",
            "Name one that descends from the version that the branch was made from.",
        )
    # A commit first: what is open changes under one's eyes.
    return max(after, key=lambda version: (version.locked, version.committed_by, version.number)).uuid


@dataclass(frozen=True, slots=True)
class _Sides:
    """One labelmap: practice and its beginning at the destination, and the source."""

    copy: Labelmap
    source: Labelmap
    begin: str
    end: str
    later: str

    def rows(self) -> tuple[list[ScoreRow], int]:
        """The decisions of practice, those of the source that it lacks, and what was not compared."""
        changed = self._changed()
        supervoxels = _members(self.copy, self.end, self._bodies(self.copy, self.end, changed))
        supervoxels |= _members(self.copy, self.begin, self._bodies(self.copy, self.begin, changed))
        supervoxels |= changed
        begin, end, later = self._asked(supervoxels)
        made = list(decisions(begin, end, later))
        users = _users(self.copy, self.end, {each.body for each in made})
        rows = [ScoreRow(self.copy.name, "practice", users[each.body], each) for each in made]
        skipped = not_compared(begin, end, later)
        # What the source merged to these bodies lies outside of them.
        supervoxels |= _members(self.source, self.later, set(later.values()) - {0})
        begin, end, later = self._asked(supervoxels)
        lacking = [each for each in decisions(begin, later, end) if each.agreed != "yes"]
        users = _users(self.source, self.later, {each.body for each in lacking})
        rows += [ScoreRow(self.copy.name, "source", users[each.body], each) for each in lacking]
        return rows, skipped

    def _changed(self) -> set[int]:
        """The supervoxels that are in another body at the end than at the beginning."""
        lists = [pairs for version in (self.begin, self.end) for pairs in _mapping(self.copy, version)]
        if not lists:
            return set()
        rows, times = np.unique(np.concatenate(lists), axis=0, return_counts=True)
        return set(rows[times == 1, 0].tolist())

    def _bodies(self, labelmap: Labelmap, version: str, supervoxels: Iterable[int]) -> set[int]:
        return set(labelmap.mapping(version, sorted(supervoxels))) - {0}

    def _asked(self, supervoxels: Iterable[int]) -> tuple[Bodies, Bodies, Bodies]:
        """Their bodies at the beginning, at the end, and at the source later."""
        asked = sorted(supervoxels)
        begin, end, later = (
            dict(zip(asked, labelmap.mapping(version, asked), strict=True))
            for labelmap, version in (
                (self.copy, self.begin),
                (self.copy, self.end),
                (self.source, self.later),
            )
        )
        return begin, end, later


def _mapping(labelmap: Labelmap, version: str) -> Iterator[np.ndarray[Any, np.dtype[np.uint64]]]:
    """Each supervoxel once, with its body; a label that is none is left out."""
    for pairs in mapping_pairs(labelmap.client, version, labelmap.name):
        yield pairs[pairs[:, 1] != 0]


def _members(labelmap: Labelmap, version: str, bodies: Iterable[int]) -> set[int]:
    return {each for body in sorted(bodies) for each in labelmap.supervoxels(version, body) or ()}


def _users(labelmap: Labelmap, version: str, bodies: Iterable[int]) -> dict[int, str]:
    """Who changed each body last."""
    found = {body: labelmap.last_mod(version, body) for body in sorted(bodies)}
    return {body: last.user if last is not None else "" for body, last in found.items()}
