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
    settled: Callable[[int, Outcome], bool],
) -> None:
    """Do every step, each when all that it waits for is done, at most `in_flight` at a time.

    Args:
        do: does a step (by index), in a thread of `pool`.
        put_off: for a refused step, the steps after which it should be tried once more.
        settled: told of each final outcome, in the calling thread; what it raises ends the flight. If it says
            False, what waits for the step is not done.

    Whatever ends the flight, an error or an interruption, waits until nothing is in flight anymore.
    """
    flight = _Flight(do, pool)
    waiting = _Waiting(steps)
    try:
        while waiting.ready or flight.running:
            while waiting.ready and len(flight.running) < in_flight:
                flight.start(waiting.next())
            index, outcome = flight.land()
            if outcome.refusals and waiting.is_put_off(index, put_off):
                continue
            if settled(index, outcome):
                waiting.done(index)
            else:
                waiting.stop()
        waiting.check()
    finally:
        while flight.running:
            flight.wait()


class _Flight:
    """The steps that are under way."""

    def __init__(self, do: Callable[[int], Outcome], pool: Executor) -> None:
        self.running: set[int] = set()
        self._do = do
        self._pool = pool
        self._finished: SimpleQueue[tuple[int, Future[Outcome]]] = SimpleQueue()

    def start(self, index: int) -> None:
        self.running.add(index)
        future = self._pool.submit(self._do, index)
        future.add_done_callback(lambda done: self._finished.put((index, done)))

    def wait(self) -> tuple[int, Future[Outcome]]:
        """The next step that ends, however it ends."""
        index, future = self._finished.get()
        self.running.discard(index)
        return index, future

    def land(self) -> tuple[int, Outcome]:
        """The next step that ends. Raises what it raised."""
        index, future = self.wait()
        return index, future.result()


class _Waiting:
    """The steps that are still to be started, and what each waits for."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._followers = _followers(steps)
        self._missing = [len(step.waits_for) for step in steps]
        self._height = heights(steps)
        self.ready = [
            (-self._height[index], index) for index, count in enumerate(self._missing) if count == 0
        ]
        heapq.heapify(self.ready)
        self._again: dict[int, set[int]] = {}
        self._tried: set[int] = set()
        self._released: set[int] = set()
        self._is_stopped = False

    def next(self) -> int:
        return heapq.heappop(self.ready)[1]

    def is_put_off(self, index: int, put_off: Callable[[int], Collection[int]]) -> bool:
        """Whether a step that was refused for the first time is tried again after some that follow it. What
        waits for it goes on."""
        if index in self._tried:
            return False
        self._tried.add(index)
        after = set(put_off(index)) - {index}
        if not after:
            return False
        self._again[index] = after
        self._release(index)
        return True

    def done(self, index: int) -> None:
        self._release(index)
        for other in [other for other, after in self._again.items() if index in after]:
            self._again[other].discard(index)
            if not self._again[other]:
                del self._again[other]
                self._push(other)

    def stop(self) -> None:
        """Some steps will never be started."""
        self._is_stopped = True

    def check(self) -> None:
        """Raises RuntimeError if steps were never started, and should have been."""
        if not self._is_stopped and len(self._released) < len(self._steps):
            stuck = next(index for index in range(len(self._steps)) if index not in self._released)
            command = self._steps[stuck].command
            raise RuntimeError(f"steps wait for each other, the first of them: {command!r}")

    def _release(self, index: int) -> None:
        if index in self._released:
            return
        self._released.add(index)
        for later in self._followers[index]:
            self._missing[later] -= 1
            if self._missing[later] == 0:
                self._push(later)

    def _push(self, index: int) -> None:
        heapq.heappush(self.ready, (-self._height[index], index))


def _followers(steps: Sequence[Step]) -> list[list[int]]:
    followers: list[list[int]] = [[] for _ in steps]
    for index, step in enumerate(steps):
        for before in step.waits_for:
            followers[before].append(index)
    return followers
