"""People at the destination change keys, neurons and elements in a version that it follows, beside those at
the source; and a model of what must come of it when what cannot be taken is left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from typing import Any, ClassVar

from pyarrow import parquet

from dvid_sandbox.launcher import SandboxServer
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.errors import OwnershipLost
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.replaced import Replaced
from dvidsync_dagster.run.conflict_table import conflict_table_of
from dvidsync_dagster.run.follow import follow
from dvidsync_dagster.run.report import ChunkReport
from tests.datatypes.source_and_destination import SourceAndDestination

Value = Any
"""What an item holds, in a form that can be compared; None if it is not there."""


@dataclass(frozen=True)
class Worker:
    """Somebody at one server, at a few items of one instance."""

    scene: SourceAndDestination
    server: SandboxServer
    user: str

    items: ClassVar[Sequence[str]]
    announces_deletes: ClassVar[bool] = True

    def told(self, item: str) -> str:
        """How a row of the report names it."""
        raise NotImplementedError

    def held(self, kept: bytes) -> Value:
        """What was kept of an item."""
        raise NotImplementedError

    def value(self, number: int) -> Value:
        raise NotImplementedError

    def put(self, item: str, value: Value, version: str) -> None:
        raise NotImplementedError

    def delete(self, item: str, version: str) -> None:
        raise NotImplementedError

    def all(self, version: str) -> dict[str, Value]:
        raise NotImplementedError

    def request(self, method: str, path: str, version: str, **what: Any) -> Any:
        answer = self.scene.request(method, path, version=version, server=self.server, user=self.user, **what)
        answer.raise_for_status()
        return answer


class Keys(Worker):
    instance: ClassVar[str] = "segmentation_annotations"
    items = ("a b", "é", "\ufffd", *(f"key {number}" for number in range(5)))

    def told(self, item: str) -> str:
        return f"key {item!r}:"

    def held(self, kept: bytes) -> Value:
        return kept

    def value(self, number: int) -> Value:
        return b"value %d" % number

    def put(self, item: str, value: Value, version: str) -> None:
        self.request("POST", self.scene.key(self.instance, item), version, body=value)

    def delete(self, item: str, version: str) -> None:
        self.request("DELETE", self.scene.key(self.instance, item), version)

    def all(self, version: str) -> dict[str, Value]:
        return {
            item: self.request("GET", self.scene.key(self.instance, item), version).content
            for item in self.request("GET", f"{self.instance}/keys", version).json() or ()
        }


class Neurons(Worker):
    """With a field of text. The source announces no deletes."""

    instance: ClassVar[str] = "neurons"
    items = tuple(map(str, range(1, 9)))
    announces_deletes = False

    def told(self, item: str) -> str:
        return f"neuron {item}:"

    def held(self, kept: bytes) -> Value:
        return json.loads(kept)["class"]

    def value(self, number: int) -> Value:
        return f"class {number}"

    def put(self, item: str, value: Value, version: str, time: datetime | None = None) -> None:
        """`time` is when DVID would say that it was, if not now."""
        stamp = {"class_user": self.user, "class_time": time.isoformat()} if time is not None else {}
        neuron = {"bodyid": int(item), "class": value, **stamp}
        self.request("POST", f"{self.instance}/key/{item}", version, json=neuron)

    def delete(self, item: str, version: str) -> None:
        self.request("DELETE", f"{self.instance}/key/{item}", version)

    def all(self, version: str) -> dict[str, Value]:
        neurons = self.request("GET", f"{self.instance}/all", version).json() or ()
        return {str(neuron["bodyid"]): neuron["class"] for neuron in neurons}


class Elements(Worker):
    """With a tag and a property, some of them related to each other."""

    items = ("1,2,3", "4,5,6", "30,30,30", "70,5,5", "-1,2,3", "70,6,5")

    def told(self, item: str) -> str:
        return f"({item.replace(',', ', ')})"

    def held(self, kept: bytes) -> Value:
        (element,) = json.loads(kept)
        return (element["Tags"][0], element["Prop"]["note"])

    def value(self, number: int) -> Value:
        return ("a" if number % 2 else "b", str(number))

    def put(self, item: str, value: Value, version: str) -> None:
        tag, note = value
        place = self.items.index(item)
        to = [self.items[place - int(note) % 3 - 1]] if int(note) % 2 else []
        element = {
            "Pos": _point(item),
            "Kind": "Note",
            "Tags": [tag],
            "Prop": {"note": note},
            "Rels": [{"Rel": "GroupedWith", "To": _point(each)} for each in to],
        }
        self.request("POST", "synapses/elements", version, json=[element])

    def delete(self, item: str, version: str) -> None:
        self.request("DELETE", f"synapses/element/{item.replace(',', '_')}", version)

    def all(self, version: str) -> dict[str, Value]:
        blocks = self.request("GET", "synapses/all-elements", version).json() or {}
        return {
            ",".join(map(str, element["Pos"])): (element["Tags"][0], element["Prop"]["note"])
            for found in blocks.values()
            for element in found or ()
        }


def _point(item: str) -> list[int]:
    return [int(number) for number in item.split(",")]


@dataclass
class Item:
    """What is known of an item at the destination.

    Args:
        there: what it holds.
        from_source: what it may hold if nobody there changed it.
    """

    there: Value = None
    from_source: set[Value] = field(default_factory=lambda: {None})


@dataclass
class Beside:
    """Both at work, and runs that follow.

    Args:
        items: by version and name.
        changed: the items that the source changed, from the beginning.
        at: how many of these there were at the checkpoint.
        is_met: there was a run already.
        replaced: what the first run replaced, and may have been people's.
    """

    source: Worker
    copy: Worker
    random: Random
    version: str
    on_conflict: str = "skip"
    on_doubt: str = "follow"
    start: str | dict[str, str] = "beginning"
    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    changed: list[tuple[str, str]] = field(default_factory=list)
    at: int = 0
    number: int = 0
    is_met: bool = True
    replaced: list[tuple[str, Value]] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    before: list[tuple[Checkpoint | None, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.items = {(self.version, name): Item() for name in self.source.items}

    # What people do

    def work(self, worker: Worker) -> None:
        item = self.random.choice(worker.items)
        deletes = self.random.random() < 0.25 and (worker.announces_deletes or worker is self.copy)
        self.number += 1
        value = None if deletes else worker.value(self.number)
        if deletes and item not in worker.all(self.version):
            return
        if deletes:
            worker.delete(item, self.version)
        else:
            worker.put(item, value, self.version)
        if worker is self.source:
            self.changed.append((self.version, item))
        else:
            self.items[self.version, item].there = value

    def new_version(self) -> None:
        """At the source; a run brings it."""
        parent, self.version = self.version, self.source.scene.new_version(self.version)
        for name in self.source.items:
            item = self.items[parent, name]
            self.items[self.version, name] = Item(item.there, set(item.from_source))

    # Runs

    def follow(self) -> set[str]:
        """A run; the items of which it left something out."""
        rows: list[ConflictRow] = []
        for report in self._reports(lambda: None):
            rows += report.conflicts
            self.checkpoint = report.checkpoint
        return self._told(rows)

    def listed(self) -> set[str]:
        """The items of which the conflict table has an open row."""
        return self._told([each.row for each in conflict_table_of(self.config(), "copy").rows("open")])

    def kept_aside(self) -> dict[str, set[Value]]:
        """What is kept of what runs replaced, by item."""
        found: dict[str, set[Value]] = {}
        folder = self.source.scene.quarantine / self.source.scene.root / "copy" / "replaced"
        files = sorted(folder.glob("*.parquet"))
        rows = [row for file in files for row in parquet.read_table(file).to_pylist()]
        assert Replaced(self.config(), "copy").count() == len(rows)
        for row in rows:
            item = row["item"].strip("()").replace(", ", ",")
            found.setdefault(item, set()).add(self.source.held(row["value"]))
        return found

    def _told(self, rows: Sequence[ConflictRow]) -> set[str]:
        return {item for item in self.source.items for row in rows if self.source.told(item) in row.found}

    def follow_killed(self) -> None:
        """A run that dies when its first chunk is brought."""
        asked = iter([None, None])

        def still_owner() -> None:
            if next(asked, self) is self:
                raise OwnershipLost("killed")

        with suppress(OwnershipLost):
            list(self._reports(still_owner))

    def config(self) -> SyncConfig:
        scene = self.source.scene
        chosen = {"on_conflict": self.on_conflict, "on_doubt": self.on_doubt, "start": self.start}
        fields = {**scene.destination_fields(), **chosen}
        del fields["admin_token_env"]
        return SyncConfig.model_validate(
            {
                "source": {"url": scene.source.url},
                "repo": scene.root,
                "destinations": [fields],
                "settle_seconds": 0,
                "chunk_records": 100,
                "quarantine": str(scene.quarantine),
            }
        )

    def _reports(self, still_owner: Callable[[], None]) -> Iterator[ChunkReport]:
        config = self.config()
        return follow(
            config,
            config.destinations[0],
            checkpoint=self.checkpoint,
            epoch=1,
            still_owner=still_owner,
        )

    # What must come of it

    def expected(self) -> set[str]:
        """Of which items a run leaves something out, as it goes on from the checkpoint."""
        left_out = set()
        for name, item, here in self._to_come():
            if not self.is_met:
                # What the copy had then, and what people made of it, looks the same.
                item.from_source.add(item.there)
                if item.there not in (None, here):
                    self.replaced.append((name, item.there))
            if item.there != here and item.there not in item.from_source:
                left_out.add(name)
            else:
                item.there = here
            item.from_source = {here}
        self.is_met = True
        self.before.append((self.checkpoint, self.at))
        self.at = len(self.changed)
        return left_out

    def expected_of_killed(self) -> None:
        """What a run did that nothing is known of afterwards but what it was about to write."""
        for _, item, here in self._to_come():
            if item.there == here or item.there in item.from_source:
                item.from_source = {item.there, here}
                item.there = here

    def _to_come(self) -> Iterator[tuple[str, Item, Value]]:
        """What a run looks at, with what the source has."""
        for version, name in dict.fromkeys(self.changed[self.at :]):
            yield name, self.items[version, name], self.source.all(version).get(name)

    def lose_checkpoint(self) -> None:
        """The next run goes on from an earlier one."""
        known = [(checkpoint, at) for checkpoint, at in self.before if checkpoint is not None]
        if known:
            earlier, self.at = self.random.choice(known[-2:])
            assert earlier is not None
            self.checkpoint = replace(earlier, clean=self.random.random() < 0.5)

    def there(self) -> dict[str, Value]:
        every = ((name, self.items[self.version, name].there) for name in self.source.items)
        return {name: there for name, there in every if there is not None}
