"""The fields of many protobuf messages at once, as arrays.

An object for each message takes longer to make than a server needs to send it. Here a step reads the next
field of every message. Once few messages have more fields, each of these is read to its end by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
"""In an array of bytes."""

NUMBER, SPAN = 0, 2
"""What a field is on the wire: a number; text, bytes or a message, with its length before it."""

_FEW = 50
"""Messages for which a step costs as much as to read on in each of them."""
PADDING = bytes(4)
"""Behind all messages: a number or a tag that is cut off ends here at the latest."""
_BITS = 7
_MORE = 1 << _BITS
"""The bit of a byte that says that the number goes on. A tag with it is of a field after the 15th."""
_KIND = 7
"""The bits of a tag that say what follows."""
_LEAST = 1 << 3
"""The least tag: of field 1."""


class NotPlain(Exception):
    """A message is broken, or is written in a way that is not read here. Protobuf can tell which."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages in `content`. The arrays have one length.

    Args:
        content: ends with `PADDING`.
        owners: to whom each belongs, by a number of the caller's.
    """

    content: npt.NDArray[np.uint8]
    owners: Places
    starts: Places
    ends: Places


@dataclass(frozen=True, slots=True)
class Field:
    """A field with one tag, of some messages. Where a message is there twice, the later one counts.

    Args:
        tag: see `tag`.
        values: of numbers; else their lengths in bytes.
        ends: where they end in `content`.
    """

    content: npt.NDArray[np.uint8]
    tag: int
    owners: Places
    values: Numbers
    ends: Places

    def messages(self) -> Messages:
        """The field itself, a message or a text."""
        return Messages(self.content, self.owners, self.ends - self.values.astype(np.int64), self.ends)


def tag(field: int, kind: int) -> int:
    """What stands before a field."""
    return field << 3 | kind


def joined(messages: Sequence[bytes]) -> Messages:
    """Messages of which each is its own owner, by its place."""
    ends = np.cumsum(np.fromiter(map(len, messages), np.int64, len(messages)))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    content = np.frombuffer(b"".join([*messages, PADDING]), np.uint8)
    return Messages(content, np.arange(len(messages)), starts[: len(messages)], ends)


def fields(messages: Messages) -> Iterator[Field]:
    """All of them, step by step; those of a message in their order.

    Raises:
        NotPlain
    """
    content = messages.content
    owners, places, ends = messages.owners, messages.starts, messages.ends
    while True:
        left = places < ends
        if not left.all():
            owners, places, ends = owners[left], places[left], ends[left]
        if len(owners) <= _FEW:
            break
        tags = content[places]
        values, places = _numbers(content, places + 1)
        # What is cut off, or tells a length that is not there, ends after its message.
        left_over = ends - places
        if (left_over < 0).any():
            raise NotPlain
        lengths = np.where(tags & _KIND == SPAN, values, 0)
        if (lengths > left_over.astype(np.uint64)).any():
            raise NotPlain
        places = places + lengths.astype(np.int64)
        yield from _by_tag(content, owners, tags, values, places)
    for owner, place, end in zip(owners.tolist(), places.tolist(), ends.tolist(), strict=True):
        yield from _rest(content, owner, place, end)


def _by_tag(
    content: npt.NDArray[np.uint8],
    owners: Places,
    tags: npt.NDArray[np.uint8],
    values: Numbers,
    ends: Places,
) -> Iterator[Field]:
    there = np.flatnonzero(np.bincount(tags)).tolist()
    for each in there:
        if not _LEAST <= each < _MORE or each & _KIND not in (NUMBER, SPAN):
            raise NotPlain
        if len(there) == 1:
            yield Field(content, each, owners, values, ends)
        else:
            chosen = np.flatnonzero(tags == each)
            yield Field(content, each, owners[chosen], values[chosen], ends[chosen])


def together(found: Sequence[Messages]) -> Messages:
    """Messages of one content. There must be at least one of `found`, which may be empty."""
    return Messages(
        found[0].content,
        np.concatenate([each.owners for each in found]),
        np.concatenate([each.starts for each in found]),
        np.concatenate([each.ends for each in found]),
    )


def inner(messages: Messages, field: int) -> Messages:
    """The messages that are this field of others, under the same owners.

    Raises:
        NotPlain
    """
    wanted = tag(field, SPAN)
    found = [each.messages() for each in fields(messages) if each.tag == wanted]
    return together([none_of(messages), *found])


def none_of(messages: Messages) -> Messages:
    """Of the same content."""
    empty = np.empty(0, np.int64)
    return Messages(messages.content, empty, empty, empty)


def _numbers(content: npt.NDArray[np.uint8], places: Places) -> tuple[Numbers, Places]:
    """The number at each place, and the place after it."""
    byte = content[places]
    values = (byte & (_MORE - 1)).astype(np.uint64)
    after = places + 1
    shift = _BITS
    more = np.flatnonzero(byte & _MORE)
    while len(more):
        if shift >= 64 or after[more].max() >= len(content):
            raise NotPlain
        byte = content[after[more]]
        values[more] |= (byte & (_MORE - 1)).astype(np.uint64) << np.uint64(shift)
        after[more] += 1
        shift += _BITS
        more = more[(byte & _MORE) != 0]
    return values, after


def _rest(content: npt.NDArray[np.uint8], owner: int, start: int, end: int) -> Iterator[Field]:
    """All fields of a message from one place on."""
    rest = content[start:end].tobytes()
    tags, values, ends = [], [], []
    place = 0
    try:
        while place < len(rest):
            tag, value = rest[place], rest[place + 1]
            place += 2
            if value & _MORE:
                value, place = _number(rest, place - 1)
            if tag & _KIND == SPAN:
                place += value
            tags.append(tag)
            values.append(value)
            ends.append(place)
    except IndexError as error:
        raise NotPlain from error
    if place > len(rest):
        raise NotPlain
    yield from _by_tag(
        content,
        np.full(len(tags), owner, np.int64),
        np.array(tags, np.uint8),
        np.array(values, np.uint64),
        np.array(ends, np.int64) + start,
    )


def _number(content: bytes, place: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    byte = content[place]
    place += 1
    number = byte & (_MORE - 1)
    shift = _BITS
    while byte & _MORE:
        if shift >= 64:
            raise NotPlain
        byte = content[place]
        place += 1
        number |= (byte & (_MORE - 1)) << shift
        shift += _BITS
    return number & (2**64 - 1), place
