"""Neuronjson instances: a JSON object per body, each field with its last user and time."""

from __future__ import annotations

from typing import ClassVar

from dvid_sandbox import wire
from dvid_sandbox.compression import compress
from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.golang import go_json, go_numbers, go_quote
from dvid_sandbox.instance import Instance, Place, Settings
from dvid_sandbox.keyvalue import pack, sorted_json, wanted_keys
from dvid_sandbox.neuron_fields import Fields, selected, update
from dvid_sandbox.neuron_query import matches, only_bodies, read_queries
from dvid_sandbox.neuron_schema import checked
from dvid_sandbox.reading import read_json, read_json_object, read_uint
from dvid_sandbox.repo import Repo
from dvid_sandbox.versioned import VersionedStore

SCHEMAS = ("json_schema", "schema", "schema_batch")


class Neuronjson(Instance):
    """Fields by body id."""

    type_name: ClassVar[str] = "neuronjson"
    reads_by_post: ClassVar[frozenset[str]] = frozenset({"query"})

    def __init__(
        self, repo: Repo, name: str, data_uuid: str, born_in: str, config: dict[str, str], settings: Settings
    ) -> None:
        super().__init__(repo, name, data_uuid, born_in, config, settings)
        self.neurons: VersionedStore[int, Fields] = VersionedStore(repo.ancestry)
        self.schemas: VersionedStore[str, bytes] = VersionedStore(repo.ancestry)
        self._field_times: dict[str, str] = {}
        self._still_listed: set[int] = set()

    def server_started(self) -> None:
        """Until the next start, the last post tells the time of each of its fields; now the latest does."""
        leaf = self.repo.leaf("master")
        self._field_times = {}
        self._still_listed = set()
        for fields in self.neurons.items(leaf.version).values() if leaf else ():
            for field, time in _times(fields).items():
                self._field_times[field] = max(time, self._field_times.get(field, ""))

    def serve(self, exchange: Exchange, place: Place) -> Answer:
        endpoint = exchange.parts[3]
        if endpoint in SCHEMAS:
            return self._schema(exchange, place, endpoint)
        match endpoint:
            case "key":
                return self._key(exchange, place)
            case "all":
                return self._all(exchange, place)
            case "keys":
                return self._listed(place, self._listed_ids(place))
            case "keyrange":
                return self._listed(place, self._range(exchange, self._listed_ids(place)))
            case "keyrangevalues":
                found = self._range(exchange, self._ids(place))
                return pack(exchange, [(str(each), self._shown(exchange, place, each)) for each in found])
            case "keyvalues":
                return self._keyvalues(exchange, place)
            case "fields":
                return self._fields(exchange, place)
            case "fieldtimes":
                if not self._in_memory(place):
                    raise Refused(
                        "unable to get fields because no in-memory db for neuronjson "
                        f'"{self.name}", version {place.version}'
                    )
                return Answer.json(sorted_json(self._field_times))
            case "query":
                return self._query(exchange, place)
        return self.serve_common(exchange, place)

    def _ids(self, place: Place) -> list[int]:
        """Numeric order on the head of the master branch, order of texts elsewhere."""
        return sorted(self.neurons.items(place.version), key=None if self._in_memory(place) else str)

    def _in_memory(self, place: Place) -> bool:
        return self.repo.leaf("master") is (place.holder or place.node)

    def _listed(self, place: Place, ids: list[int]) -> Answer:
        # An empty Go slice of a version that is not in memory was never made: null.
        found = None if not ids and not self._in_memory(place) else [str(each) for each in ids]
        return Answer.json(go_json(found))

    def _listed_ids(self, place: Place) -> list[int]:
        """On the head of the master branch with what was deleted and not found in DVID's list."""
        if not self._in_memory(place):
            return self._ids(place)
        return sorted(self._still_listed | self.neurons.items(place.version).keys())

    def _delete(self, place: Place, body: int) -> None:
        known = self._in_memory(place) and self.neurons.get(place.version, body) is not None
        if known and not _is_found(body, self._listed_ids(place)):
            self._still_listed.add(body)
        self.neurons.delete(place.version, body)

    def _range(self, exchange: Exchange, ids: list[int]) -> list[int]:
        if len(exchange.parts) < 6:
            raise Refused(f"expect beginning and end keys to follow '{exchange.parts[3]}' endpoint")
        first, last = _bound(exchange.parts[4]), _bound(exchange.parts[5])
        return [each for each in ids if first <= each <= last]

    def _shown(self, exchange: Exchange, place: Place, body: int) -> bytes:
        fields = self.neurons.get(place.version, body)
        return b"" if fields is None else sorted_json(selected(fields, exchange))

    def _all(self, exchange: Exchange, place: Place) -> Answer:
        only_ids = exchange.query.get("fields") == "bodyid"
        if only_ids and self._in_memory(place):
            listed = [sorted_json({"bodyid": each}) for each in self._listed_ids(place)]
        else:
            every = (self.neurons.get(place.version, each) or {} for each in self._ids(place))
            found = [selected(each, exchange) for each in every]
            listed = [sorted_json(each) for each in found if len(each) > 1 or only_ids]
        answer = Answer.json(b"[" + b",".join(listed) + b"]")
        if "gzip" in [each.strip() for each in exchange.headers.get("accept-encoding", "").split(",")]:
            answer.body = compress("gzip", answer.body)
            answer.headers["content-encoding"] = "gzip"
        return answer

    def _query(self, exchange: Exchange, place: Place) -> Answer:
        if exchange.method not in ("GET", "POST"):
            raise Refused("only GET or POST methods allowed for /query endpoint")
        queries = read_queries(exchange.body)
        bodies = only_bodies(queries)
        if bodies is not None:
            texts = [self._shown(exchange, place, each) for each in bodies]
            return Answer.json(b"[" + b",".join(each for each in texts if each) + b"]")
        found = [
            body for body in self._ids(place) if matches(queries, self.neurons.get(place.version, body) or {})
        ]
        if exchange.flag("onlyid"):
            return Answer.json(go_json(found))
        if exchange.query.get("fields") and not self._in_memory(place):
            # A version that is not in memory shows all fields, whichever are asked for.
            del exchange.query["fields"]
        return Answer.json(b"[" + b",".join(self._shown(exchange, place, each) for each in found) + b"]")

    def _fields(self, exchange: Exchange, place: Place) -> Answer:
        counts: dict[str, int] = {}
        for fields in self.neurons.items(place.version).values():
            for each in fields:
                counts[each] = counts.get(each, 0) + 1
        if exchange.flag("counts"):
            return Answer.json(sorted_json(counts))
        return Answer.json(go_json(sorted(counts)))

    def _key(self, exchange: Exchange, place: Place) -> Answer:
        if len(exchange.parts) < 5:
            raise Refused("expect key string to follow 'key' endpoint")
        key = exchange.parts[4]
        if key in ("schema", "schema_batch") and exchange.method != "POST":
            stored = self._schema(exchange, place, key)
            wanting = exchange.method == "GET" and stored.status == 404
            return Answer.missing(f"Key {go_quote(key)} not found") if wanting else stored
        match exchange.method:
            case "HEAD":
                known = self.neurons.get(place.version, read_uint(key)) is not None
                return Answer() if known else Answer.missing()
            case "GET":
                value = self._shown(exchange, place, read_uint(key))
                return Answer.text(value) if value else Answer.missing(f"Key {go_quote(key)} not found")
            case "DELETE":
                self._delete(place, read_uint(key))
                return Answer()
            case "POST":
                self._tell(exchange, place, "postneuronjson", key, exchange.body)
                self._put(exchange, place, key, exchange.body)
                return Answer()
        raise Refused(f'key endpoint does not support "{exchange.method.lower()}" HTTP verb')

    def _keyvalues(self, exchange: Exchange, place: Place) -> Answer:
        if exchange.method == "POST":
            for each in wire.parse(wire.KeyValues, exchange.body).kvs:
                self._put(exchange, place, each.key, each.value)
                self._tell(exchange, place, "ingestneuronjson", each.key, each.value)
            return Answer()
        complaint = f'GET /keyvalues on 0 keys, data "{self.name}"'
        if exchange.flag("json") and (numbers := _numbers(exchange.body, complaint)) is not None:
            keys = numbers
        else:
            keys = wanted_keys(exchange, self.name)
        pairs: list[tuple[str, bytes]] = []
        for key in keys:
            try:
                body = read_uint(key)
            except Refused as error:
                return _broken_off(exchange, pairs, len(keys), self.name, str(error))
            value = self._shown(exchange, place, body)
            if value or not exchange.flag("json"):
                pairs.append((key, value))
        return pack(exchange, pairs)

    def _tell(self, exchange: Exchange, place: Place, action: str, key: str, value: bytes) -> None:
        message = {
            "Action": action,
            "Key": key,
            "Bytes": len(value),
            "UUID": place.uuid,
            "Timestamp": exchange.moment.go_time(),
        }
        self.publish(exchange, message)

    def _put(self, exchange: Exchange, place: Place, key: str, value: bytes) -> None:
        if not exchange.user:
            raise Refused("cannot alter neuronjson data without a valid user")
        if key == "0":
            raise Refused("body id 0 is reserved and so cannot be stored")
        if key in ("schema", "schema_batch"):
            self.schemas.put(place.version, key, value)
            return
        given = read_json_object(value, "json")
        schema = self.schemas.get(place.version, "json_schema")
        new = go_numbers(checked(schema, given) if schema else given)
        if "bodyid" not in new:
            raise Refused("neuronjson data must have 'bodyid' field")
        body = new["bodyid"]
        if not isinstance(body, int) or body < 0:
            raise Refused("neuronjson 'bodyid' field must be uint64")
        try:
            number = read_uint(key)
        except Refused as error:
            raise Refused(f'key "{key}" must be a valid uint64: {error}') from None
        if body != number:
            raise Refused(f"neuronjson 'bodyid' field {body} must match key {number}")
        for each in ("bodyid_user", "bodyid_time"):
            if each in new:
                raise Refused(f"'{each}' field not allowed")
        old = self.neurons.get(place.version, body)
        protected = exchange.query.get("conditional") or exchange.query.get("conditionals", "")
        conditionals = [each for each in protected.split(",") if each]
        stored = update(
            old, new, exchange.user, exchange.moment.rfc3339(), conditionals, exchange.flag("replace")
        )
        self.neurons.put(place.version, body, stored)
        if self._in_memory(place):
            self._field_times |= _times(stored)

    def _schema(self, exchange: Exchange, place: Place, name: str) -> Answer:
        match exchange.method:
            case "POST":
                self.schemas.put(place.version, name, exchange.body)
                return Answer()
            case "DELETE":
                self.schemas.delete(place.version, name)
                return Answer()
        value = self.schemas.get(place.version, name)
        if value is None:
            return Answer.missing()
        return Answer() if exchange.method == "HEAD" else Answer.text(value)


def _times(fields: Fields) -> dict[str, str]:
    """When each field was changed last, as its stamp says."""
    return {name.removesuffix("_time"): str(time) for name, time in fields.items() if name.endswith("_time")}


def _broken_off(
    exchange: Exchange, pairs: list[tuple[str, bytes]], asked: int, name: str, error: str
) -> Answer:
    """DVID has sent the values before a bad key when it meets it, and only then complains."""
    complaint = f'GET /keyvalues on {asked} keys, data "{name}": {error}'
    if not exchange.flag("json"):
        raise Refused(complaint)
    sent = pack(exchange, pairs)
    sent.body = sent.body[:-1] + f"{complaint} ({exchange.path}).\n".encode()
    return sent


def _is_found(body: int, ids: list[int]) -> bool:
    """Whether DVID finds a body that is in its list: it halves the list, but asks only whether this is the
    body, so it goes right wherever it is not."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        if ids[middle] == body:
            return True
        low = middle + 1
    return False


def _bound(text: str) -> int:
    """A key in a range: texts sort around the digits."""
    if not text:
        raise Refused("key string is empty")
    if text[0] > "9":
        return 2**64 - 1
    return 0 if text[0] < "0" else read_uint(text)


def _numbers(body: bytes, complaint: str) -> list[str] | None:
    value = read_json(body, complaint)
    if isinstance(value, list) and all(
        isinstance(each, int) and not isinstance(each, bool) for each in value
    ):
        return [str(each) for each in value]
    return None
