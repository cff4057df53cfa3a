"""What the indices of many bodies tell, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.protobuf_arrays import (
    NUMBER,
    SPAN,
    Messages,
    NotPlain,
    fields,
    inner,
    none_of,
    tag,
    together,
)

# Of `LabelIndex` and of what is in it: dvid/proto/labelmap.proto.
_BLOCKS = tag(1, SPAN)
_LAST_MUTID = tag(3, NUMBER)
_LAST_MOD_TIME, _LAST_MOD_USER, _LAST_MOD_APP = tag(4, SPAN), tag(5, SPAN), tag(6, SPAN)
_BLOCK_VALUE, _SV_COUNTS = 2, 1
_ENTRY_KEY, _ENTRY_VALUE = tag(1, NUMBER), tag(2, NUMBER)
_VOXELS = 2**32 - 1
"""A count has 32 bits."""


@dataclass(frozen=True, slots=True)
class IndexArrays:
    """Arrays of one length. An index without a text has an empty one.

    Args:
        voxels: of all blocks.
        holds_itself: the body has the supervoxel of its own label.
    """

    voxels: npt.NDArray[np.int64]
    holds_itself: npt.NDArray[np.bool_]
    last_mutation: npt.NDArray[np.uint64]
    last_time: pa.StringArray
    last_user: pa.StringArray


def index_arrays(labels: Sequence[int], indices: Iterable[Messages]) -> IndexArrays:
    """Of each label and its `LabelIndex`.

    Args:
        indices: some at a time, each its own owner by its place among them.

    Raises:
        DecodeError: bytes that are none.
    """
    parts: list[IndexArrays] = []
    start = 0
    for some in indices:
        end = start + len(some.owners)
        parts.append(_told(labels[start:end], some))
        start = end
    return IndexArrays(
        np.concatenate([part.voxels for part in parts]),
        np.concatenate([part.holds_itself for part in parts]),
        np.concatenate([part.last_mutation for part in parts]),
        pa.concat_arrays([part.last_time for part in parts]),
        pa.concat_arrays([part.last_user for part in parts]),
    )


def _told(labels: Sequence[int], indices: Messages) -> IndexArrays:
    try:
        return _by_steps(labels, indices)
    except (NotPlain, pa.ArrowInvalid):
        return _one_by_one(labels, indices)


def _by_steps(labels: Sequence[int], messages: Messages) -> IndexArrays:
    """Raises NotPlain, ArrowInvalid for a text that is no UTF-8."""
    mutations = np.zeros(len(labels), np.uint64)
    texts = {each: _Texts(messages) for each in (_LAST_MOD_TIME, _LAST_MOD_USER, _LAST_MOD_APP)}
    blocks = [none_of(messages)]
    for field in fields(messages):
        if field.tag == _BLOCKS:
            blocks.append(field.messages())
        elif field.tag == _LAST_MUTID:
            mutations[field.owners] = field.values
        elif field.tag in texts:
            texts[field.tag].take(field.messages())
    counts = inner(inner(together(blocks), _BLOCK_VALUE), _SV_COUNTS)
    supervoxels, voxels = _entries(counts)
    sums = np.zeros(len(labels), np.int64)
    np.add.at(sums, counts.owners, voxels)
    of_itself = supervoxels == np.array(labels, np.uint64)[counts.owners]
    holds_itself = np.zeros(len(labels), np.bool_)
    holds_itself[counts.owners[of_itself]] = True
    # All texts are read: an index with one that is none is broken.
    told = {each: text.array() for each, text in texts.items()}
    return IndexArrays(sums, holds_itself, mutations, told[_LAST_MOD_TIME], told[_LAST_MOD_USER])


def _entries(counts: Messages) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Supervoxel and voxels of each."""
    found = {each: np.zeros(len(counts.owners), np.uint64) for each in (_ENTRY_KEY, _ENTRY_VALUE)}
    for field in fields(replace(counts, owners=np.arange(len(counts.owners)))):
        if field.tag in found:
            found[field.tag][field.owners] = field.values
    return found[_ENTRY_KEY], (found[_ENTRY_VALUE] & _VOXELS).astype(np.int64)


class _Texts:
    """A text of each message; empty until it is taken."""

    def __init__(self, of: Messages) -> None:
        self._content = of.content
        self._starts = np.zeros(len(of.owners), np.int64)
        self._ends = np.zeros(len(of.owners), np.int64)
        self._has_one = np.zeros(len(of.owners), np.bool_)
        self._taken = 0

    def take(self, found: Messages) -> None:
        self._starts[found.owners] = found.starts
        self._ends[found.owners] = found.ends
        self._has_one[found.owners] = True
        self._taken += len(found.owners)

    def array(self) -> pa.StringArray:
        """Raises ArrowInvalid; NotPlain where one message has two, of which each must be a text."""
        if self._taken != np.count_nonzero(self._has_one):
            raise NotPlain
        lengths = self._ends - self._starts
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(self._starts - offsets[:-1], lengths)
        buffers = [pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(self._content[places])]
        array = pa.StringArray.from_buffers(len(lengths), *buffers)
        array.validate(full=True)
        return array


def _one_by_one(labels: Sequence[int], indices: Messages) -> IndexArrays:
    """Raises DecodeError."""
    voxels, holds_itself, mutations, times, users = [], [], [], [], []
    places = zip(labels, indices.starts.tolist(), indices.ends.tolist(), strict=True)
    for label, start, end in places:
        index = protobuf.label_index(indices.content[start:end].tobytes())
        counts = [count for block in index.blocks for count in block.value.counts]
        voxels.append(sum([count.value for count in counts]))
        holds_itself.append(label in [count.key for count in counts])
        mutations.append(index.last_mutid)
        times.append(index.last_mod_time)
        users.append(index.last_mod_user)
    return IndexArrays(
        np.array(voxels, np.int64),
        np.array(holds_itself, np.bool_),
        np.array(mutations, np.uint64),
        pa.array(times, pa.string()),
        pa.array(users, pa.string()),
    )
