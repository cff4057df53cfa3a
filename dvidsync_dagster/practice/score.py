"""The score sheet of a practice branch: what people did in it, beside what the source has later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dvidsync_dagster.compare.instances import pair_instances
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.datatypes.labelmap.comparison import MAPPING
from dvidsync_dagster.differences.items import ServerPair, find
from dvidsync_dagster.differences.own import PracticeBranch
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import RepoInfo, Version, read_repo_info
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.practice.branches import PracticeServers, opened_servers
from dvidsync_dagster.practice.decisions import BodyOf, ScoreRow, decisions, not_compared, scores


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
    config: SyncConfig, destination: DestinationConfig, name: str | None = None, *, at: str | None = None
) -> ScoreSheet:
    """Put a practice branch beside the source. Only looks.

    Args:
        name: of the branch; without, the newest.
        at: the first letters of a version of the source; without, the latest commit that descends from the
            version that the branch was made from, on its branch if there is a later version.

    Raises:
        ConfigurationError: there is no such branch or version, or none that is later.
        ServerError: a server does not answer.
    """
    with opened_servers(config, destination) as servers:
        branch = _branch(servers, name)
        begin, end = branch.parent, branch.last.uuid
        later = _later(servers.source_repo, begin, at)
        there = read_repo_info(servers.client, config.repo)
        rows: list[ScoreRow] = []
        skipped = 0
        for pair in pair_instances(config, destination.own, ["labelmap"], servers.source_repo, there).pairs:
            here = Labelmap(servers.client, pair.destination.name)
            source = Labelmap(servers.source, pair.source.name)
            found, left = _Sides(here, source, begin, end, later).rows()
            rows += found
            skipped += left
        return ScoreSheet(branch.name, begin, end, later, tuple(rows), skipped)


def _branch(servers: PracticeServers, name: str | None) -> PracticeBranch:
    branches = {branch.name: branch for branch in servers.branches()}
    if not branches:
        raise ConfigurationError(
            f"{servers.destination.field}.practice",
            "no practice branch was made yet",
            "Make one first: `dvidsync practice new`.",
        )
    if name is None:
        return list(branches.values())[-1]
    if name not in branches:
        raise ConfigurationError(
            "BRANCH",
            f"{name[:80]!r} is no practice branch of {servers.destination.name}",
            f"There are: {', '.join(branches)}.",
        )
    return branches[name]


def _later(source: RepoInfo, begin: str, at: str | None) -> str:
    """A version of the source that descends from the one at which practice began. A tag must be named: it can
    be that of the beginning, and holds nothing that was done later."""
    if begin not in source.versions:
        raise ConfigurationError(
            "BRANCH",
            f"was made from {begin}, which is the destination's own",
            "Only a branch that was made from a version of the source can be put beside the source.",
        )
    after = [
        version
        for uuid, version in source.versions.items()
        if uuid != begin
        and begin in source.ancestors(uuid)
        and (not version.is_tag if at is None else uuid.startswith(at))
    ]
    if at is None and not after:
        raise ConfigurationError(
            "BRANCH",
            f"was made from {begin}, and the source has no later version yet",
            "Wait until there is one to put it beside.",
        )
    if at is not None and len(after) != 1:
        raise ConfigurationError(
            "--at",
            f"{at[:80]!r} names {len(after) or 'none'} of the source's versions that descend from {begin}",
            "Give the UUID of one, or enough of its first letters.",
        )
    branch = source.versions[begin].branch

    def fits(version: Version) -> tuple[bool, bool, int, int]:
        """How well: where the work went on first, then a commit, as what is open changes under one's eyes."""
        on_branch = version.branch == branch
        return on_branch, version.locked, version.committed_at_latest, version.number

    return max(after, key=fits).uuid


@dataclass(frozen=True, slots=True)
class _Sides:
    """One labelmap: practice and its beginning at the destination, and the source."""

    destination: Labelmap
    source: Labelmap
    begin: str
    end: str
    later: str

    def rows(self) -> tuple[list[ScoreRow], int]:
        """The decisions of practice, those of the source that it lacks, and what was not compared."""
        here = self.destination
        changed = self._changed()
        supervoxels = changed | _members(here, self.begin, changed) | _members(here, self.end, changed)
        begin, end, later = self._asked(supervoxels)
        made = list(decisions(begin, end, later))
        users = _users(here, self.end, {each.body for each in made})
        rows = [ScoreRow(here.name, "practice", users[each.body], each) for each in made]
        skipped = not_compared(begin, end, later)
        # What the source merged to these bodies lies outside of them.
        begin, end, later = self._asked(supervoxels | _members(self.source, self.later, supervoxels))
        lacking = [each for each in decisions(begin, later, end) if each.agreed != "yes"]
        users = _users(self.source, self.later, {each.body for each in lacking})
        rows += [ScoreRow(here.name, "source", users[each.body], each) for each in lacking]
        return rows, skipped

    def _changed(self) -> set[int]:
        """The supervoxels that are in another body at the end than at the beginning. People may be at work
        there still."""
        begin, end = (
            DvidSide(self.destination.client, version, self.destination.name)
            for version in (self.begin, self.end)
        )
        found, _ = find(MAPPING, ServerPair(begin, end, settled=False))
        return set() if found is None else set(found.keys.tolist())

    def _asked(self, supervoxels: Iterable[int]) -> tuple[BodyOf, BodyOf, BodyOf]:
        """Their bodies at the beginning, at the end, and at the source later."""
        asked = sorted(supervoxels)
        begin, end, later = (
            dict(zip(asked, labelmap.mapping(version, asked), strict=True))
            for labelmap, version in (
                (self.destination, self.begin),
                (self.destination, self.end),
                (self.source, self.later),
            )
        )
        return begin, end, later


def _members(labelmap: Labelmap, version: str, supervoxels: Iterable[int]) -> set[int]:
    """All that are in one body with one of these."""
    bodies = set(labelmap.mapping(version, sorted(supervoxels))) - {0}
    return {each for body in sorted(bodies) for each in labelmap.supervoxels(version, body) or ()}


def _users(labelmap: Labelmap, version: str, bodies: Iterable[int]) -> dict[int, str]:
    """Who changed each body last."""
    found = {body: labelmap.last_mod(version, body) for body in sorted(bodies)}
    return {body: escaped(last.user, 80) if last is not None else "" for body, last in found.items()}
