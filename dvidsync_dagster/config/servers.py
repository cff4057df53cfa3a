"""The servers: the source, and the destinations that follow it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator

from dvidsync_dagster.config.days import check_day
from dvidsync_dagster.config.fields import NAME, Part, WrongValue, in_range, word_or_parts
from dvidsync_dagster.config.secrets import read_secret, variable_name
from dvidsync_dagster.errors import ConfigurationError

_USER = re.compile(r"[^\s&?#/\x00-\x1f]{1,200}")


def server_url(url: str) -> str:
    """Check the address of a DVID server; without a slash at its end."""
    remedy = "Write it such as http://emdata.example.org:8000."
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise WrongValue("is not a URL", remedy) from None
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise WrongValue("holds a user or password", "Name a variable in token_env and remove it from here.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongValue("is not an http or https address", remedy)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise WrongValue("holds a query or fragment", remedy)
    if not url.isprintable() or " " in url:
        raise WrongValue("holds a blank or control character", remedy)
    return url.rstrip("/")


def _check_user(user: str) -> str:
    if not _USER.fullmatch(user):
        raise WrongValue("is not a user name", "Use the name that the server shows, without blanks, & ? # /.")
    return user


def _check_requests(number: int) -> int:
    return in_range(number, 1, 64)


class SourceConfig(Part):
    """The server that is followed. Nothing is ever written to it."""

    url: str = Field(description="the source's address, such as http://emdata.example.org:8000")
    token_env: str | None = Field(
        default=None, description="the name of the environment variable with the source's token"
    )
    user: str = Field(default="dvidsync", description="the user that reading is logged under at the source")

    requests_in_flight: int = Field(
        default=4, description="how many requests one run has under way at the source, 1 to 64"
    )

    _url = field_validator("url")(server_url)
    _user = field_validator("user")(_check_user)
    _variable = field_validator("token_env")(variable_name)
    _requests = field_validator("requests_in_flight")(_check_requests)

    def token(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The source's token, or None. Raises ConfigurationError if its variable is unset."""
        return read_secret("source.token_env", self.token_env, environment)


class StartTime(Part):
    """A start at a time, at or before the moment at which the copy was made."""

    time: datetime = Field(description="a time with its zone, such as 2026-01-31T00:00:00Z")

    @field_validator("time", mode="before")
    @classmethod
    def _parse(cls, time: object) -> object:
        if isinstance(time, str):
            try:
                time = datetime.fromisoformat(time)
            except ValueError:
                raise WrongValue("is not a time", "Write it such as 2026-01-31T00:00:00Z.") from None
        if not isinstance(time, datetime) or time.tzinfo is None:
            raise WrongValue("has no time of day or no time zone", "Write it such as 2026-01-31T00:00:00Z.")
        # As written, since the first and the last year may have no such time in UTC.
        check_day(time.date())
        return time.astimezone(UTC)

    @property
    def key_ns(self) -> int:
        """The time as a record key: nanoseconds since 1970."""
        seconds, micros = divmod(
            round((self.time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6), 10**6
        )
        return seconds * 10**9 + micros * 1000


Start = (
    Annotated[
        Annotated[Literal["beginning", "now"], Tag("<word>")] | Annotated[StartTime, Tag("<parts>")],
        Discriminator(word_or_parts),
    ]
    | None
)

START_CHOICE = (
    "Set it to {time: ...} at or before the moment at which the copy was made (what the copy already holds "
    "is recognised and left out; this is the usual choice), to `beginning` (everything that the log still "
    "holds), or to `now` (only if the copy is made at this moment and nobody works on the source)."
)


class DestinationConfig(Part):
    """A DVID server that follows the source."""

    name: str = Field(description="the destination's name in Dagster: letters, digits and _")
    url: str = Field(description="the destination's address, such as http://copy.example.org:8000")
    token_env: str | None = Field(
        default=None, description="the name of the environment variable with the destination's token"
    )
    admin_token_env: str | None = Field(
        default=None, description="the name of the environment variable with the destination's admin token"
    )
    user: str = Field(
        default="dvidsync",
        description="the user for what no user of the source did, and that reading is logged under",
    )
    on_conflict: Literal["stop", "skip"] = Field(
        default="stop", description="what to do when the destination cannot take an operation: stop or skip"
    )
    history: Literal["by_user", "condensed", "exact"] = Field(
        default="by_user",
        description="which merges may become one request, and so one line in the destination's list of "
        "events: by_user (of one user), condensed (of anybody) or exact (none)",
    )
    requests_in_flight: int = Field(
        default=4, description="how many requests one run has under way at the destination, 1 to 64"
    )
    start: Start = Field(
        default=None, description="where to start without a checkpoint: {time: ...}, beginning or now"
    )
    checkpoint_file: str | None = Field(
        default=None, description="a file read where Dagster has no checkpoint, and kept as a copy of it"
    )
    own: list[str] = Field(
        default_factory=list,
        description="names of instances that are the destination's own: never followed, compared or repaired",
    )

    _url = field_validator("url")(server_url)
    _user = field_validator("user")(_check_user)
    _variable = field_validator("token_env", "admin_token_env")(variable_name)
    _requests = field_validator("requests_in_flight")(_check_requests)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise WrongValue("is not a plain name", "Use letters, digits and _, starting with a letter.")
        if name == "mutation_log":
            raise WrongValue("is the name of the log's own asset", "Use another name.")
        return name

    def token(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The destination's token, or None. Raises ConfigurationError if its variable is unset."""
        return read_secret(f"destinations[{self.name}].token_env", self.token_env, environment)

    def admin_token(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The admin token, or None. Raises ConfigurationError if its variable is unset."""
        return read_secret(f"destinations[{self.name}].admin_token_env", self.admin_token_env, environment)

    def chosen_start(self) -> StartTime | Literal["beginning", "now"]:
        """Where a run without a checkpoint starts.

        Raises:
            ConfigurationError: nothing was chosen; the message explains the choice.
        """
        if self.start is None:
            raise ConfigurationError(
                f"destinations[{self.name}].start", "is unset and there is no checkpoint yet", START_CHOICE
            )
        return self.start
