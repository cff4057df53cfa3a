"""What a labelmap lists of all its labels at once: mapping, sizes, indices, splits.

See docs/dvid.md, "Bulk reads".
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import orjson
from lz4.block import LZ4BlockError

from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.again import is_passing
from dvidsync_dagster.dvid.index_arrays import IndexArrays, index_arrays
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.patience import MIB, REPO, VALUE
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.dvid.stored_indices import each_index, joined_indices
from dvidsync_dagster.dvid.transport import BINARY, JSON, NO_TEXT, Transport
from dvidsync_dagster.errors import AnswerTooLong, ServerError, ServerFailed

Labels = npt.NDArray[np.uint64]
"""Shape (n,)."""
Pairs = npt.NDArray[np.uint64]
"""Shape (n, 2)."""

LABELS_AT_ONCE = 100_000
"""Labels in one request for sizes."""

ANSWER = 64 * MIB
"""Bytes of the indices of many labels that are taken in one answer."""

_NUMBER = 8
_PAIR = 2 * _NUMBER
_PIECE = 1 << 20
"""Pairs that are handed on together."""
_TEXT = 1 << 20
"""Bytes of a JSON list that are decoded together."""

logger = logging.getLogger(__name__)


def mapping_pairs(client: Transport, version: str, name: str) -> Iterator[Pairs]:
    """Supervoxels that are in another body than their own, with that body; in no order. An id that is no
    supervoxel (anymore) comes with 0 from a server that remembers it, and not at all from others.

    The answer comes piece by piece and is not repeated: whoever reads it begins anew after ServerUnreachable.
    """
    path = node_path(version, name, "mappings")
    kept = bytearray()
    with client.stream(path, query={"format": "binary"}, kind=NO_TEXT) as pieces:
        for piece in pieces:
            kept += piece
            if len(kept) >= _PIECE * _PAIR:
                whole = len(kept) // _PAIR * _PAIR
                yield _rows(bytes(kept[:whole]), 2, path)
                del kept[:whole]
    if kept:
        yield _rows(bytes(kept), 2, path)


def size_pairs(client: Transport, version: str, name: str) -> Iterator[Pairs]:
    """Bodies with their voxels, sorted, at most `LABELS_AT_ONCE` together."""
    return _listed(client, version, name, 2, 0)


def existing_labels(client: Transport, version: str, name: str) -> Iterator[Labels]:
    """Bodies, sorted, some together. Takes a fifth of the time of `size_pairs`."""
    start = 0
    try:
        for labels in _existing(client, version, name):
            yield _ascending(labels, start, node_path(version, name, "existing-labels"))
            start = int(labels[-1]) + 1
    except ServerError as error:
        if not is_passing(error):
            raise
        logger.info("the list of bodies broke off; it is read on from label %d: %s", start, error)
    # Where reading its store fails, DVID ends that list as if it was whole. This one tells.
    for rows in _listed(client, version, name, 1, start):
        yield rows[:, 0]


def _existing(client: Transport, version: str, name: str) -> Iterator[Labels]:
    """As they come, without a look at their order."""
    path = node_path(version, name, "existing-labels")
    kept = bytearray()
    with client.stream(path, kind=JSON) as pieces:
        for piece in pieces:
            kept += piece
            if len(kept) >= _TEXT:
                end = kept.rfind(b",")
                yield _numbers(kept[:end] + b"]", path)
                kept[: end + 1] = b"["
    if kept != b"[]":
        yield _numbers(kept, path)


def _numbers(text: bytearray, path: str) -> Labels:
    """At least one, as a JSON list. Raises ServerFailed for anything else."""
    try:
        found = orjson.loads(text)
        # A number from 2^64 up becomes a float.
        if isinstance(found, list) and set(map(type, found)) == {int}:
            return np.array(found, np.uint64)
    except (orjson.JSONDecodeError, OverflowError):
        pass
    raise ServerFailed(f"GET {path}", f"answered no list of labels: {bytes(text[:100])!r}")


def _listed(client: Transport, version: str, name: str, width: int, start: int) -> Iterator[Pairs]:
    """Rows of so many numbers, each beginning with a label, the first of them not before `start`."""
    path = node_path(version, name, "listlabels")
    while start < 2**64:
        query: dict[str, str | int] = {"start": start, "number": LABELS_AT_ONCE}
        if width > 1:
            query["sizes"] = "true"
        limit = LABELS_AT_ONCE * _NUMBER * width
        rows = _rows(client.read(path, query=query, limit=limit, kind=NO_TEXT), width, path)
        if not len(rows):
            return
        # Where reading its store fails, DVID ends the list with zeros.
        _ascending(rows[:, 0], start, path)
        yield rows
        if len(rows) < LABELS_AT_ONCE:
            return
        start = int(rows[-1, 0]) + 1


def _ascending(labels: Labels, start: int, path: str) -> Labels:
    if int(labels[0]) < start or (labels[1:] <= labels[:-1]).any():
        raise ServerFailed(f"GET {path}", f"lists labels from {start} on, and not in their order")
    return labels


def indices(
    client: Transport, version: str, name: str, labels: Sequence[int]
) -> Iterator[tuple[int, LabelIndex]]:
    """The indices of labels, in their order; those that do not exist are empty.

    DVID refuses more than 50,000.
    """
    with _asked_for_indices(version, name) as path:
        for some, answer in _answers(client, path, labels):
            for label, content in zip(some, each_index(answer, path, some), strict=True):
                index = protobuf.label_index(content)
                if content:
                    # DVID finds it by its key. What old releases wrote has no label in it.
                    index.label = label
                yield label, index


def told_by_indices(client: Transport, version: str, name: str, labels: Sequence[int]) -> IndexArrays:
    """What the indices of labels tell, in their order. Many times faster than to look at each. DVID refuses
    more than 50,000 labels."""
    with _asked_for_indices(version, name) as path:
        answers = _answers(client, path, labels)
        return index_arrays(
            labels, (joined for some, answer in answers for joined in joined_indices(answer, path, some))
        )


def splits(client: Transport, version: str, name: str) -> list[tuple[int, int, int, int]]:
    """Mutation id, supervoxel, what remained of it, and what was split off: of this version and its
    ancestors."""
    path = node_path(version, name, "supervoxel-splits")
    listed = client.read_json(path, limit=REPO)
    try:
        found = [
            (mutation, whole, remain, split)
            for some in listed
            if not isinstance(some, str)
            for mutation, whole, remain, split in some
        ]
    except (TypeError, ValueError) as error:
        raise ServerFailed(f"GET {path}", f"answered no list of splits: {error}") from error
    if not all(type(number) is int and 0 <= number < 2**64 for split in found for number in split):
        raise ServerFailed(f"GET {path}", "lists something else than supervoxels")
    return found


def _rows(content: bytes, width: int, path: str) -> Pairs:
    if len(content) % (_NUMBER * width):
        raise ServerFailed(f"GET {path}", f"ends in the middle of a row: {content[-100:]!r}")
    return np.frombuffer(content, "<u8").reshape(-1, width).astype(np.uint64, copy=False)


@contextmanager
def _asked_for_indices(version: str, name: str) -> Iterator[str]:
    """The path. Raises ServerFailed for an answer that holds something else."""
    path = node_path(version, name, "indices-compressed")
    try:
        yield path
    except (struct.error, LZ4BlockError, protobuf.DecodeError) as error:
        raise ServerFailed(f"GET {path}", f"has an index that is none: {error!r}") from error


def _answers(client: Transport, path: str, labels: Sequence[int]) -> Iterator[tuple[Sequence[int], bytes]]:
    """Labels and their indices as DVID compresses them, in as many requests as it takes for each answer to be
    no longer than `ANSWER`, or of one label. Nobody knows before how large indices are: of a fragment some
    bytes, of a large neuron megabytes."""
    waiting = [labels]
    while waiting:
        some = waiting.pop()
        alone = len(some) <= 1
        try:
            answer = client.read(path, body=orjson.dumps(some), limit=VALUE if alone else ANSWER, kind=BINARY)
        except AnswerTooLong:
            if alone:
                raise
            half = len(some) // 2
            waiting += [some[half:], some[:half]]
        else:
            yield some, answer
