"""What all data instances have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dvid_sandbox.blocks import Block
from dvid_sandbox.exchange import TEXT, Answer, Exchange, Lacking, Refused
from dvid_sandbox.golang import go_json, go_map
from dvid_sandbox.reading import Point, read_json_object
from dvid_sandbox.wire import blob_reference

if TYPE_CHECKING:
    from dvid_sandbox.repo import Node, Repo

# A message over this many bytes is refused by the producer and never reaches Kafka.
MAX_MESSAGE_BYTES = 980 * 1024


COMPRESSIONS = {
    "gzip": "gzip compression, level -1",
    "lz4": "LZ4 compression, level -1",
    "snappy": "Go Snappy compression, level -1",
    "none": "No compression, level -1",
}
"""What the info says of each setting."""


# The others answer a POST as they answer a GET.
_CHANGED_BY_INFO = ("annotation", "labelmap")


@dataclass
class Settings:
    """The server's configuration: whether it keeps the list of GET mutations, and allows POST split."""

    mutation_list: bool = True
    split_endpoint: bool = False


@dataclass(frozen=True)
class Place:
    """The version that a request goes to.

    Args:
        holder: the version that holds the data, where it is another one: of an instance that is not
            versioned the root holds all.
    """

    repo: Repo
    node: Node
    holder: Node | None = None

    @property
    def version(self) -> int:
        return (self.holder or self.node).version

    @property
    def uuid(self) -> str:
        return self.node.uuid


class Instance:
    """A data instance.

    Args:
        name, data_uuid: its name, which may change, and its id, which does not.
        born_in: UUID of the version that it was made in.
        config: what it was made with, lower-case keys.
        settings: the server's.
    """

    type_name: ClassVar[str]
    type_version: ClassVar[str] = "0.1"
    compression: ClassVar[str] = "lz4"

    def __init__(
        self,
        repo: Repo,
        name: str,
        data_uuid: str,
        born_in: str,
        config: dict[str, str],
        settings: Settings,
    ) -> None:
        self.repo = repo
        self.name = name
        self.data_uuid = data_uuid
        self.born_in = born_in
        self.config = config
        self.versioned = config.get("versioned", "true").lower() not in ("false", "0")
        self.syncs: list[str] = []
        self.tags = _tags(config)
        self.blobs: dict[str, bytes] = {}
        self.settings = settings
        self._mutations: dict[int, list[bytes]] = {}

    @property
    def topic(self) -> str:
        return f"dvidrepo-{self.repo.root.uuid}-data-{self.data_uuid}"

    def serve(self, exchange: Exchange, place: Place) -> Answer:
        """Answers a request to ``/api/node/UUID/NAME/…``; `exchange.parts[3]` is the endpoint."""
        raise NotImplementedError

    def server_started(self) -> None:
        """A new process has read the state: what is kept in memory only is made anew."""

    reads_by_post: ClassVar[frozenset[str]] = frozenset()
    """Endpoints at which a POST changes nothing."""

    def changes(self, method: str, endpoint: str) -> bool:
        """Whether a locked version refuses the request."""
        return method in ("POST", "PUT", "DELETE") and endpoint not in self.reads_by_post

    def serve_common(self, exchange: Exchange, place: Place) -> Answer:
        """The endpoints that all types have."""
        endpoint = exchange.parts[3]
        if endpoint == "info":
            if exchange.method == "POST" and self.type_name in _CHANGED_BY_INFO:
                raise Lacking(f"POST info of {self.type_name}")
            names = {each.data_uuid: name for name, each in self.repo.instances.items()}
            return Answer.json(go_json(self.info(names, place.version)))
        if endpoint == "sync":
            return self._sync(exchange)
        if endpoint == "tags":
            return self._tags(exchange)
        text = f'Bad API call ({exchange.path}) for data "{self.name}".  See API help at http://'
        return Answer(400, TEXT, f"{text}127.0.0.1/api/help/{self.type_name}\n".encode())

    def labels_merged(
        self, exchange: Exchange, place: Place, mutation_id: int, target: int, merged: list[int]
    ) -> None:
        """A labelmap that this instance is synced to has merged or renumbered labels."""

    def voxels_written(
        self,
        exchange: Exchange,
        place: Place,
        mutation_id: int,
        written: Mapping[Point, Block],
        old: Mapping[Point, Block],
    ) -> None:
        """Such a labelmap has stored blocks; `old` are those that it was asked to replace."""

    def label_cleaved(
        self,
        exchange: Exchange,
        place: Place,
        mutation_id: int,
        target: int,
        cleaved_label: int,
        in_cleaved: Callable[[Point], bool],
    ) -> None:
        """Such a labelmap has cleaved a label; `in_cleaved` says whether a voxel has left it."""

    def label_split(
        self,
        exchange: Exchange,
        place: Place,
        mutation_id: int,
        target: int,
        new_label: int,
        in_split: Callable[[Point], bool],
        blocks: list[Point],
    ) -> None:
        """Such a labelmap has split a label; `in_split` says whether a voxel has left it.

        `blocks` are where to look for such voxels.
        """

    def put_blob(self, content: bytes) -> str:
        reference = blob_reference(content)
        self.blobs[reference] = content
        return reference

    def publish(self, exchange: Exchange, message: dict[str, Any]) -> bytes:
        """Publishes a message under this instance's topic and gives its JSON."""
        text = go_map(message)
        exchange.publish(self.topic, text)
        return text

    def keep_mutation(self, place: Place, message: bytes) -> None:
        if self.settings.mutation_list:
            self._mutations.setdefault(place.version, []).append(message)

    def mutations(self, exchange: Exchange, place: Place) -> Answer:
        if exchange.method != "GET":
            raise Refused("only POST action allowed for /mappings endpoint")
        if not self.settings.mutation_list:
            raise Refused(
                "unable to write mutations to client: "
                "no jsonstore configured in [mutations] section of TOML config"
            )
        return Answer.text(b"[" + b",".join(self._mutations.get(place.version, [])) + b"]")

    def info(self, names: dict[str, str], version: int) -> dict[str, Any]:
        """The JSON of GET info of a version. `names` gives the instances' names by data UUID."""
        return {"Base": self._base(names), **self.details(version)}

    def details(self, version: int) -> dict[str, Any]:
        """What GET info of a version says beside ``Base``."""
        del version  # the labelmap looks at it
        return {"Extended": {}}

    def _base(self, names: dict[str, str]) -> dict[str, Any]:
        return {
            "TypeName": self.type_name,
            "TypeURL": f"github.com/janelia-flyem/dvid/datatype/{self.type_name}",
            "TypeVersion": self.type_version,
            "DataUUID": self.data_uuid,
            "Name": self.name,
            "RepoUUID": self.born_in,
            "Compression": COMPRESSIONS[self.config.get("compression", self.compression).lower()],
            "Checksum": "No checksum",
            "Syncs": [names[each] for each in self.syncs if each in names],
            "Versioned": self.versioned,
            "KVStore": "badger @ /data/dvid/db",
            "LogStore": "write logs @ /data/dvid/mutlog",
            "Tags": self.tags,
        }

    def _sync(self, exchange: Exchange) -> Answer:
        if exchange.method != "POST":
            raise Refused("Only POST allowed to sync endpoint")
        given = read_json_object(exchange.body, "Malformed JSON request in sync request")
        if "sync" not in given:
            raise Refused("Could not find 'sync' value in POSTed JSON to sync request.")
        replace = exchange.flag("replace")
        names = [each for each in str(given["sync"]).split(",") if each]
        wanted = []
        for name in names:
            if name not in self.repo.instances:
                raise Refused(f'issue with requested sync name "{name}": invalid data instance name')
            wanted.append(self.repo.instances[name].data_uuid)
        if not wanted and not replace:
            return Answer()
        self.syncs = sorted(set(wanted) | (set() if replace else set(self.syncs)))
        synced = " ".join(f"{each}:{{}}" for each in self.syncs)
        self.repo.note(f'Data instance "{self.name}" set to sync with map[{synced}]', exchange.moment.now())
        return Answer()

    def _tags(self, exchange: Exchange) -> Answer:
        if exchange.method != "POST":
            return Answer.json(go_json({"Tags": self.tags}))
        given = read_json_object(exchange.body, "Malformed JSON request in tags setter")
        if not all(isinstance(value, str) for value in given.values()):
            raise Refused(
                "Malformed JSON request in tags setter: json: cannot unmarshal into Go value of type string"
            )
        kept = {} if exchange.flag("replace") else self.tags or {}
        self.tags = dict(sorted((kept | given).items()))
        return Answer()


def _tags(config: dict[str, str]) -> dict[str, str] | None:
    """The tags that an instance is made with: ``name=value,…``."""
    if "tags" not in config:
        return None
    pairs = [each.split("=") for each in config["tags"].split(",")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[0]}
