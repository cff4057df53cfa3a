"""What the repo's own events touch."""

from __future__ import annotations

from dvidsync_dagster.events.repo import Commit, NewInstance, NewVersion, RepoEvent
from dvidsync_dagster.plan.claims import Claim, Key


def version_key(uuid: str) -> Key:
    return ("version", uuid)


def claim(event: RepoEvent) -> Claim:
    """A child is made after its parent's commit; notes, logs and the commit of a version keep their order."""
    origin = event.origin
    order = (origin.key_ns, origin.topic, origin.partition, origin.offset)
    version = version_key(event.version)
    match event:
        case NewVersion():
            child = version_key(event.child)
            return Claim((), order, order, needs=(version,), creates=child, after_end=version)
        case NewInstance():
            # One after the other, as they can be synced to each other, and while the version takes settings.
            return Claim(
                (("instances",),),
                order,
                order,
                needs=(version,),
                inside=version,
                creates=("instance", event.name),
            )
        case Commit():
            return Claim((("state", event.version),), order, order, needs=(version,), ends=version)
    return Claim((("state", event.version),), order, order, needs=(version,))
