"""The names of the topics to which a DVID server publishes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dvidsync_dagster.errors import ConfigurationError

TopicKind = Literal["data", "repo-ops"]

_UUID = re.compile(r"[0-9a-f]{32}")
_TEXT = re.compile(r"[A-Za-z0-9._-]*")
_LONGEST = 249  # Kafka's limit for a topic name
_NAME = re.compile(
    r"(?P<prefix>[A-Za-z0-9._-]*)dvidrepo-(?P<root>[0-9a-f]{32})-"
    r"(?:(?P<repo_ops>repo-ops)"
    r"|data-(?P<data>[0-9a-f]{32})(?:-(?P<suffix>[A-Za-z0-9._-]+))?"
    r"|inst-(?P<inst>[0-9a-f]{32}))"
)


@dataclass(frozen=True, slots=True)
class TopicName:
    """What a topic's name says. `data_uuid` is None for the repo operations; `old` marks the 2017 form."""

    prefix: str
    root: str
    data_uuid: str | None
    suffix: str = ""
    old: bool = False

    @property
    def kind(self) -> TopicKind:
        return "repo-ops" if self.data_uuid is None else "data"


def data_topic(prefix: str, root: str, data_uuid: str, suffix: str = "") -> str:
    """The topic of one data instance.

    Args:
        prefix: what the server's info calls ``Kafka Topic Prefix``; may be empty.
        root: root UUID of the repo, 32 hex digits.
        data_uuid: data UUID of the instance, 32 hex digits.
        suffix: what the site configured for this instance, without the leading dash; may be empty.

    Raises:
        ConfigurationError: a part cannot stand in a topic's name.
    """
    _check_uuid("data UUID", data_uuid)
    tail = f"-{suffix}" if suffix else ""
    return _checked(prefix, root, f"data-{data_uuid}{tail}")


def repo_topic(prefix: str, root: str) -> str:
    """The topic of a repo's own operations (versions, instances). Arguments and errors as `data_topic`."""
    return _checked(prefix, root, "repo-ops")


def old_data_topic(root: str, data_uuid: str) -> str:
    """The topic of one data instance as servers named it in 2017. Errors as `data_topic`."""
    _check_uuid("data UUID", data_uuid)
    return _checked("", root, f"inst-{data_uuid}")


def parse_topic(name: str) -> TopicName | None:
    """What a topic's name says, or None if it is no topic of a mutation log."""
    match = _NAME.fullmatch(name)
    if match is None or len(name) > _LONGEST:
        return None
    return TopicName(
        prefix=match["prefix"],
        root=match["root"],
        data_uuid=match["data"] or match["inst"],
        suffix=match["suffix"] or "",
        old=match["inst"] is not None,
    )


def _checked(prefix: str, root: str, rest: str) -> str:
    _check_uuid("root UUID", root)
    name = f"{prefix}dvidrepo-{root}-{rest}"
    if not _TEXT.fullmatch(name):
        raise ConfigurationError(
            "topic name",
            f"{name!r} holds a character that Kafka does not allow",
            "Check prefix and suffix: letters, digits, `.`, `_` and `-`.",
        )
    if len(name) > _LONGEST:
        raise ConfigurationError(
            "topic name",
            f"{name!r} is longer than Kafka's {_LONGEST} characters",
            "Check prefix and suffix.",
        )
    return name


def _check_uuid(what: str, uuid: str) -> None:
    if not _UUID.fullmatch(uuid):
        raise ConfigurationError(
            what, f"{uuid!r} is not 32 hex digits", "Give the whole UUID in small letters."
        )
