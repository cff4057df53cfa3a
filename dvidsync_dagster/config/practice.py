"""Practice branches: versions of a destination's own, in which people practise on what the source has."""

from __future__ import annotations

import re

from pydantic import ConfigDict, Field, field_validator

from dvidsync_dagster.config.fields import Part, WrongValue, in_range

LATEST_COMMIT = "latest commit"
ON_COMMIT = "on commit"
WEEKLY = "weekly"
WEEKLY_CRON = "0 5 * * 1"
"""Mondays, before people come."""

_BRANCH = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_FIRST_LETTERS = re.compile(r"[0-9a-f]{4,32}")
_CRON_FIELDS = 5


class PracticeConfig(Part):
    """Branches of the destination's own, made one after the other from versions that have arrived."""

    model_config = ConfigDict(populate_by_name=True)

    branch: str = Field(
        default="practice",
        description="how the names of these branches begin; the day on which one is made comes after it. "
        "Versions on branches that are called so are the destination's own",
    )
    from_: str = Field(
        default=LATEST_COMMIT,
        alias="from",
        description="the version that the next branch is made from: latest commit, or the first letters of a "
        "committed version's UUID",
    )
    renew: str | None = Field(
        default=None,
        description="when a fresh branch is made: on commit, weekly, or a cron line in UTC; null: by hand",
    )
    keep: int | None = Field(
        default=4,
        description="how many of these branches stay open, 1 to 1000: older ones are committed. null: all",
    )

    @field_validator("branch")
    @classmethod
    def _check_branch(cls, branch: str) -> str:
        if not _BRANCH.fullmatch(branch):
            raise WrongValue("is no name for a branch", "Use letters, digits, _ and -, such as practice.")
        if branch in ("master", "all") or branch.startswith("tag-"):
            raise WrongValue("is a name that DVID or dvidsync gives", "Use another, such as practice.")
        return branch

    @field_validator("from_")
    @classmethod
    def _check_from(cls, version: str) -> str:
        if version != LATEST_COMMIT and not _FIRST_LETTERS.fullmatch(version):
            raise WrongValue(
                "names no version", f"Write `{LATEST_COMMIT}`, or 4 to 32 hex digits of a version's UUID."
            )
        return version

    @field_validator("renew")
    @classmethod
    def _check_renew(cls, renew: str | None) -> str | None:
        if renew not in (None, ON_COMMIT, WEEKLY) and len(renew.split()) != _CRON_FIELDS:
            raise WrongValue(
                "says no time", f'Write `{ON_COMMIT}`, `{WEEKLY}`, or a cron line such as "0 5 * * 1".'
            )
        return renew

    @field_validator("keep")
    @classmethod
    def _check_keep(cls, keep: int | None) -> int | None:
        return None if keep is None else in_range(keep, 1, 1000)

    @property
    def cron(self) -> str | None:
        """When a fresh branch is made by the clock; None if it is not."""
        return WEEKLY_CRON if self.renew == WEEKLY else None if self.renew == ON_COMMIT else self.renew

    def names(self, branch: str) -> bool:
        """Whether a branch is called like one of these."""
        return branch == self.branch or branch.startswith(f"{self.branch}-")
