"""What two servers hold, compared: the tag that a run puts behind the app does not count."""

from __future__ import annotations

from dvid_sandbox import state
from dvid_sandbox.state import State, contradictions, read_state

__all__ = ["State", "contradictions", "differences", "read_state"]


def differences(a: State, b: State, *, ignore_times: bool = True, next_labels: bool = True) -> list[str]:
    """As `dvid_sandbox.state.differences`, without these tags."""
    return state.differences(
        _without_tags(a), _without_tags(b), ignore_times=ignore_times, next_labels=next_labels
    )


def _without_tags(found: State) -> State:
    return {**found, "data": {place: _untagged(held) for place, held in found["data"].items()}}


def _untagged(held: State) -> State:
    """A labelmap that was read with its indices, without tags; anything else as it is."""
    if "supervoxels" not in held or "lastmod" not in held:
        return held
    lastmod = {
        label: [user, app.split("dvidsync@")[0].removesuffix("+")]
        for label, (user, app) in held["lastmod"].items()
    }
    return {**held, "lastmod": lastmod}
