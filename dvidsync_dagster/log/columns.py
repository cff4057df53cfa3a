"""Columns of tables from memory: pyarrow loads pandas to look at a list, which takes most of a second."""

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


def contents(kind: pa.DataType, ends: str, own: Sequence[bytes]) -> pa.Array:
    """A column of texts or bytes. `ends` is the type code of its offsets."""
    offsets = array(ends, accumulate(map(len, own), initial=0))
    return pa.Array.from_buffers(kind, len(own), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(own))])
