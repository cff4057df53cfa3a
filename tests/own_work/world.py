"""A source and a destination, people at work at both, and runs that follow: some are killed, some go on from
an earlier checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.destinations.protocol import ConflictRow, StoppedAt
from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.conflict_table import conflict_table_of
from dvidsync_dagster.run.follow import follow
from dvidsync_dagster.run.report import ChunkReport
from tests.datatypes.own_values import Elements, Keys, Neurons, Worker
from tests.datatypes.source_and_destination import TOKEN, SourceAndDestination
from tests.own_work.model import Changed, Destination, Event, InVersion, Item, Made, Value
from tests.own_work.server import LABELS, Bodies, Done, Server
from tests.state import contradictions, read_state

KINDS: dict[str, type[Worker]] = {"keyvalue": Keys, "neuronjson": Neurons, "annotation": Elements}
FEW = 4
"""Items of each kind, so that people meet."""

MOST_RUNS = 5
"""To the end of the log."""

SPARE = (60, 61)
"""Bodies at which nobody works."""

TAG = "+dvidsync@"


@dataclass
class World:
    """What happens is the random numbers' choice.

    Args:
        scene: both servers.
        fields: the configuration, but for what is chosen here.
        all_told: waits until the broker has so many messages of the source, or all.
        restarts: it starts the source again, which leaves mutation ids out.
        counts: how often what was done.
    """

    scene: SourceAndDestination
    fields: dict[str, Any]
    random: Random
    all_told: Callable[[int], object]
    restarts: bool = False
    splits: bool = True
    on_conflict: str = "skip"
    chunk: int = 1000
    apply: str = "replay"
    checkpoint: Checkpoint | None = None
    model: Destination = field(default_factory=Destination)
    open_at_source: list[str] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    history: list[tuple[Checkpoint, int]] = field(default_factory=list)
    log: list[Event] = field(default_factory=list)
    practice: list[str] = field(default_factory=list)
    settled: dict[Item, Any] = field(default_factory=dict)
    did_there: list[Done] = field(default_factory=list)
    number: int = 0
    messages: int = 0
    changed_since_start: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        root = self.scene.root
        self.source = Server(self.scene.source.url, "amy", self.splits)
        self.destination = Server(self.scene.destination.url, "trainee", splits=False)
        bodies = self.source.look(root, range(1, 65))
        self.source.bodies[root] = dict(bodies)
        self.destination.bodies[root] = dict(bodies)
        self.model.versions[root] = InVersion(dict(bodies))
        for item in self._items(root):
            self.model.values[item] = Value()
        self.open_at_source.append(root)
        self.at_source = {kind: each(self.scene, self.scene.source, "amy") for kind, each in KINDS.items()}
        self.there = {
            kind: each(self.scene, self.scene.destination, "trainee") for kind, each in KINDS.items()
        }
        self.run()

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by

    # People at the source

    def source_works(self) -> None:
        version = self.random.choice(self.open_at_source)
        roll = self.random.random()
        if roll < 0.6:
            done = self.source.work_at_labels(version, self.random)
            if done is not None:
                self._happened(done)
        elif roll < 0.93:
            item = self._change(self.at_source, version)
            if item is not None:
                self._happened(Changed(item))
        elif len(self.source.bodies) < 6:
            self._new_version(version)
        self.count("at the source")

    def _new_version(self, version: str) -> None:
        if self.committed and self.random.random() < 0.3:
            parent = self.random.choice(self.committed)
            child = self.source.branch(parent, f"way-{len(self.source.bodies)}")
        else:
            parent = version
            self.source.commit(version)
            self.messages += 1
            self.open_at_source.remove(version)
            self.committed.append(version)
            child = self.source.new_version(version)
        self.open_at_source.append(child)
        self._happened(Made(parent, child))

    def _happened(self, event: Event) -> None:
        self.log.append(event)
        self.model.pending.append(event)
        self.messages += 1
        if isinstance(event, Done):
            self.changed_since_start = True
            # It was announced when it began, too; and a renumber has reserved its id.
            self.messages += 2 if event.kind == "renumber" else 1

    def _change(self, workers: dict[str, Worker], version: str) -> Item | None:
        kind = self.random.choice(sorted(KINDS))
        worker = workers[kind]
        name = self.random.choice(worker.items[:FEW])
        self.number += 1
        own = workers is self.there
        if self.random.random() < 0.25 and (own or worker.announces_deletes):
            if name not in worker.all(version):
                return None
            worker.delete(name, version)
        else:
            worker.put(name, worker.value(self.number), version)
        return version, kind, name

    # People at the destination

    def trainee_works(self) -> None:
        """In a version that is followed."""
        versions = [version for version in self.model.versions if not self._is_locked(version)]
        if not versions:
            return
        version = self.random.choice(versions)
        if self.random.random() < 0.6:
            self.destination.bodies[version] = dict(self.model.versions[version].bodies)
            done = self.destination.work_at_labels(version, self.random)
            if done is not None:
                self.model.own_labels(done)
                self.did_there.append(done)
        else:
            item = self._change(self.there, version)
            if item is not None:
                _, kind, name = item
                self.model.own_value(item, self.there[kind].all(version).get(name))
        self.count("in followed versions")

    def practise(self) -> None:
        """On a branch of the destination's own."""
        if not self.practice or self.random.random() < 0.1:
            locked = [version for version in self.model.versions if self._is_locked(version)]
            if not locked or len(self.practice) > 2:
                return
            parent = self.random.choice(locked)
            self.destination.bodies[parent] = dict(self.model.versions[parent].bodies)
            self.practice.append(self.destination.branch(parent, f"practice-{len(self.destination.bodies)}"))
        version = self.random.choice(self.practice)
        if self.random.random() < 0.7:
            self.destination.work_at_labels(version, self.random)
        else:
            self._change(self.there, version)
        self.count("in practice")

    def _is_locked(self, version: str) -> bool:
        return bool(self._nodes()[version]["Locked"])

    def _nodes(self) -> dict[str, Any]:
        """The versions of the destination."""
        url = f"{self.scene.destination.url}/api/repo/{self.scene.root}/info"
        return dict(self.destination.client.get(url).json()["DAG"]["Nodes"])

    # Runs

    def run(self) -> None:
        """A run, and what must have come of it."""
        rows = self.follow()
        self.followed(rows)

    def followed(self, rows: Collection[ConflictRow], same: Mapping[str, Bodies] | None = None) -> None:
        self.model.followed(*_named(rows, self.there), self.source_items(), same or {})
        self.count("runs")
        self.count("left out", len(rows))
        self.check()
        assert self.checkpoint is not None
        self.history.append((self.checkpoint, len(self.log)))

    def follow(self, kill_after: int | None = None) -> list[ConflictRow]:
        """What a run left out, in the chunks that it ended.

        Args:
            kill_after: it dies between two requests; None: it does not.
        """
        if self.restarts and not self.changed_since_start:
            # Else two restarts leave out more than one does, and runs wait for messages of those ids.
            version = self.open_at_source[0]
            first, second = SPARE
            held = self.source.bodies[version]
            home = next(body for body, supervoxels in held.items() if second in supervoxels)
            if home == first:
                self._happened(self.source.cleave(version, first, [second]))
            else:
                self._happened(self.source.merge(version, first, [home]))
        self.all_told(self.messages)
        self.changed_since_start = False
        rows: list[ConflictRow] = []
        asked = count()

        def still_owner() -> None:
            if kill_after is not None and next(asked) >= kill_after:
                raise OwnershipLost("killed")

        waiting = 1
        for _ in range(MOST_RUNS):
            if not waiting:
                break
            config = self.config()
            reports = follow(
                config, config.destinations[0], checkpoint=self.checkpoint, epoch=1, still_owner=still_owner
            )
            for report in reports:
                rows += report.conflicts
                self.checkpoint = self._kept(report)
                waiting = report.lag_after.records
        assert not waiting, f"{waiting} records are still to come"
        return rows

    def _kept(self, report: ChunkReport) -> Checkpoint:
        return checkpoint_from_json(checkpoint_json(report.checkpoint))

    def config(self) -> SyncConfig:
        destination = {
            **self.fields["destinations"][0],
            "on_conflict": self.on_conflict,
            "apply": self.apply,
            "practice": {"branch": "practice"},
        }
        config = SyncConfig.model_validate({**self.fields, "destinations": [destination]})
        # Fewer than a configuration may have, so that a chunk ends anywhere.
        return config.model_copy(update={"chunk_records": self.chunk})

    def choose(self) -> None:
        """How the next runs go."""
        self.chunk = self.random.choice([3, 10, 30, 1000])
        self.apply = self.random.choice(["replay", "state"])

    def killed(self) -> None:
        """A run dies somewhere. Where it got to is seen from what is there."""
        rows: list[ConflictRow] = []
        before = self.checkpoint
        with suppress(OwnershipLost):
            rows = self.follow(kill_after=self.random.randint(1, 12))
            self.followed(rows)
            return
        self.count("kills")
        assert before is not None
        self.checkpoint = before
        self._see_what_was_done()

    def set_back(self) -> None:
        """The next run goes on from an earlier checkpoint."""
        if len(self.history) < 2:
            return
        checkpoint, at = self.random.choice(self.history[-3:])
        self.checkpoint = replace(checkpoint, clean=self.random.random() < 0.5)
        self.count("set back")
        self._again(at)

    def _see_what_was_done(self) -> None:
        """Labels by their tags; values by what they hold."""
        pending = self.model.pending
        there = {
            version: InVersion(dict(self.look(self.destination, version)))
            for version in self.model.versions | self._made_by_now()
        }
        now = self.source_items()
        later: dict[str, set[int]] = {}
        done: set[int] = set()
        for event in reversed(pending):
            if not isinstance(event, Done) or event.version not in there:
                continue
            shared = later.setdefault(event.version, set())
            tags = (self._tag(event.version, body) for body in event.touched)
            if any(tag >= event.number for tag in tags) or not shared.isdisjoint(event.touched):
                done.add(event.number)
                shared |= event.touched
        for event in list(pending):
            if isinstance(event, Made) and event.child in there:
                self.model._make(event)
            elif isinstance(event, Done) and event.number in done:
                self.model.versions[event.version].do(event)
                self.model.again.add(event.number)
            elif isinstance(event, Changed) and event.item in self.model.values:
                version, kind, name = event.item
                value = self.model.values[event.item]
                value.from_source |= {now[event.item]}
                value.there = self.there[kind].all(version).get(name)
                self.model.unsure.add(event.item)
        for version, expected in self.model.versions.items():
            assert there[version].bodies == expected.bodies

    def _made_by_now(self) -> dict[str, InVersion]:
        nodes = self._nodes()
        made = (event for event in self.model.pending if isinstance(event, Made))
        return {event.child: InVersion({}) for event in made if event.child in nodes}

    def _tag(self, version: str, body: int) -> int:
        app = str(self.destination.last_mod(version, body).get("last mod app") or "")
        number = app.rpartition(TAG)[2] if TAG in app else ""
        return int(number.rpartition(".")[2]) if number.rpartition(".")[2].isdigit() else -1

    def _again(self, at: int) -> None:
        """What came after a place of the log comes once more. What is kept of values was not set back."""
        _, last = self.history[-1]
        self.model.pending = list(self.log[at:])
        self.model.again = {event.number for event in self.log[at:last] if isinstance(event, Done)}

    # What must have come of it

    def check(self) -> None:
        """All that nobody touched is as at the source; own work is there; each difference is listed, or is
        the destination's own work alone; each open row is of something that differs or did."""
        now = self.source_items()
        self.check_table(now)
        for version, there in self.model.versions.items():
            assert self.look(self.destination, version) == there.bodies, version
            source = self.look(self.source, version)
            assert source == self.source.bodies[version]
            apart = there.own | there.behind
            differing = {
                body
                for body in source.keys() | there.bodies.keys()
                if source.get(body) != there.bodies.get(body)
            }
            assert differing <= apart, f"{version}: {differing - apart} differ, and nobody touched them"
        there_now = self.items(self.there, self.model.versions)
        assert there_now == {item: value.there for item, value in self.model.values.items()}
        for version in self.practice:
            assert self.look(self.destination, version) == self.destination.bodies[version], "practice"

    def check_table(self, now: Mapping[Item, Any]) -> None:
        """All that was left out is listed, and what is listed is not as at the source."""
        rows = [row.row for row in conflict_table_of(self.config(), "copy").rows("open")]
        listed: dict[str, set[int]] = {}
        for row in rows:
            if row.instance == LABELS:
                there, labels = self.model.versions[row.version], set(map(int, row.items))
                listed.setdefault(row.version, set()).update(labels)
                assert not labels.isdisjoint(there.own | there.behind), row
        for version, there in self.model.versions.items():
            inherited = set().union(*(listed.get(each, ()) for each in self._line(version)))
            assert there.behind <= inherited
        _, items = _named(rows, self.there)
        assert all(self.model.values[item].there != now[item] for item in items)

    def _line(self, version: str) -> Iterator[str]:
        """A version and all that it comes from."""
        parents = {event.child: event.parent for event in self.log if isinstance(event, Made)}
        while version:
            yield version
            version = parents.get(version, "")

    def look(self, server: Server, version: str) -> Bodies:
        known = set(range(1, 65))
        for each in (self.source, self.destination):
            for bodies in each.bodies.values():
                known.update(*bodies.values())
        for there in self.model.versions.values():
            known.update(*there.bodies.values())
        for event in self.log:
            if isinstance(event, Done):
                known |= event.given
        return server.look(version, known)

    def source_items(self) -> dict[Item, Any]:
        """What the source has. In committed versions nothing changes anymore."""
        known = {version for version, *_ in self.settled}
        found = self.items(self.at_source, self.source.bodies.keys() - known)
        self.settled |= {item: value for item, value in found.items() if item[0] in self.committed}
        return self.settled | found

    def items(self, workers: dict[str, Worker], versions: Iterable[str]) -> dict[Item, Any]:
        found: dict[Item, Any] = {}
        for version in versions:
            for kind, worker in workers.items():
                values = worker.all(version)
                found |= {(version, kind, name): values.get(name) for name in worker.items[:FEW]}
        return found

    def _items(self, version: str) -> Iterator[Item]:
        for kind, each in KINDS.items():
            yield from ((version, kind, name) for name in each.items[:FEW])

    # Runs that stop

    def stops(self) -> list[ConflictRow]:
        """What a run stops at; nothing if it goes on."""
        try:
            rows = self.follow()
        except StoppedAt as stopped:
            return list(stopped.rows)
        # People can have done what the source did.
        if self.is_same():
            self.model.as_at_source(self.source.bodies, self.source_items())
        self.followed(rows, self.same_bodies())
        return []

    def is_same(self) -> bool:
        """Whether all that is followed is as at the source."""
        same = self.same_bodies()
        return len(same) == len(self.source.bodies) and self.items(self.there, same) == self.source_items()

    def same_bodies(self) -> dict[str, Bodies]:
        """The bodies of the versions in which both sides have the same."""
        made = [
            (version, bodies) for version, bodies in self.source.bodies.items() if version in self._nodes()
        ]
        return {version: bodies for version, bodies in made if self.look(self.destination, version) == bodies}

    def mend(self, *, stuck: bool = False) -> None:
        """A repair, which takes back nothing of the destination's own but what a dry run told.

        Args:
            stuck: runs do not go on, so that it brings what they have not.
        """
        os.environ[TOKEN] = self.scene.destination.admin_token
        self.fields["destinations"][0]["admin_token_env"] = TOKEN
        config = self.config()
        del self.fields["destinations"][0]["admin_token_env"]
        planned, done = (
            repair(
                config,
                config.destinations[0],
                checkpoint=self.checkpoint,
                dry_run=dry_run,
                stuck=stuck,
                still_owner=lambda: None,
            )
            for dry_run in (True, False)
        )
        assert done.after is not None
        self.count("repairs")
        left = [row for row in (*done.after.differences, *done.after.pending) if not row.ahead]
        assert not left, left
        # What a version takes over from its parent shows in both as long as nothing is changed.
        assert set(done.own_edits) <= set(planned.own_edits)
        torn = self.contradictions()
        assert torn.isdisjoint(self.source.bodies)
        self.model.as_at_source(self.source.bodies, self.source_items())
        # What these took over from a version that was repaired has changed with it.
        self.practice = [
            version
            for version in self.practice
            if self.look(self.destination, version) == self.destination.bodies[version]
            and version not in torn
        ]

    def contradictions(self) -> set[str]:
        """The versions in which mapping and indices of the destination disagree."""
        there = self.scene.destination
        found = contradictions(
            read_state(there.url, self.scene.root, there.admin_token, indices=True, instances=[LABELS])
        )
        return {line.partition("/")[0] for line in found}


def _named(
    rows: Collection[ConflictRow], workers: dict[str, Worker]
) -> tuple[set[tuple[str, int]], set[Item]]:
    """Rows as operations, and as items."""
    labels = {(row.version, row.mutation_id) for row in rows if row.instance == LABELS and row.mutation_id}
    instances = {"segmentation_annotations": "keyvalue", "neurons": "neuronjson", "synapses": "annotation"}
    items = {
        (row.version, kind, name)
        for row in rows
        if (kind := instances.get(row.instance)) is not None
        for name in workers[kind].items[:FEW]
        if workers[kind].told(name) in row.found
    }
    return labels, items
