"""The servers: the source, and the destinations that follow it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from dvidsync_dagster.config.destination import AnyDestination
from dvidsync_dagster.config.fields import Part, WrongValue, in_range
from dvidsync_dagster.config.practice import PracticeConfig
from dvidsync_dagster.config.secrets import read_secret, variable_name
from dvidsync_dagster.config.start import START_CHOICE, Start, StartTime
from dvidsync_dagster.errors import ConfigurationError

_USER = re.compile(r"[^\s&?#/\x00-\x1f]{1,200}")


def server_url(url: str) -> str:
    """Check the address of a DVID server; without a slash at its end."""
    remedy = "Write it such as http://emdata.example.org:8000."
    try:
        parts = urlsplit(url)
        _ = parts.port, (parts.hostname or "").encode("idna")
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


class DestinationConfig(AnyDestination):
    """A DVID server that follows the source."""

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
    on_doubt: Literal["follow", "conflict"] = Field(
        default="follow",
        description="what to do with a key, a neuron or an element from before the first run if nothing "
        "tells whose it is: follow (the source; what was there is kept) or conflict (see on_conflict)",
    )
    history: Literal["by_user", "condensed", "exact"] = Field(
        default="by_user",
        description="which merges may become one request, and so one line in the destination's list of "
        "events: by_user (of one user), condensed (of anybody) or exact (none)",
    )
    apply: Literal["replay", "state", "auto"] = Field(
        default="replay",
        description="how operations on bodies are brought: replay (a request for each), state (the bodies "
        "are made in bulk, and the destination lists no operations) or auto (whichever costs less)",
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
    practice: PracticeConfig | None = Field(
        default=None, description="branches of the destination's own, on which people practise; unset: none"
    )

    _url = field_validator("url")(server_url)
    _user = field_validator("user")(_check_user)
    _variable = field_validator("token_env", "admin_token_env")(variable_name)
    _requests = field_validator("requests_in_flight")(_check_requests)

    @property
    def place(self) -> str:
        return self.url

    @property
    def skips(self) -> bool:
        """What the destination cannot take is left out; if not, it ends the run."""
        return self.on_conflict == "skip"

    @property
    def follows_doubtful(self) -> bool:
        """What was there before the first run is replaced where nothing tells whose it is."""
        return self.on_doubt == "follow"

    @property
    def copied_from(self) -> int | None:
        """The copy was made at this time or later (ns since 1970); None if `start` does not tell."""
        return self.start.key_ns if isinstance(self.start, StartTime) else None

    def token(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The destination's token, or None. Raises ConfigurationError if its variable is unset."""
        return read_secret(f"{self.field}.token_env", self.token_env, environment)

    def admin_token(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The admin token, or None. Raises ConfigurationError if its variable is unset."""
        return read_secret(f"{self.field}.admin_token_env", self.admin_token_env, environment)

    def chosen_start(self) -> StartTime | Literal["beginning", "now"]:
        """Where a run without a checkpoint starts.

        Raises:
            ConfigurationError: nothing was chosen; the message explains the choice.
        """
        if self.start is None:
            raise ConfigurationError(
                f"{self.field}.start", "is unset and there is no checkpoint yet", START_CHOICE
            )
        return self.start
