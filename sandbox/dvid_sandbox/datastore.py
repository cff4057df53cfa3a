"""All repos of a server, and the requests that go to a repo or a version rather than to an instance."""

from __future__ import annotations

from dataclasses import replace

from dvid_sandbox import nodes
from dvid_sandbox.annotation import Annotation
from dvid_sandbox.exchange import TEXT, Answer, Exchange, Lacking, Refused
from dvid_sandbox.golang import go_json, go_quote
from dvid_sandbox.instance import Instance, Place, Settings
from dvid_sandbox.keyvalue import Keyvalue
from dvid_sandbox.labelmap import Labelmap
from dvid_sandbox.neuronjson import Neuronjson
from dvid_sandbox.offered import check_endpoint, check_query, check_settings, check_type
from dvid_sandbox.reading import read_json_object
from dvid_sandbox.repo import Node, Repo

_TYPES: dict[str, type[Instance]] = {
    each.type_name: each for each in (Labelmap, Keyvalue, Neuronjson, Annotation)
}
_LACKING = ("help", "storage", "user-latencies", "interface")
# Versions with more than one parent.
_LACKING_OF_REPO = (["merge"], ["resolve"])
_NO_ADMIN_REPO = (
    "Creating a repo requires admin privileges (admintoken or DSG admin) on a server that is not read-only"
)


class Datastore:
    """The state of a server. `handle` changes it by one request after the other."""

    def __init__(self) -> None:
        self.repos: list[Repo] = []
        self.settings = Settings()
        self.minimum_mutation_id = 0
        self._versions = 0

    def server_started(self, settings: Settings, minimum_mutation_id: int) -> None:
        """A new process has read this state; these are its settings."""
        self.settings.mutation_list = settings.mutation_list
        self.settings.split_endpoint = settings.split_endpoint
        self.minimum_mutation_id = minimum_mutation_id
        for repo in self.repos:
            repo.server_started(minimum_mutation_id)

    def handle(self, exchange: Exchange) -> Answer:
        """Answers a request.

        Raises:
            Refused: what the server answers with 400.
            Torn: a fault stopped the request between two writes.
        """
        parts = exchange.parts
        if parts[0] in _LACKING or (parts[0] == "repo" and parts[2:3] in _LACKING_OF_REPO):
            raise Lacking(exchange.path)
        if len(parts) < 4 or parts[0] != "node":
            check_query(exchange)
        match [exchange.method, *parts[:2]]:
            case ["POST", "repos"]:
                return self._new_repo(exchange)
            case ["GET", "repos", "info"]:
                return self._all_info()
        if len(parts) >= 2 and parts[0] == "repo":
            return self._repo(exchange)
        if len(parts) >= 3 and parts[0] == "node":
            return self._node(exchange)
        return self._not_found()

    def find(self, text: str) -> Place:
        """The version whose UUID begins with `text`, or the leaf of a branch for ``UUID:branch``.

        Raises:
            Refused: there is none, or more than one.
        """
        prefix, _, branch = text.partition(":")
        if ":" in branch:
            raise Refused(f"bad UUID specification {go_quote(text)}")
        if not prefix and branch:
            found = [Place(repo, repo.root) for repo in self.repos]
        else:
            found = [
                Place(repo, node)
                for repo in self.repos
                for node in repo.nodes.values()
                if node.uuid.startswith(prefix)
            ]
        if not found:
            raise Refused(f"could not find UUID with partial match to {prefix}")
        if len(found) > 1:
            raise Refused(f"more than one UUID matches {prefix}")
        if not branch:
            return found[0]
        leaf = found[0].repo.leaf(branch)
        if leaf is None:
            raise Refused(f'branch "{branch}" not found in repo "{found[0].uuid}"')
        return Place(found[0].repo, leaf)

    def rename(self, exchange: Exchange, uuid: str, old: str, new: str) -> None:
        """Gives an instance another name, which DVID does at its command line only."""
        repo = self.find(uuid).repo
        instance = repo.instance(old)
        if new in repo.instances:
            raise Refused("data name already exists")
        del repo.instances[old]
        instance.name = new
        repo.instances[new] = instance
        repo.note(f"Renamed data instance {go_quote(old)} to {go_quote(new)}", exchange.moment.now())

    def delete(self, exchange: Exchange, uuid: str, name: str) -> None:
        """Deletes an instance, which DVID does at its command line only."""
        repo = self.find(uuid).repo
        type_name = repo.instance(name).type_name
        del repo.instances[name]
        repo.note(f"Delete data instance '{name}' of type '{type_name}'", exchange.moment.now())

    @staticmethod
    def _not_found() -> Answer:
        return Answer(404, TEXT, b"404 page not found\n")

    def _new_node(self, uuid: str, now: int) -> Node:
        self._versions += 1
        return Node(uuid, self._versions, now)

    def _new_repo(self, exchange: Exchange) -> Answer:
        if not exchange.admin:
            raise Refused(_NO_ADMIN_REPO)
        given = read_json_object(exchange.body, "Error decoding POSTed JSON config for new repo")
        root = str(given.get("root") or exchange.moment.uuid())
        if any(node.uuid == root for repo in self.repos for node in repo.nodes.values()):
            raise Refused("UUID already exists in datastore")
        node = self._new_node(root, exchange.moment.now())
        alias, description = str(given.get("alias", "")), str(given.get("description", ""))
        self.repos.append(Repo(node, alias, description, self.minimum_mutation_id))
        return Answer.json(f'{{"root": "{root}"}}')

    def _all_info(self) -> Answer:
        repos = sorted(self.repos, key=lambda repo: repo.root.uuid)
        return Answer.json(go_json({repo.root.uuid: repo.info_fields() for repo in repos}))

    def _repo(self, exchange: Exchange) -> Answer:
        place = self.find(exchange.parts[1])
        repo = place.repo
        match [exchange.method, *exchange.parts[2:]]:
            case ["HEAD"]:
                return Answer.text(f"Repo available with root UUID {repo.root.uuid}\n")
            case ["GET", "info"]:
                return Answer.json(repo.info())
            case ["GET", "branch-versions", name]:
                return Answer.json(go_json(repo.branch_versions(name)))
            case ["GET", "log"]:
                return Answer.json(go_json({"log": repo.log}))
            case ["POST", "log"]:
                for line in nodes.read_lines(exchange):
                    repo.note(line, exchange.moment.now())
                return Answer()
            case ["POST", "info"]:
                given = read_json_object(exchange.body, "Error decoding POSTed JSON config for POST repo")
                repo.alias = str(given.get("alias", repo.alias))
                repo.description = str(given.get("description", repo.description))
                return Answer()
            case ["POST", "instance"]:
                return self._new_instance(exchange, place)
        return self._not_found()

    def _new_instance(self, exchange: Exchange, place: Place) -> Answer:
        repo = place.repo
        if place.node.locked and not exchange.admin:
            raise Refused(f"New data instance cannot be created on locked node {place.uuid}")
        given = read_json_object(exchange.body, "Error decoding POSTed JSON config for 'new'")
        config = {
            key.lower(): value if isinstance(value, str) else str(value) for key, value in given.items()
        }
        for name in ("typename", "dataname"):
            if name not in config:
                raise Refused(f"POST on repo endpoint requires specification of valid '{name}'")
        type_name, name = config["typename"], config["dataname"]
        check_type(type_name)
        if type_name not in _TYPES:
            raise Refused(f'Data type "{type_name}" is not supported by current DVID server')
        if name in repo.instances:
            raise Refused(f'Data named "{name}" already exists in repo (root {repo.root.uuid})')
        check_settings(type_name, config)
        data_uuid = exchange.moment.uuid()
        instance = _TYPES[type_name](repo, name, data_uuid, place.uuid, config, self.settings)
        repo.instances[name] = instance
        shown = " ".join(f"{key}:{config[key]}" for key in sorted(config))
        repo.note(
            f'New data instance {go_quote(name)} of type "{type_name}" with config {{map[{shown}]}}',
            exchange.moment.now(),
        )
        message = {"Action": "newinstance", "UUID": place.uuid, "Typename": type_name, "Dataname": name}
        repo.publish(exchange, message)
        return Answer.json(f'{{"result": "Added {name} [{type_name}] to node {place.uuid}"}}')

    def _node(self, exchange: Exchange) -> Answer:
        place = self.find(exchange.parts[1])
        if len(exchange.parts) > 3:
            return self._instance(exchange, place)
        answer = nodes.handle(self, exchange, place)
        return self._not_found() if answer is None else answer

    def _instance(self, exchange: Exchange, place: Place) -> Answer:
        instance = place.repo.instance(exchange.parts[2])
        endpoint = exchange.parts[3]
        check_endpoint(exchange, instance.type_name, endpoint)
        if endpoint == "blobstore":
            return _blobstore(exchange, instance)
        if not instance.versioned:
            place = replace(place, holder=place.repo.root)
        elif place.node.locked and not exchange.admin and instance.changes(exchange.method, endpoint):
            raise Refused(
                f"Cannot do {exchange.method} on endpoint {go_quote(endpoint)} of locked node {place.uuid}"
            )
        return instance.serve(exchange, place)

    def new_child(self, exchange: Exchange, place: Place, uuid: str | None, note: str, branch: str) -> str:
        """Makes a child version and gives its UUID.

        Raises:
            Refused: the parent is open, or the branch or the UUID is taken.
        """
        branch = place.repo.branch_of_child(place.node, branch)
        if uuid is not None and any(node.uuid == uuid for r in self.repos for node in r.nodes.values()):
            # The real server overwrites the other version silently, which nobody can want to try out.
            raise Refused("UUID already exists in datastore")
        node = self._new_node(uuid or exchange.moment.uuid(), exchange.moment.now())
        node.note, node.branch = note, branch
        place.repo.add_child(place.node, node)
        return node.uuid


def _blobstore(exchange: Exchange, instance: Instance) -> Answer:
    if exchange.method == "POST":
        return Answer.json(f'{{"reference": "{instance.put_blob(exchange.body)}"}}')
    if exchange.method != "GET":
        raise Refused("can only do GET and POST actions on blobstore endpoint")
    if len(exchange.parts) != 5:
        raise Refused("GET /blobstore requires reference")
    content = instance.blobs.get(exchange.parts[4])
    if content is None:
        return Answer.missing(f"Reference {go_quote(exchange.parts[4])} not found")
    return Answer.binary(content)
