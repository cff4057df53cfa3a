"""A source and a copy of it, with a real Kafka between: the stage on which a sync can be tried.

By hand: ``python -m tests.real.harness --dvid PATH --seed 5 --ops 500 --people 4 --keep``
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvid_sandbox.proofreaders import WEIGHTS, Exchange, Proofreaders, Repo, make_repo
from dvid_sandbox.real_server import RealServer
from tests.real_kafka import RealKafka
from tests.state import State, contradictions, differences, read_state


@dataclass
class Stage:
    """Two running servers that held the same when the copy was made, and the people at the source."""

    kafka: str
    source: RealServer
    destination: RealServer
    repo: Repo
    people: Proofreaders
    topic_prefix: str
    copied_at: float
    """Seconds since 1970, before the source went on."""

    @property
    def root(self) -> str:
        return self.repo.root

    def work(self, count: int) -> list[Exchange]:
        """Let the people do so much at the source.

        Raises:
            AssertionError: the server refused something that it should take, or the other way round.
        """
        before = len(self.people.unexpected)
        done = self.people.work(count)
        unexpected = self.people.unexpected[before:]
        if unexpected:
            raise AssertionError("\n".join(map(str, unexpected[:10])))
        return done

    def flush(self) -> None:
        """Restart the source, which hands all its messages over to Kafka first."""
        self.source.restart()

    def states(self, instances: Iterable[str] | None = None) -> tuple[State, State]:
        """What source and destination hold, label indices included."""
        one, other = (
            read_state(server.url, self.root, server.admin_token, indices=True, instances=instances)
            for server in (self.source, self.destination)
        )
        return one, other

    def differences(self, *, instances: Iterable[str] | None = None, next_labels: bool = True) -> list[str]:
        """What differs between source (first) and destination (second), or contradicts itself there."""
        one, other = self.states(instances)
        found = differences(one, other, ignore_times=False, next_labels=next_labels)
        ghosts = contradictions(one)
        found += [line for line in contradictions(other) if line not in ghosts]
        return found + [
            f"destination's mutation log is broken: {name}" for name in self.destination.broken_logs()
        ]

    def assert_same(self, *, instances: Iterable[str] | None = None, next_labels: bool = True) -> None:
        """Versions, labels, voxels, mapping, users, counters and records are the source's.

        Args:
            instances: only these, beside the versions.
            next_labels: the label counters too.
        """
        found = self.differences(instances=instances, next_labels=next_labels)
        assert not found, "\n".join(found)


@contextmanager
def stage(
    folder: Path,
    *,
    kafka: str | None = None,
    seed: int = 0,
    people: int = 1,
    shared: bool = False,
    weights: Mapping[str, float] | None = None,
    size: int = 128,
    cube: int = 8,
    synced: bool = False,
    before: int = 0,
    max_versions: int = 8,
    destination_publishes: bool = False,
) -> Iterator[Stage]:
    """A source with a repo, and a destination that is a copy of its folder; both run.

    Args:
        folder: for the servers, and for a Kafka if none is given.
        kafka: the address of a running broker; one is started here if there is none.
        seed, people, shared, weights, max_versions: of the `Proofreaders`. The split endpoint is on.
        size, cube, synced: of `make_repo`.
        before: how much the people do before the copy is made.
        destination_publishes: to the same Kafka, with another prefix.
    """
    with ExitStack() as stack:
        if kafka is None:
            kafka = stack.enter_context(RealKafka.start(folder / "kafka")).address
        prefix = f"source-{os.getpid()}-{time.time_ns()}-"
        source = stack.enter_context(
            RealServer.start(folder / "source", kafka=kafka, topic_prefix=prefix, split_endpoint=True)
        )
        repo = make_repo(source.url, source.admin_token, size=size, cube=cube, synced=synced)
        crowd = stack.enter_context(
            Proofreaders(
                source.url,
                repo.root,
                seed=seed,
                people=people,
                shared=shared,
                weights=weights,
                admin_token=source.admin_token,
                max_versions=max_versions,
            )
        )
        crowd.work(before)
        with source.stopped():
            copy = source.copy_to(folder / "destination")
            copied_at = time.time()
        destination = stack.enter_context(
            RealServer.start(
                copy,
                kafka=kafka if destination_publishes else None,
                topic_prefix=f"copy-{prefix}" if destination_publishes else "",
            )
        )
        yield Stage(kafka, source, destination, repo, crowd, prefix, copied_at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dvid", help="the DVID binary; DVID_BIN by default")
    parser.add_argument("--kafka", help="the address of a running broker; one is started by default")
    parser.add_argument("--folder", type=Path, help="for the servers; a temporary one by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ops", type=int, default=500, help="after the copy was made")
    parser.add_argument("--before", type=int, default=0, help="before the copy was made")
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--shared", action="store_true", help="all work on all bodies, at different times")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--cube", type=int, default=8)
    parser.add_argument("--weight", action="append", default=[], metavar="KIND=SHARE")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    options = parser.parse_args()
    if options.dvid:
        os.environ["DVID_BIN"] = options.dvid
    given = (weight.split("=") for weight in options.weight)
    weights = {**WEIGHTS, **{kind: float(share) for kind, share in given}}
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        began = time.monotonic()
        scene = stack.enter_context(
            stage(
                folder,
                kafka=options.kafka,
                seed=options.seed,
                people=options.people,
                shared=options.shared,
                weights=weights,
                size=options.size,
                cube=options.cube,
                before=options.before,
            )
        )
        print(f"up in {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        done = scene.work(options.ops)
        took = time.monotonic() - began
        print(f"{options.ops} pieces of work, {len(done)} requests in {took:.1f} s")
        for name, value in (
            ("source", scene.source.url),
            ("destination", scene.destination.url),
            ("admin token", scene.source.admin_token),
            ("root", scene.root),
            ("kafka", scene.kafka),
            ("topic prefix", scene.topic_prefix),
            ("copied at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at))),
            ("folder", folder),
        ):
            print(f"{name:12} {value}")
        if options.keep:
            ended = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: ended.set())
            print("running until Ctrl-C", flush=True)
            ended.wait()


if __name__ == "__main__":
    main()
