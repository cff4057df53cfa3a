"""From the records of a chunk to announcements of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dvidsync_dagster.datatypes.contract import DataType
from dvidsync_dagster.datatypes.copied import DataEvent
from dvidsync_dagster.datatypes.registry import FOLLOWED, REPO
from dvidsync_dagster.datatypes.source_places import SourcePlaces
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.event import Announcement, Consequence, Event, NumberedEvent
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.repo import RefusedVersion
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.outgoing_text import escaped

_ACTION_LETTERS = 60
_UNKNOWN_ACTIONS = 50


@dataclass
class Decoded:
    """What the records of a chunk say.

    Args:
        announcements: in log order.
        not_followed: messages that are only counted, by what they are: of instances that are not followed, of
            mere consequences, of versions that the source announced but refused to make.
        unknown_actions: messages with an action that is not known, by "type action".
        undecodable: records that are not what their topic promises, each with what is wrong.
    """

    announcements: list[Announcement] = field(default_factory=list)
    not_followed: Counter[str] = field(default_factory=Counter)
    unknown_actions: Counter[str] = field(default_factory=Counter)
    undecodable: list[tuple[Record, str]] = field(default_factory=list)

    @property
    def events(self) -> Iterable[Event]:
        """Those that are announced, also those that have only begun."""
        return (announcement.event for announcement in self.announcements)


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
            _decode(Message.parse(record.origin, record.value or b""), instance, decoded, eras, places)
        except UndecodableRecord as error:
            decoded.undecodable.append((record, error.found))
        except Exception as error:
            # Whatever goes wrong while one record is decoded is that record's fault and nobody else's.
            decoded.undecodable.append((record, f"it cannot be decoded ({type(error).__name__})"))
    return decoded


def _decode(
    message: Message, instance: Instance | None, decoded: Decoded, eras: EraClock, places: SourcePlaces
) -> None:
    data_type: DataType = REPO if instance is None else FOLLOWED[instance.typename]
    said = data_type.decode(message, instance)
    if said is None:
        _count_unknown(message, data_type.typename, decoded)
    elif isinstance(said, Consequence):
        name = instance.name if instance is not None else ""
        decoded.not_followed[f"derived messages of {data_type.typename} {name}"] += 1
    elif isinstance(said.event, RefusedVersion):
        decoded.not_followed["versions that the source refused to make"] += 1
    else:
        doubt = places.doubt(said.event)
        if doubt is not None:
            raise message.wrong(doubt)
        if isinstance(said.event, DataEvent) and instance is not None and not instance.is_versioned:
            # docs/dvid.md, "Instances without versions": the root holds what is written in any of them.
            said = replace(said, event=replace(said.event, version=places.repo.root))
        decoded.announcements.append(_of_era(said, message, eras))


def _of_era(said: Announcement, message: Message, eras: EraClock) -> Announcement:
    event = said.event
    if not isinstance(event, NumberedEvent):
        return said
    era = eras.era_of(message.origin.key_ns, message.text("Timestamp", ""), event.mutation_id)
    return replace(said, event=replace(event, era=era)) if era else said


def _count_unknown(message: Message, typename: str, decoded: Decoded) -> None:
    """Count an action that is not known. Whatever a record calls an action: its name is cut, and only the
    first `_UNKNOWN_ACTIONS` are told apart."""
    name = f"{typename} {escaped(message.action, _ACTION_LETTERS)}"
    if name not in decoded.unknown_actions and len(decoded.unknown_actions) >= _UNKNOWN_ACTIONS:
        name = f"{typename}, other actions"
    decoded.unknown_actions[name] += 1
