"""One repo of one source, and the destinations that follow it."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from dvidsync_dagster.config.bucket import BucketConfig
from dvidsync_dagster.config.days import FIRST_DAY, check_day, today
from dvidsync_dagster.config.destination import BUCKET, SERVER, AnyDestination, kind_of
from dvidsync_dagster.config.fields import NAME, Part, WrongValue, in_range
from dvidsync_dagster.config.kafka import KafkaConfig
from dvidsync_dagster.config.servers import DestinationConfig, SourceConfig
from dvidsync_dagster.config.start import StartTime
from dvidsync_dagster.errors import ConfigurationError

_UUID = re.compile(r"[0-9a-f]{32}")


class InstanceChoice(Part):
    """An instance to follow; its data UUID tells it apart from a later one of the same name."""

    name: str = Field(description="the instance's name")
    data_uuid: str | None = Field(default=None, description="the instance's data UUID, 32 hex digits")

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name or not name.isprintable() or "/" in name or len(name) > 250:
            raise WrongValue("is not an instance name", "Use the name that the repo's info shows.")
        return name

    @field_validator("data_uuid")
    @classmethod
    def _check_uuid(cls, data_uuid: str | None) -> str | None:
        if data_uuid is not None and not _UUID.fullmatch(data_uuid):
            raise WrongValue("is not a data UUID", "Use the 32 hex digits that the instance's info shows.")
        return data_uuid


OneDestination = Annotated[
    Annotated[DestinationConfig, Tag(SERVER)] | Annotated[BucketConfig, Tag(BUCKET)], Discriminator(kind_of)
]

Instances = Literal["all"] | list[InstanceChoice]


class WindowsConfig(Part):
    """The spans of the source's time that Dagster shows as partitions."""

    every: Literal["hourly", "daily"] = Field(
        default="daily", description="a window's length: hourly or daily"
    )
    start_date: date | None = Field(
        default=None, description="the first window's day (UTC), such as 2026-01-31, at or before the start"
    )

    @field_validator("start_date", mode="before")
    @classmethod
    def _parse(cls, day: object) -> object:
        if isinstance(day, str):
            try:
                day = date.fromisoformat(day)
            except ValueError:
                raise WrongValue("is not a day", "Write it such as 2026-01-31.") from None
        if isinstance(day, datetime):
            raise WrongValue("has a time of day", "Write a day such as 2026-01-31.")
        if isinstance(day, date):
            check_day(day)
            if day > today():
                raise WrongValue("is in the future", f"Use {today()} (today, in UTC) or a day before it.")
        return day


class SyncConfig(Part):
    """One repo of one source, and the destinations that follow it."""

    name: str | None = Field(
        default=None, description="the repo's name in Dagster; unset: `repo_` and 8 digits of its root"
    )
    source: SourceConfig = Field(description="the server that is followed, with its `url`")
    repo: str = Field(description="the repo's root UUID, all 32 hex digits")
    branches: list[str] = Field(
        default_factory=lambda: ["all"], description="the branches to follow, or [all]"
    )
    instances: Instances = Field(
        default="all", description="what to follow: all, or a list of instance names"
    )
    kafka: KafkaConfig = Field(
        default_factory=lambda: KafkaConfig(),
        description="where the source's mutation log is; unset: the source says",
    )
    destinations: list[OneDestination] = Field(
        description="the servers and buckets that follow, at least one"
    )
    settle_seconds: float = Field(
        default=10, description="how many seconds old a record must be to be read, so that no topic is behind"
    )
    chunk_records: int | None = Field(
        default=None,
        description="records that are planned together, 100 to 100000; unset: 20000 for a server, 100000 for "
        "a bucket, which writes what changed of its tables after each chunk",
    )
    on_undecodable: Literal["stop", "quarantine"] = Field(
        default="stop", description="what to do when a record cannot be decoded: stop or quarantine"
    )
    quarantine: str | None = Field(
        default=None,
        description="where records that cannot be decoded and the tables of conflicts are kept as Parquet (a "
        "folder or URI); unset: the folder `quarantine` of DAGSTER_HOME",
    )
    windows: WindowsConfig = Field(
        default_factory=lambda: WindowsConfig(),
        description="the spans of time that Dagster shows as partitions",
    )
    schedule: str | None = Field(
        default="*/10 * * * *", description="when runs start, as a cron line in UTC; null: only by hand"
    )
    verify_schedule: str | None = Field(
        default="30 3 * * *",
        description="when copies are compared, as a cron line in UTC; null: only by hand",
    )
    archive: str | None = Field(
        default=None, description="where the drained log is kept as Parquet (a folder or URI); unset: nowhere"
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and not NAME.fullmatch(name):
            raise WrongValue("is not a plain name", "Use letters, digits and _, starting with a letter.")
        return name

    @field_validator("repo")
    @classmethod
    def _check_repo(cls, repo: str) -> str:
        if not _UUID.fullmatch(repo):
            raise WrongValue(
                "is not a root UUID", "Use all 32 hex digits, as the source's /api/repos/info shows them."
            )
        return repo

    @field_validator("branches")
    @classmethod
    def _check_branches(cls, branches: list[str]) -> list[str]:
        if not branches or not all(name.isprintable() for name in branches):
            raise WrongValue("names no branch", "Name the branches, or write [all].")
        if len(set(branches)) < len(branches):
            raise WrongValue("names a branch twice", "Name each once.")
        if "all" in branches and len(branches) > 1:
            raise WrongValue("holds `all` beside other names", "Write [all] alone, or only names.")
        return branches

    @field_validator("instances", mode="before")
    @classmethod
    def _word_or_list(cls, instances: object) -> object:
        if instances != "all" and not isinstance(instances, list):
            raise WrongValue("is neither `all` nor a list", "Write `all`, or a list of instance names.")
        return instances

    @field_validator("instances")
    @classmethod
    def _check_instances(cls, instances: Instances) -> Instances:
        if isinstance(instances, list):
            names = [choice.name for choice in instances]
            if not names:
                raise WrongValue("names no instance", "Name the instances, or write `all`.")
            if len(set(names)) < len(names):
                raise WrongValue("names an instance twice", "Name each once.")
        return instances

    @field_validator("destinations")
    @classmethod
    def _check_destinations(cls, destinations: list[OneDestination]) -> list[OneDestination]:
        if not destinations:
            raise WrongValue("is an empty list", "Add a destination with a name, and a url or a bucket.")
        servers = [each for each in destinations if isinstance(each, DestinationConfig)]
        for what, given in (
            ("name", [each.name for each in destinations]),
            ("url", [each.url for each in servers]),
            ("bucket", [each.bucket for each in destinations if isinstance(each, BucketConfig)]),
            ("checkpoint_file", [each.checkpoint_file for each in servers if each.checkpoint_file]),
        ):
            if len(set(given)) < len(given):
                raise WrongValue(f"has two destinations with one {what}", "Each needs its own.")
        return destinations

    @field_validator("settle_seconds")
    @classmethod
    def _check_settle(cls, seconds: float) -> float:
        return in_range(seconds, 0, 3600)

    @field_validator("chunk_records")
    @classmethod
    def _check_chunk(cls, records: int | None) -> int | None:
        return None if records is None else in_range(records, 100, 100_000)

    @field_validator("archive", "quarantine")
    @classmethod
    def _check_folder(cls, folder: str | None) -> str | None:
        if folder is not None and (not folder or "@" in urlsplit(folder).netloc):
            raise WrongValue(
                "is empty or holds a user or password",
                "Name a folder or a URI such as s3://bucket/log; the cloud's own variables hold secrets.",
            )
        return folder

    def records_together(self, destination: AnyDestination | None = None) -> int:
        """How many records of the log make a chunk: for one destination, or for a run that has none."""
        if self.chunk_records is not None:
            return self.chunk_records
        return (destination or AnyDestination).usual_chunk

    def check_together(self) -> None:
        for index, destination in enumerate(self.destinations):
            if destination.place == self.source.url:
                raise WrongValue(
                    "is the source's own address", "Name the copy's.", field=f"destinations[{index}].url"
                )
        self._check_practice()
        first = self.windows.start_date
        for index, destination in enumerate(self.destinations):
            start = destination.start if isinstance(destination, DestinationConfig) else None
            if first is not None and isinstance(start, StartTime):
                begins = start.time
                if first > begins.date():
                    raise WrongValue(
                        f"is {first}, after destinations[{index}].start ({begins:%Y-%m-%d %H:%M} UTC), so "
                        "that what is read first would be in no window",
                        f"Use {begins.date()} or a day before it.",
                        field="windows.start_date",
                    )
        if self.windows.every == "hourly" and self._window_start() is None:
            raise WrongValue(
                "is unset, but hourly windows need a first day",
                "Set it at or before the destinations' start, such as 2026-01-31.",
                field="windows.start_date",
            )

    def _check_practice(self) -> None:
        for index, destination in enumerate(self.destinations):
            practice = destination.practice if isinstance(destination, DestinationConfig) else None
            followed = next((name for name in self.branches if practice and practice.names(name)), None)
            if followed is not None:
                raise WrongValue(
                    f"begins {followed!r}, which is followed (`branches`)",
                    "Name a branch that the source does not have.",
                    field=f"destinations[{index}].practice.branch",
                )

    @property
    def repo_name(self) -> str:
        """The repo's name in Dagster."""
        return self.name or f"repo_{self.repo[:8]}"

    @property
    def servers(self) -> list[DestinationConfig]:
        """The destinations that are DVID servers."""
        return [each for each in self.destinations if isinstance(each, DestinationConfig)]

    @property
    def buckets(self) -> list[BucketConfig]:
        """The destinations that are buckets."""
        return [each for each in self.destinations if isinstance(each, BucketConfig)]

    @property
    def first_window(self) -> date:
        """The day (UTC) of the first window."""
        return self._window_start() or FIRST_DAY

    def _window_start(self) -> date | None:
        times = [each.start.time.date() for each in self.servers if isinstance(each.start, StartTime)]
        # A start in the future is refused by the source's clock when a run begins; until then all loads.
        return self.windows.start_date or (min(*times, today()) if times else None)

    def destination(self, name: str) -> AnyDestination:
        """The destination of that name.

        Raises:
            ConfigurationError: there is none.
        """
        for destination in self.destinations:
            if destination.name == name:
                return destination
        known = ", ".join(destination.name for destination in self.destinations)
        raise ConfigurationError("destinations", f"there is none named {name!r}", f"Known: {known}.")
