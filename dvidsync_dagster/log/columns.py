"""Columns of tables to memory and back.

pyarrow loads pandas to look at a list, and hundreds of functions to look for what is null or alike. Each of
these takes a good part of a second, which most runs do without.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = array[int] | npt.NDArray[Any]


def numbers(kind: pa.DataType, own: Numbers, valid: npt.NDArray[np.uint8] | None = None) -> pa.Array:
    """A column of numbers, which are held as the kind holds them.

    Args:
        valid: a bit for each, the lowest first; without it the number is null. None: all have it.
    """
    bits = None if valid is None else pa.py_buffer(valid)
    return pa.Array.from_buffers(kind, len(own), [bits, pa.py_buffer(own)])


def numbers_of(column: pa.ChunkedArray, kind: type[np.generic]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The numbers of a column, and for each whether it is there; where it is null, any number stands."""
    import numpy as np

    count = len(column)
    if not count:
        return np.empty(0, kind), np.empty(0, np.bool_)
    whole = column.combine_chunks()
    bits, content = whole.buffers()
    span = slice(whole.offset, whole.offset + count)
    there = np.ones(count, np.bool_)
    if bits is not None:
        there = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[span].astype(np.bool_)
    return np.frombuffer(content, kind)[span], there


def contents(kind: pa.DataType, ends: str, own: Sequence[bytes]) -> pa.Array:
    """A column of texts or bytes. `ends` is the type code of its offsets."""
    offsets = array(ends, accumulate(map(len, own), initial=0))
    return pa.Array.from_buffers(kind, len(own), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(own))])


def few_texts(texts: Sequence[str], places: Numbers) -> pa.DictionaryArray:
    """A column in which a few texts stand again and again.

    Args:
        places: of each in `texts`, with 32 bits.
    """
    names = contents(pa.string(), "i", [text.encode() for text in texts])
    return pa.DictionaryArray.from_arrays(numbers(pa.int32(), places), names)


def few_texts_of(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int32]]:
    """The texts of such a column, and the place of each in them."""
    import numpy as np

    if not len(column):
        return [], np.empty(0, np.int32)
    whole = column.combine_chunks()
    places, _ = numbers_of(pa.chunked_array([whole.indices]), np.int32)
    return whole.dictionary.to_pylist(), places
