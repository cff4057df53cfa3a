"""How long a client waits, and how much it takes, until it gives up."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB, GIB = 2**10, 2**20, 2**30

FEW = MIB
"""Bytes of an answer of some numbers and names."""

REPO = 256 * MIB
"""Bytes of what a server says of a repo: all its versions with their notes and logs, and its instances."""

MANY = 512 * MIB
"""Bytes of any other answer that is taken whole: label indices, sparse volumes, a batch of values."""

VALUE = 2 * GIB
"""Bytes of a value. DVID's default store takes half of it."""

STREAMED = 1024 * GIB
"""Bytes of an answer that is worked on as it comes."""

REFUSAL = MIB
"""Bytes that are read of an answer that is no success."""

SLOWEST = 32 * KIB
"""Bytes in a second. Whoever is slower for long is not waited for."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds.

    Args:
        unreachable: a read is repeated for so long while nobody, or only a gateway, answers.
        busy: a server that says when to come again is waited for so long, all in all.
        connect: for a connection.
        answer: for an answer, and as much longer as the bytes take at the `SLOWEST` speed. A merge of two
            large bodies can take minutes; giving up earlier would only lose the answer.
        word: who has waited for so long says so, and again each time it has doubled.
        most: bytes of any answer.
    """

    unreachable: float = 20.0
    busy: float = 120.0
    connect: float = 10.0
    answer: float = 900.0
    word: float = 30.0
    most: int = STREAMED
