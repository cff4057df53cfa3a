"""The tag that every repeated label operation leaves at the destination.

It stands in `app` (docs/dvid.md, "Tags in app"): ``neu3+dvidsync@1000000104``, the source's app and
MutationID; after a source was restored from a backup and counts its ids again,
``neu3+dvidsync@1795411081.1000000104`` with the era in seconds.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"\+dvidsync@(?:(\d{1,19})\.)?(\d{1,20})$")

NANOSECONDS = 1_000_000_000


def tagged(app: str, rank: tuple[int, int]) -> str:
    """`app` with the tag of an operation. `rank` is its era (ns since 1970, or 0) and mutation id."""
    era, mutation_id = rank
    name = f"{era // NANOSECONDS}.{mutation_id}" if era else str(mutation_id)
    return f"{app}+dvidsync@{name}"


def rank_of(app: str) -> tuple[int, int] | None:
    """Era and mutation id from an `app` that carries a tag, else None."""
    match = _TAG.search(app)
    if match is None:
        return None
    era, mutation_id = match.groups()
    return (int(era or 0) * NANOSECONDS, int(mutation_id))
