"""Many indices at once tell the same as each one of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.dvid import protobuf_arrays
from dvidsync_dagster.dvid.index_arrays import index_arrays
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex, SVCount
from dvidsync_dagster.dvid.protobuf import DecodeError
from dvidsync_dagster.dvid.protobuf_arrays import joined

LABELS = st.one_of(st.integers(1, 9), st.integers(0, 2**64 - 1))
TEXTS = st.text(max_size=9)
COUNTS = st.lists(st.builds(SVCount.Entry, key=LABELS, value=st.integers(0, 2**32 - 1)), max_size=4)
BLOCKS = st.lists(
    st.builds(LabelIndex.Block, key=LABELS, value=st.builds(SVCount, counts=COUNTS, surface_mutid=LABELS)),
    max_size=3,
)
INDICES = st.builds(
    LabelIndex,
    blocks=BLOCKS,
    label=LABELS,
    last_mutid=LABELS,
    last_mod_time=TEXTS,
    last_mod_user=TEXTS,
    last_mod_app=TEXTS,
)
LARGE = LabelIndex(
    blocks=[
        LabelIndex.Block(key=number, value=SVCount(counts=[SVCount.Entry(key=number % 7, value=number)]))
        for number in range(300)
    ],
    last_mutid=5,
    last_mod_user="amy",
)


def told(labels: Sequence[int], contents: Sequence[bytes]) -> list[tuple[object, ...]]:
    """What protobuf tells of each."""
    rows: list[tuple[object, ...]] = []
    for label, index in zip(labels, map(LabelIndex.FromString, contents), strict=True):
        counts = [count for block in index.blocks for count in block.value.counts]
        voxels = sum(count.value for count in counts)
        holds_itself = label in [count.key for count in counts]
        rows.append((voxels, holds_itself, index.last_mutid, index.last_mod_time, index.last_mod_user))
    return rows


def read(labels: Sequence[int], contents: Sequence[bytes], few: int = 50) -> list[tuple[object, ...]]:
    """What is read. Up to `few` are read one by one."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(protobuf_arrays, "_FEW", few)
        half = len(contents) // 2
        arrays = index_arrays(labels, [joined(contents[:half]), joined(contents[half:])])
    return list(
        zip(
            arrays.voxels.tolist(),
            arrays.holds_itself.tolist(),
            arrays.last_mutation.tolist(),
            arrays.last_time.to_pylist(),
            arrays.last_user.to_pylist(),
            strict=True,
        )
    )


@given(st.lists(st.tuples(LABELS, st.one_of(INDICES, st.just(LARGE)))), st.integers(0, 5))
def test_they_tell_what_each_tells(indices: list[tuple[int, LabelIndex]], few: int) -> None:
    labels = [label for label, _ in indices]
    contents = [index.SerializeToString() for _, index in indices]
    assert read(labels, contents, few) == told(labels, contents)


@given(st.lists(INDICES, min_size=1, max_size=3), st.sampled_from([0, 5]), st.data())
def test_broken_ones_are_what_protobuf_says_they_are(
    indices: list[LabelIndex], few: int, data: st.DataObject
) -> None:
    """Bytes of one are changed, cut off or doubled, or are any."""
    contents = [index.SerializeToString() for index in indices]
    whole = contents[-1]
    cut = data.draw(st.integers(0, len(whole)))
    contents[-1] = data.draw(
        st.one_of(
            st.just(whole[:cut]),
            st.just(whole + whole[cut:]),
            st.just(whole + whole),
            st.binary(max_size=3).map(lambda other: whole[:cut] + other + whole[cut + len(other) :]),
            st.binary(max_size=30),
        )
    )
    labels = list(range(1, len(contents) + 1))
    try:
        expected = told(labels, contents)
    except DecodeError:
        with pytest.raises(DecodeError):
            read(labels, contents, few)
    else:
        assert read(labels, contents, few) == expected


def test_fields_that_nobody_knows_are_left_out() -> None:
    more = LabelIndex(last_mutid=7, last_mod_user="amy").SerializeToString()
    # Fields 15 to 18: a number, eight bytes, text, four bytes.
    more += b"\x78\x01" + b"\x81\x01" + bytes(8) + b"\x8a\x01\x02hi" + b"\x95\x01" + bytes(4)
    assert read([1], [more]) == [(0, False, 7, "", "amy")]
