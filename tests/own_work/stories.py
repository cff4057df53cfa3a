"""What happens in a world, one thing after the other."""

from __future__ import annotations

from tests.own_work.server import Done
from tests.own_work.world import World


def leave_out(world: World, *, rounds: int) -> None:
    """Runs leave out what they cannot do. Some are killed, some go on from an earlier checkpoint."""
    random = world.random
    for _ in range(rounds):
        for _ in range(random.randint(2, 10)):
            roll = random.random()
            if roll < 0.6:
                world.source_works()
            elif roll < 0.85:
                world.trainee_works()
            else:
                world.practise()
        roll = random.random()
        world.choose()
        if roll < 0.25:
            world.killed()
            world.choose()
        elif roll < 0.35:
            world.set_back()
        world.run()


def stop(world: World, *, rounds: int) -> None:
    """Runs stop at what they cannot do, until it is repaired."""
    random = world.random
    for _ in range(rounds):
        for _ in range(random.randint(2, 8)):
            roll = random.random()
            if roll < 0.7:
                world.source_works()
            elif roll < 0.8:
                world.trainee_works()
            else:
                world.practise()
        _stop(world)


def _stop(world: World) -> None:
    world.choose()
    rows = world.stops()
    if not rows:
        return
    world.count("stops")
    known = len(world.log)
    again = world.stops()
    # So that a restart leaves a gap of ids, the source may have done something in between.
    later = {event.number for event in world.log[known:] if isinstance(event, Done)}
    assert {row.name for row in again if row.mutation_id not in later} == {row.name for row in rows}
    stuck = world.random.random() < 0.5
    if not stuck:
        world.on_conflict = "skip"
        left_out = world.follow()
        world.followed(left_out)
        assert {row.name for row in rows} <= {row.name for row in left_out}
    world.mend(stuck=stuck)
    world.on_conflict = "stop"
    world.run()
