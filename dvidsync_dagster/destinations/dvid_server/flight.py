"""Running a graph of steps with a bounded number of requests in flight."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from queue import SimpleQueue

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.plan.outcome import Outcome


def heights(steps: Sequence[Step]) -> list[int]:
    """For each step the length of the longest chain that waits for it: what to start first."""
    followers = _followers(steps)
    waiting = [len(after) for after in followers]
    height = [0] * len(steps)
    done = [index for index, count in enumerate(waiting) if count == 0]
    while done:
        index = done.pop()
        for before in steps[index].waits_for:
            height[before] = max(height[before], height[index] + 1)
            waiting[before] -= 1
            if waiting[before] == 0:
                done.append(before)
    return height


def run_steps(
    steps: Sequence[Step],
    do: Callable[[int], Outcome],
    *,
    pool: Executor,
    in_flight: int,
    put_off: Callable[[int], Collection[int]],
    settled: Callable[[int, Outcome], None],
) -> None:
    """Do every step, each when all that it waits for is done, at most `in_flight` at a time.

    Args:
        do: does a step (by index), in a thread of `pool`.
        put_off: for a refused step, the steps after which it should be tried once more.
        settled: told of each final outcome, in the calling thread; what it raises ends the flight.

    Whatever ends the flight, an error or an interruption, waits until nothing is in flight anymore.
    """
    followers = _followers(steps)
    missing = [len(step.waits_for) for step in steps]
    height = heights(steps)
    ready = [(-height[index], index) for index, count in enumerate(missing) if count == 0]
    heapq.heapify(ready)
    finished: SimpleQueue[tuple[int, Future[Outcome]]] = SimpleQueue()
    running: set[int] = set()
    again: dict[int, set[int]] = {}
    tried: set[int] = set()
    released: set[int] = set()

    def release(index: int) -> None:
        if index in released:
            return
        released.add(index)
        for later in followers[index]:
            missing[later] -= 1
            if missing[later] == 0:
                heapq.heappush(ready, (-height[later], later))

    def land() -> tuple[int, Future[Outcome]]:
        index, future = finished.get()
        running.discard(index)
        return index, future

    def start(index: int) -> None:
        running.add(index)
        future = pool.submit(do, index)
        future.add_done_callback(lambda done: finished.put((index, done)))

    try:
        while ready or running:
            while ready and len(running) < in_flight:
                start(heapq.heappop(ready)[1])
            index, future = land()
            outcome = future.result()
            if outcome.refusals and index not in tried:
                tried.add(index)
                after = set(put_off(index)) - {index}
                if after:
                    again[index] = after
                    release(index)
                    continue
            settled(index, outcome)
            release(index)
            for other in [other for other, after in again.items() if index in after]:
                again[other].discard(index)
                if not again[other]:
                    del again[other]
                    heapq.heappush(ready, (-height[other], other))
        if len(released) < len(steps):
            stuck = next(index for index in range(len(steps)) if index not in released)
            raise RuntimeError(f"steps wait for each other, the first of them: {steps[stuck].command!r}")
    finally:
        while running:
            land()


def _followers(steps: Sequence[Step]) -> list[list[int]]:
    followers: list[list[int]] = [[] for _ in steps]
    for index, step in enumerate(steps):
        for before in step.waits_for:
            followers[before].append(index)
    return followers
