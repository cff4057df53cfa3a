"""What the repairs of all data types have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.items import Found
from dvidsync_dagster.differences.work import ChangeKind, Work

SINCE_NOW = 1 << 62
"""Of a change that is still to come (ns since 1970)."""


def refused_among(
    found: Found, steps: Sequence[Step], items: Sequence[Sequence[Any]], try_out: CarryOut
) -> npt.NDArray[np.bool_]:
    """Which of the items are left alone by steps of which each changes some of them, one in each part."""
    refused = {
        own[refusal.part]
        for own, outcome in zip(items, try_out(steps), strict=True)
        for refusal in outcome.refusals
    }
    return np.fromiter((key in refused for key in found.keys.tolist()), bool, len(found))


def carry_out_or_leave(
    steps: Sequence[Step],
    items: Sequence[Sequence[Any]],
    kind: ChangeKind,
    work: Work,
    carry_out: CarryOut,
    *,
    advice: str = "",
    version: str | None = None,
    item_is_part: bool = False,
) -> bool:
    """Carry out steps, and note what was refused as not repaired. True if nothing was.

    Args:
        items: for each step what it changes.
        advice: what can be done then, as a sentence.
        version: to note it under, if not under that of the command.
        item_is_part: each item is one part of its command: others can be done though it is refused.

    Raises ServerError, OwnershipLost.
    """
    outcomes = carry_out(steps)
    for step, own, outcome in zip(steps, items, outcomes, strict=True):
        if outcome.refusals:
            found = "; ".join(dict.fromkeys(refusal.found for refusal in outcome.refusals))
            why = f"{found}. {advice}" if advice else found
            where = step.command.version if version is None else version
            parts = sorted({refusal.part for refusal in outcome.refusals})
            left = [own[part] for part in parts] if item_is_part else own
            work.refused(where, step.command.instance, kind, left, why)
    return not any(outcome.refusals for outcome in outcomes)
