"""DVID's own form of a block of labels: sub-blocks of 8³ voxels, each with the few labels that it has.

After the numbers of sub-blocks along x, y, z and of labels (uint32) come the labels (uint64). Of two or
more there follow, for each sub-block: how many labels it has (uint16); which (uint32, places in the
list); and a small number per voxel, in as many bits as needed, the highest bit first.
"""

from __future__ import annotations

import struct

import numpy as np

from dvid_sandbox.blocks import Block
from dvid_sandbox.exchange import Lacking, Refused

SUB_EDGE = 8
SUB_VOXELS = SUB_EDGE**3
_HEADER = struct.Struct("<4I")
_BITS = tuple((number - 1).bit_length() for number in range(1, SUB_VOXELS + 1))


def write_block(block: Block) -> bytes:
    along = block.edge // SUB_EDGE
    header = _HEADER.pack(along, along, along, len(block.palette)) + block.palette.astype("<u8").tobytes()
    if len(block.palette) == 1:
        return header
    counts, places, values = [], [], []
    for sub_block in _sub_blocks(block.voxels, along):
        present, numbers = np.unique(sub_block, return_inverse=True)
        counts.append(len(present))
        places.append(present.astype("<u4"))
        bits = _BITS[len(present) - 1]
        shifts = np.arange(bits - 1, -1, -1)
        values.append(np.packbits((numbers.reshape(-1, 1) >> shifts) & 1))
    sizes = np.array(counts, "<u2").tobytes()
    return header + sizes + np.concatenate(places).tobytes() + np.concatenate(values).tobytes()


def read_block(content: bytes, edge: int) -> Block:
    """A block of so many voxels along its edge.

    Raises:
        Refused: it is none.
        Lacking: it has another size.
    """
    try:
        *along, number = _HEADER.unpack_from(content)
        palette = np.frombuffer(content, "<u8", number, _HEADER.size).astype(np.uint64)
        if along != [edge // SUB_EDGE] * 3:
            raise Lacking(f"blocks of {along} sub-blocks in an instance with blocks of {edge} voxels")
        if number <= 1:
            one = palette if number else np.zeros(1, np.uint64)
            return Block(one, np.zeros(edge**3, np.uint8), edge)
        voxels = _read_voxels(content, _HEADER.size + 8 * number, along[0])
        if voxels.max() >= number:
            raise Refused(f"block has {number} labels, but its voxels refer to more")
    except (struct.error, ValueError) as error:
        raise Refused(f"unable to deserialize label block: {error}") from None
    return Block.of(palette[voxels].reshape(edge, edge, edge))


def _read_voxels(content: bytes, start: int, along: int) -> np.ndarray:
    """Places in the list of labels, indexed z, y, x and flat."""
    counts = np.frombuffer(content, "<u2", along**3, start)
    start += 2 * len(counts)
    total = int(counts.sum())
    places = np.frombuffer(content, "<u4", total, start)
    bits = np.unpackbits(np.frombuffer(content, np.uint8, offset=start + 4 * total))
    result = np.zeros((along**3, SUB_VOXELS), np.int64)
    place = bit = 0
    for number, count in enumerate(counts.tolist()):
        own = places[place : place + count]
        width = _BITS[count - 1] if count else 0
        if width:
            chosen = bits[bit : bit + SUB_VOXELS * width].reshape(SUB_VOXELS, width)
            result[number] = own[chosen @ (1 << np.arange(width - 1, -1, -1))]
        elif count:
            result[number] = own[0]
        place += count
        bit += SUB_VOXELS * width
    cubes = result.reshape(along, along, along, SUB_EDGE, SUB_EDGE, SUB_EDGE)
    return cubes.transpose(0, 3, 1, 4, 2, 5).reshape(-1)


def _sub_blocks(voxels: np.ndarray, along: int) -> np.ndarray:
    """One row of voxels for each sub-block."""
    cubes = voxels.reshape(along, SUB_EDGE, along, SUB_EDGE, along, SUB_EDGE)
    return cubes.transpose(0, 2, 4, 1, 3, 5).reshape(-1, SUB_VOXELS)
