"""What an operation touches, and thereby what it must wait for.

Two operations that share an exclusive key keep the order of their ranks. Data operations of a version come
after its creation and before its end (the commit); a child is created after its parent's end. Operations that
take ids from one counter go in the order of these ids, as far as everything else allows.
"""

from __future__ import annotations

from dataclasses import dataclass

Key = tuple[str | int, ...]
"""What can be touched: ("body", instance, version, label), ("version", uuid), ("instance", name), …"""

Rank = tuple[int | str, ...]
"""Order among operations that share a key; the ranks of one key must be comparable."""


@dataclass(frozen=True, slots=True)
class Take:
    """Ids taken from a counter, up to `last`; another operation can have taken one between them.

    `segment` counts how often the counter was set back before.
    """

    counter: Key
    segment: int
    last: int


@dataclass(frozen=True, slots=True)
class Claim:
    """All that ordering needs to know of one operation.

    Args:
        keys: touched exclusively, ordered by `rank`.
        rank: the place among operations that share a key.
        log_order: the place in the log, for ties.
        needs: must have been created before, if its creation is among the operations.
        inside: must not have ended before; what ends it waits.
        creates, ends: what begins or ends with this operation.
        after_end: what must have ended before.
        take: the ids it takes from a counter.
        changes: what it changes together with many others, such as the bodies of a version. It gives these no
            order among themselves.
        goes_before: operations that change one of these (see `changes`) wait for this one, except those that
            it waits for itself.
    """

    keys: tuple[Key, ...]
    rank: Rank
    log_order: Rank
    needs: tuple[Key, ...] = ()
    inside: Key | None = None
    creates: Key | None = None
    ends: Key | None = None
    after_end: Key | None = None
    take: Take | None = None
    changes: Key | None = None
    goes_before: tuple[Key, ...] = ()
