"""What else a run that stops could not do: what depends on that at which it stops, and what people changed
further on. It is what a run that leaves such events out would list of the same batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.destinations.dvid_server.planner import Sides
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import NewInstance, NewVersion
from dvidsync_dagster.plan.outcome import Refusal


def refused_beyond(
    steps: Sequence[Step], refused: Collection[Event], sides: Sides, source: RepoInfo, there: RepoInfo
) -> Iterator[tuple[Event, Refusal]]:
    """What of steps would be refused, and why.

    Args:
        steps: that the run has not come to.
        refused: the events at which it stops.
        source, there: the repo at both servers, now.
    """
    lacking = _Lacking(source, there, refused)
    by_type: dict[str, list[Step]] = {}
    for step in sorted(steps, key=lambda step: step.events[0].origin):
        why = lacking.why(step, sides[step.command.typename].needs_version(step))
        if why is not None:
            yield from ((event, why(part)) for part, event in enumerate(step.answering))
        elif step.command.instance in there.instances:
            # Nobody can have changed an instance that is still to be made.
            by_type.setdefault(step.command.typename, []).append(step)
    for typename, own in by_type.items():
        yield from sides[typename].refused_beyond(own, refused, lacking.shown_by)


class _Lacking:
    """Which versions and instances the destination lacks, and will lack."""

    def __init__(self, source: RepoInfo, there: RepoInfo, refused: Collection[Event]) -> None:
        self._source = source
        self._there = there.versions
        self._made: set[str] = set()
        self._refused = {_maker(event): str(event.origin) for event in refused}

    def why(self, step: Step, needs_version: bool) -> Callable[[int], Refusal] | None:
        """Why a step would be refused; None if it would be done. Later steps then have the versions that it
        makes."""
        version, instance = step.command.version, step.command.instance
        if needs_version and version and not (version in self._there or version in self._made):
            cause = self._refused.get(("version", version), "")
            found = lacks_version(version)
        elif ("instance", instance) in self._refused:
            cause, found = self._refused["instance", instance], f"instance {instance} is not there"
        else:
            self._made |= {event.child for event in step.events if isinstance(event, NewVersion)}
            return None
        self._refused |= {_maker(event): str(event.origin) for event in step.events}
        return lambda part: Refusal(part, found, cause=cause)

    def shown_by(self, version: str) -> str:
        """The version itself if the destination has it, else its nearest ancestor there: a version that is
        still to be made begins as that one is."""
        while version not in self._there:
            parents = self._source.parents(version)
            if not parents:
                break
            version = parents[0]
        return version


def lacks_version(version: str) -> str:
    return f"version {version} is not there; `dvidsync repair` makes it, with all that belongs to it"


def _maker(event: Event) -> tuple[str, str]:
    """What an event would have made."""
    if isinstance(event, NewVersion):
        return "version", event.child
    return ("instance", event.name) if isinstance(event, NewInstance) else ("", "")
