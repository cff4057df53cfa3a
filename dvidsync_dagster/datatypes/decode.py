"""From the records of a chunk to typed events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dvidsync_dagster.datatypes import versions
from dvidsync_dagster.datatypes.labelmap import events as labelmap
from dvidsync_dagster.datatypes.operation import DataEvent, Derived
from dvidsync_dagster.datatypes.place import Placed, SourcePlaces
from dvidsync_dagster.datatypes.registry import DATA_TYPES
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.outgoing_text import escaped

_ACTION_LETTERS = 60
_UNKNOWN_ACTIONS = 50


@dataclass
class Decoded:
    """What the records of a chunk say.

    Args:
        labels: announcements of labelmaps, in log order.
        repo: repo operations, in log order.
        data: events of the other data types, in log order.
        refused: versions that the source announced but refused to make.
        not_followed: messages of instances that are not followed, by "type name"; and those that tell of mere
            consequences.
        unknown_actions: messages with an action that is not known, by "type action".
        undecodable: records that are not what their topic promises, each with what is wrong.
    """

    labels: list[labelmap.Announcement | labelmap.CounterEvent] = field(default_factory=list)
    repo: list[versions.RepoEvent] = field(default_factory=list)
    data: list[DataEvent] = field(default_factory=list)
    refused: int = 0
    not_followed: Counter[str] = field(default_factory=Counter)
    unknown_actions: Counter[str] = field(default_factory=Counter)
    undecodable: list[tuple[Record, str]] = field(default_factory=list)


def decode_records(
    records: Iterable[Record],
    topics: Mapping[str, Instance | None],
    not_followed: Mapping[str, str],
    eras: EraClock,
    places: SourcePlaces,
) -> Decoded:
    """Decode records, which come in log order.

    Args:
        topics: the instance whose messages a topic holds; None for the repo's own operations.
        not_followed: instances whose messages are only counted, by name: as what.
        places: what the source has; a record that names something else is undecodable.
    """
    decoded = Decoded()
    for record in records:
        instance = topics[record.topic]
        if instance is not None and instance.name in not_followed:
            decoded.not_followed[not_followed[instance.name]] += 1
            continue
        try:
            message = Message.parse(record.origin, record.value or b"")
            if instance is None:
                _repo(message, decoded, places)
            elif instance.typename == "labelmap":
                _labelmap(message, instance, decoded, eras, places)
            else:
                _data(message, instance, decoded, places)
        except UndecodableRecord as error:
            decoded.undecodable.append((record, error.found))
        except Exception as error:
            # Whatever goes wrong while one record is decoded is that record's fault and nobody else's.
            decoded.undecodable.append((record, f"it cannot be decoded ({type(error).__name__})"))
    return decoded


def _check_place(message: Message, event: Placed, places: SourcePlaces) -> None:
    doubt = places.doubt(event)
    if doubt is not None:
        raise message.wrong(doubt)


def _count_unknown(message: Message, typename: str, decoded: Decoded) -> None:
    """Count an action that is not known. Whatever a record calls an action: its name is cut, and only the
    first `_UNKNOWN_ACTIONS` are told apart."""
    name = f"{typename} {escaped(message.action, _ACTION_LETTERS)}"
    if name not in decoded.unknown_actions and len(decoded.unknown_actions) >= _UNKNOWN_ACTIONS:
        name = f"{typename}, other actions"
    decoded.unknown_actions[name] += 1


def _repo(message: Message, decoded: Decoded, places: SourcePlaces) -> None:
    event = versions.decode(message)
    if event is None:
        _count_unknown(message, "repo", decoded)
    elif isinstance(event, versions.Refused):
        decoded.refused += 1
    else:
        _check_place(message, event, places)
        decoded.repo.append(event)


def _labelmap(
    message: Message, instance: Instance, decoded: Decoded, eras: EraClock, places: SourcePlaces
) -> None:
    found = labelmap.decode(message, instance.name)
    if found is None:
        _count_unknown(message, instance.typename, decoded)
        return
    _check_place(message, found.event if isinstance(found, labelmap.Announcement) else found, places)
    if isinstance(found, labelmap.Announcement):
        event = found.event
        era = eras.era_of(message.origin.key_ns, message.text("Timestamp", ""), event.mutation_id)
        if era:
            changed: Any = replace(event, era=era)
            found = replace(found, event=changed)
    decoded.labels.append(found)


def _data(message: Message, instance: Instance, decoded: Decoded, places: SourcePlaces) -> None:
    found = DATA_TYPES[instance.typename].decode(message, instance)
    if found is None:
        _count_unknown(message, instance.typename, decoded)
    elif isinstance(found, Derived):
        decoded.not_followed[f"derived messages of {instance.typename} {instance.name}"] += 1
    else:
        _check_place(message, found, places)
        decoded.data.append(found)
