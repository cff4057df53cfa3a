"""Keyvalue instances."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from typing import Any, ClassVar

import orjson

from dvid_sandbox import byte_ranges, wire
from dvid_sandbox.byte_ranges import ByteRange
from dvid_sandbox.exchange import JSON, Answer, Exchange, Refused
from dvid_sandbox.golang import go_bytes, go_json, go_quote
from dvid_sandbox.instance import Instance, Place, Settings
from dvid_sandbox.reading import not_go, read_json
from dvid_sandbox.repo import Repo
from dvid_sandbox.versioned import VersionedStore


class Keyvalue(Instance):
    """Values of any bytes by key."""

    type_name: ClassVar[str] = "keyvalue"
    type_version: ClassVar[str] = "0.2"

    def __init__(
        self, repo: Repo, name: str, data_uuid: str, born_in: str, config: dict[str, str], settings: Settings
    ) -> None:
        super().__init__(repo, name, data_uuid, born_in, config, settings)
        self.values: VersionedStore[str, bytes] = VersionedStore(repo.ancestry)

    def serve(self, exchange: Exchange, place: Place) -> Answer:
        match exchange.parts[3]:
            case "key":
                return self._key(exchange, place)
            case "keys":
                keys = sorted(self.values.items(place.version), key=go_bytes)
                if "" in keys:
                    raise Refused("empty key")  # it can be written, by `keyvalues`
                return Answer.json(go_json(keys))
            case "keyrange":
                return Answer.json(go_json([key for key, _ in self._range(exchange, place)]))
            case "keyrangevalues":
                # DVID leaves empty values out here.
                return pack(exchange, [pair for pair in self._range(exchange, place) if pair[1]])
            case "keyvalues":
                return self._keyvalues(exchange, place)
            case "mutations":
                return self.mutations(exchange, place)
        return self.serve_common(exchange, place)

    def _key(self, exchange: Exchange, place: Place) -> Answer:
        if len(exchange.parts) < 5:
            raise Refused("expect key string to follow 'key' endpoint")
        key = exchange.parts[4]
        match exchange.method:
            case "HEAD":
                if self.values.get(place.version, key) is None:
                    return Answer.missing()
                return Answer(headers={"accept-ranges": "bytes"})
            case "GET":
                value = self.values.get(place.version, key)
                if not value:
                    # Of an empty value, DVID says the same as of a missing key.
                    return Answer.missing(f"Key {go_quote(key)} not found")
                return byte_ranges.answer(exchange, key, value)
            case "POST":
                self._post(exchange, place, key, exchange.body)
                return Answer()
            case "DELETE":
                self.values.delete(place.version, key)
                message = {
                    "Action": "delete",
                    "Key": key,
                    "UUID": place.uuid,
                    "Timestamp": exchange.moment.go_time(),
                }
                self.keep_mutation(place, self.publish(exchange, message))
                return Answer()
        raise Refused(f'key endpoint does not support "{exchange.method.lower()}" HTTP verb')

    def _post(self, exchange: Exchange, place: Place, key: str, value: bytes) -> None:
        self.values.put(place.version, key, value)
        message = {
            "Action": "postkv",
            "Key": key,
            "Bytes": len(value),
            "UUID": place.uuid,
            "Timestamp": exchange.moment.go_time(),
        }
        self.keep_mutation(place, self.publish(exchange, message))

    def _range(self, exchange: Exchange, place: Place) -> list[tuple[str, bytes]]:
        if len(exchange.parts) < 6:
            raise Refused(f"expect beginning and end keys to follow '{exchange.parts[3]}' endpoint")
        first, last = exchange.parts[4], exchange.parts[5]
        return [
            (key, value)
            for key, value in sorted(
                self.values.items(place.version).items(), key=lambda item: go_bytes(item[0])
            )
            if go_bytes(first) <= go_bytes(key) <= go_bytes(last)
        ]

    def _keyvalues(self, exchange: Exchange, place: Place) -> Answer:
        if exchange.method == "POST":
            for each in wire.parse(wire.KeyValues, exchange.body).kvs:
                self._post(exchange, place, each.key, each.value)
            return Answer()
        if exchange.method != "GET":
            raise Refused(f'key endpoint does not support "{exchange.method.lower()}" HTTP verb')
        wanted = self._wanted(exchange)
        try:
            found = [self._part(exchange, place, *each) for each in wanted]
        except Refused as error:
            raise Refused(f'GET /keyvalues on {len(wanted)} keys, data "{self.name}": {error}') from None
        return pack(exchange, found)

    def _wanted(self, exchange: Exchange) -> list[tuple[str, ByteRange | None]]:
        """Keys, and the parts of their values that are asked for."""
        complaint = f'GET /keyvalues on 0 keys, data "{self.name}"'
        if as_json(exchange):
            value = read_json(exchange.body, complaint)
            if not (isinstance(value, list) and value and all(isinstance(each, dict) for each in value)):
                names = wanted_keys(exchange, self.name, "keyvalue.jsonKeyReadRequest")
                return [(name, None) for name in names]
            asked = [
                (str(each.get("key", "")), each.get("byte_start"), each.get("byte_end")) for each in value
            ]
        else:
            keys = wire.parse(wire.Keys, exchange.body)
            asked = [(key, None, None) for key in keys.keys]
            asked += [(each.key, each.byte_start, each.byte_end) for each in keys.key_ranges]
        try:
            return [(each[0], byte_ranges.from_pair(*each)) for each in asked]
        except Refused as error:
            raise Refused(f"{complaint}: {error}") from None

    def _part(self, exchange: Exchange, place: Place, key: str, part: ByteRange | None) -> tuple[str, bytes]:
        value = self.values.get(place.version, key)
        if not value or part is None:
            return key, value or b""
        content = part.of(value)
        if exchange.flag("json") and not is_json(content):
            raise Refused(f"bad JSON for key {go_quote(key)}")
        return key, content


def as_json(exchange: Exchange) -> bool:
    """Whether GET keyvalues comes with a list in JSON, and not with protobuf."""
    return exchange.flag("jsontar") or exchange.flag("tar") or exchange.flag("json")


def wanted_keys(exchange: Exchange, name: str, go_type: str = "string") -> list[str]:
    """The keys of GET keyvalues: a JSON list for tar and JSON answers, else protobuf."""
    if as_json(exchange):
        complaint = f'GET /keyvalues on 0 keys, data "{name}"'
        value = read_json(exchange.body, complaint)
        if not isinstance(value, list):
            raise Refused(f"{complaint}: {not_go(value, '[]string')}")
        if not all(isinstance(each, str) for each in value):
            raise Refused(f"{complaint}: json: cannot unmarshal number into Go value of type {go_type}")
        return value
    return list(wire.parse(wire.Keys, exchange.body).keys)


def pack(exchange: Exchange, pairs: Iterable[tuple[str, bytes]]) -> Answer:
    """Keys and values in the form that the query asks for: tar, JSON or protobuf."""
    in_tar = exchange.flag("jsontar") or exchange.flag("tar")
    if in_tar and exchange.flag("json"):
        raise Refused("can only specify tar or json output, not both")
    if in_tar:
        return Answer(200, "application/tar", _tar(pairs))
    if exchange.flag("json"):
        entries = []
        for key, value in pairs:
            if exchange.flag("check") and value and not is_json(value):
                raise Refused(f"bad JSON for key {go_quote(key)}")
            entries.append(b'"%s":%s' % (go_bytes(key), value or b"{}"))
        return Answer(200, JSON, b"{" + b",".join(entries) + b"}")
    answer = wire.KeyValues()
    for key, value in pairs:
        if go_bytes(key) != key.encode("utf-8", "replace"):
            raise Refused("string field contains invalid UTF-8")
        answer.kvs.add(key=key, value=value)
    return Answer.binary(answer.SerializeToString())


def is_json(value: bytes) -> bool:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def _tar(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for key, value in pairs:
            if "\0" in key or key.endswith("/"):
                return buffer.getvalue()  # DVID breaks off, too
            entry = tarfile.TarInfo(key)
            entry.size = len(value)
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(value))
    return buffer.getvalue()


def sorted_json(fields: dict[str, Any]) -> bytes:
    """JSON of a Go map whose nested maps are Go maps, too."""
    return go_json(_sorted(fields))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(each) for each in value]
    return value
