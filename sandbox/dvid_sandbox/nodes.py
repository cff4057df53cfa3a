"""Requests that go to a version: notes, logs, commits, children, tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.golang import go_json, go_quote
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import read_json_object

if TYPE_CHECKING:
    from dvid_sandbox.datastore import Datastore


def handle(datastore: Datastore, exchange: Exchange, place: Place) -> Answer | None:
    """Answers a request to ``/api/node/UUID/ACTION``; None if there is no such action."""
    action, method = exchange.parts[2], exchange.method
    branching = action in ("branch", "newversion", "tag")
    if place.node.locked and not exchange.admin and not branching and method not in ("GET", "HEAD"):
        raise Refused(f"Cannot do {method.lower()} on locked node {place.uuid}")
    match [method, action]:
        case ["GET", "note"]:
            return Answer.json(go_json({"note": place.node.note}))
        case ["GET", "log"]:
            return Answer.json(go_json({"log": place.node.log}))
        case ["GET", "status" | "commit"]:
            return Answer.json(f'{{"Locked":{"true" if place.node.locked else "false"}}}')
        case ["POST", "note"]:
            return _post_note(exchange, place)
        case ["POST", "log"]:
            lines = read_lines(exchange)
            place.node.add_to_log(lines, exchange.moment.now())
            place.repo.publish(exchange, {"Action": "nodelog", "UUID": place.uuid, "Log": lines})
            return Answer()
        case ["POST", "commit"]:
            return _commit(exchange, place)
        case ["POST", "newversion"]:
            return _new_version(datastore, exchange, place)
        case ["POST", "branch"]:
            return _branch(datastore, exchange, place)
        case ["POST", "tag"]:
            return _tag(datastore, exchange, place)
    return None


def _post_note(exchange: Exchange, place: Place) -> Answer:
    given = read_json_object(exchange.body, "Malformed JSON request in body")
    if "note" not in given:
        raise Refused("Could not find 'note' value in POSTed JSON.")
    place.node.note = str(given["note"])
    place.node.updated = place.repo.updated = exchange.moment.now()
    place.repo.publish(exchange, {"Action": "nodenote", "UUID": place.uuid, "Note": place.node.note})
    return Answer()


def _commit(exchange: Exchange, place: Place) -> Answer:
    if place.node.locked:
        raise Refused("Could not post to locked node")
    given = read_json_object(exchange.body, "Malformed JSON request in body")
    note, log = str(given.get("note", "")), given.get("log")
    place.repo.commit(place.node, note, list(log or []), exchange.moment.now())
    message = {"Action": "commit", "UUID": place.uuid, "Note": note, "Log": log}
    place.repo.publish(exchange, message)
    return Answer.json(f'{{"committed": "{place.uuid}"}}')


def _new_version(datastore: Datastore, exchange: Exchange, place: Place) -> Answer:
    given = read_json_object(exchange.body, "Malformed JSON request in body")
    note = str(given.get("note", ""))
    message = {"Action": "newversion", "Parent": place.uuid, "Child": "", "Note": note}
    return _told_child(datastore, exchange, place, _uuid(given), note, "", message)


def _branch(datastore: Datastore, exchange: Exchange, place: Place) -> Answer:
    given = read_json_object(exchange.body, "Malformed JSON request in body")
    note, branch = str(given.get("note", "")), str(given.get("branch", ""))
    uuid = _uuid(given)
    if branch in ("", "master"):
        raise Refused("Cannot create a master branch")
    message = {"Action": "branch", "Parent": place.uuid, "Child": "", "Branch": branch, "Note": note}
    return _told_child(datastore, exchange, place, uuid, note, branch, message)


def _told_child(
    datastore: Datastore,
    exchange: Exchange,
    place: Place,
    uuid: str | None,
    note: str,
    branch: str,
    message: dict[str, Any],
) -> Answer:
    """A refused child is published, too, without its UUID."""
    try:
        message["Child"] = datastore.new_child(exchange, place, uuid, note, branch)
    finally:
        place.repo.publish(exchange, message)
    return Answer.json(f'{{"child": "{message["Child"]}"}}')


def _tag(datastore: Datastore, exchange: Exchange, place: Place) -> Answer:
    given = read_json_object(exchange.body, "Malformed JSON request in body")
    tag = str(given.get("tag", ""))
    branch, note = f"tag-{tag}", f"Tag of version {place.uuid} with {go_quote(tag)}"
    try:
        child = datastore.new_child(exchange, place, tag, str(given.get("note", "")), branch)
    except Refused as error:
        path = exchange.path
        # The real server goes on and complains once more, about the topic of the child that is not there.
        raise Refused(
            f"{error} ({path}).\nError on sending branch op to kafka: UUID is not present in datastore\n"
        ) from None
    message = {
        "Action": "tag",
        "Parent": place.uuid,
        "Child": child,
        "Branch": branch,
        "Tag": tag,
        "Note": note,
    }
    place.repo.publish(exchange, message)
    place.repo.commit(datastore.find(child).node, note, [], exchange.moment.now())
    return Answer.json(f'{{"child": "{child}"}}')


def read_lines(exchange: Exchange) -> list[str]:
    given = read_json_object(exchange.body, "Malformed JSON request in body")
    if "log" not in given:
        raise Refused("Could not find 'log' value in POSTed JSON.")
    return [str(each) for each in given["log"] or []]


def _uuid(given: dict[str, Any]) -> str | None:
    uuid = str(given.get("uuid") or "")
    if not uuid:
        return None
    if len(uuid) != 32:
        raise Refused("Bad UUID provided: UUID must be 32 character hexadecimal string")
    try:
        bytes.fromhex(uuid)
    except ValueError:
        raise Refused("Bad UUID provided: encoding/hex: invalid byte") from None
    return uuid
