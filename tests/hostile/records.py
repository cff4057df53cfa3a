"""Records that no honest source writes, and what must become of each.

A value is bytes, or the fields of a message; ``ROOT`` and ``OTHER`` in it stand for the repo and for another
repo of the destination. What is not named is as DVID writes it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LABELS, KEYS, NEURONS, SYNAPSES = "segmentation", "segmentation_annotations", "neurons", "synapses"
REPO = None
ABSENT = "1" * 32
NOWHERE = 123_456_789
"""A body that no server has."""


@dataclass(frozen=True)
class Kept:
    """It goes to the quarantine, with these words; under `stop` the run stops at it."""

    words: str


@dataclass(frozen=True)
class Counted:
    """It is counted as an action that is not known, under a name that begins so."""

    action: str


@dataclass(frozen=True)
class Refused:
    """It is a message like any other, but the destination cannot do it: a conflict."""


@dataclass(frozen=True)
class Ahead:
    """Its key is much later than the source's clock: it waits, is shown, and holds up nothing."""


@dataclass(frozen=True)
class Harmless:
    """It is a message like any other; what it tells of is not so at the source, and is not so at the copy."""


Outcome = Kept | Counted | Refused | Ahead | Harmless


@dataclass(frozen=True)
class Hostile:
    """A record. `key` is the record's: None for one of the moment; `no_key` for none at all."""

    name: str
    instance: str | None
    value: bytes | Mapping[str, Any] | None
    outcome: Outcome
    key: bytes | None = None
    no_key: bool = False
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_ms: int | None = None

    def content(self, names: Mapping[str, str]) -> bytes | None:
        if self.value is None:
            return None
        value = self.value if isinstance(self.value, bytes) else json.dumps(self.value).encode()
        for name, uuid in names.items():
            value = value.replace(name.encode(), uuid.encode())
        return value


def message(action: str, **fields: Any) -> dict[str, Any]:
    return {"Action": action, "UUID": "ROOT", "MutationID": 2000, "User": "eve", "App": "x", **fields}


def merge(**fields: Any) -> dict[str, Any]:
    return message("merge-complete", **{"Target": 5, "Labels": [6], **fields})


def without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in fields.items() if each != name}


def merge_text(target: bytes = b"5", labels: bytes = b"[6]") -> bytes:
    return (
        b'{"Action":"merge-complete","UUID":"ROOT","MutationID":2000,"User":"e","App":"x","Target":%s,"Labels":%s}'
        % (target, labels)
    )


def deep(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + b"1" + closing * levels


def numbers() -> Iterator[Hostile]:
    for name, text in {
        "negative": b"-1",
        "float": b"5.0",
        "fraction": b"5.5",
        "text": b'"5"',
        "true": b"true",
        "2^64": b"18446744073709551616",
        "2^65": b"36893488147419103232",
        "null": b"null",
        "list": b"[5]",
        "object": b"{}",
        "exponent": b"1e3",
    }.items():
        yield Hostile(f"target {name}", LABELS, merge_text(target=text), Kept("'Target'"))
    for name, text in {"nan": b"NaN", "infinity": b"Infinity"}.items():
        yield Hostile(f"target {name}", LABELS, merge_text(target=text), Kept("no JSON"))
    for digits in (5_000, 100_000):
        yield Hostile(f"target of {digits} digits", LABELS, merge_text(target=b"9" * digits), Kept(""))
    for name, text in {
        "none": b"[]",
        "null": b"null",
        "text": b'"6"',
        "mixed": b'[6,"7"]',
        "negative": b"[-6]",
        "zero": b"[0]",
        "object": b'{"6":1}',
        "nested": b"[[6]]",
        "boolean": b"[true]",
        "float": b"[6.0]",
    }.items():
        yield Hostile(f"labels {name}", LABELS, merge_text(labels=text), Kept("'Labels'"))
    yield Hostile("into itself", LABELS, merge_text(labels=b"[5]"), Kept("merges body 5 into itself"))
    many = merge(Labels=[*range(1, 140_000), 0])
    yield Hostile("140,000 labels and the background", LABELS, many, Kept("'Labels'"))
    for name, value in {"negative": -5, "2^64": 2**64, "float": 5.0}.items():
        yield Hostile(f"mutation id {name}", LABELS, merge(MutationID=value), Kept("'MutationID'"))


def fields() -> Iterator[Hostile]:
    for name in ("Action", "UUID", "MutationID", "Target", "Labels"):
        yield Hostile(f"without {name}", LABELS, without(merge(), name), Kept(f"'{name}'"))
    wrong = {"number": 7, "list": ["a"], "object": {"a": 1}, "null": None, "boolean": True}
    for name in ("Action", "UUID", "MutationID", "User", "App", "Timestamp"):
        for kind, value in wrong.items():
            if (name, kind) != ("MutationID", "number"):
                yield Hostile(f"{name} is a {kind}", LABELS, merge(**{name: value}), Kept(f"'{name}'"))


def texts() -> Iterator[Hostile]:
    whole = json.dumps(merge()).encode()
    for name, value in {
        "garbage": b"\x00\xff\xfe garbage",
        "empty": b"",
        "byte order mark": b"\xef\xbb\xbf" + whole,
        "UTF-16": json.dumps(merge()).encode("utf-16"),
        "cut": whole[:-5],
        "two": whole + b"{}",
        "half of a pair": b'{"Action":"merge-complete","UUID":"\\ud800"}',
        "no UTF-8": b'{"Action":"merge-complete","UUID":"\xff\xfe"}',
    }.items():
        yield Hostile(f"JSON {name}", LABELS, value, Kept("no JSON"))
    yield Hostile("no value", LABELS, None, Kept("it has no value"))
    yield Hostile("a list", LABELS, b"[1,2]", Kept("no object"))
    yield Hostile("a text", LABELS, b'"x"', Kept("no object"))
    lines = b'"x\\n\\u001b[31mERROR fake line\\u001b[0m"'
    yield Hostile("lines and colours", LABELS, lines, Kept("no object"))
    twice = (
        b'{"Action":"bogus","Action":"merge-complete","UUID":"zz","MutationID":1,"Target":-1,"Labels":[6]}'
    )
    yield Hostile("a field twice", LABELS, twice, Kept("'Target'"))
    for levels in (500, 1000, 1020, 10_000, 400_000):
        yield Hostile(f"{levels} levels", LABELS, deep(levels), Kept(""))
    yield Hostile("labels of 1000 levels", LABELS, merge_text(labels=deep(1000)), Kept(""))
    yield Hostile("an action of 1000 levels", LABELS, b'{"Action":%s}' % deep(1000), Kept(""))
    yield Hostile("a target of 1000 objects", LABELS, merge_text(deep(1000, b'{"a":', b"}")), Kept(""))
    for kind in (KEYS, NEURONS, SYNAPSES, REPO):
        yield Hostile(f"garbage for {kind}", kind, b"\xff\x00", Kept("no JSON"))
        yield Hostile(f"depth for {kind}", kind, deep(1000), Kept(""))


def splits() -> Iterator[Hostile]:
    body = message("split-complete", Target=5, NewLabel=999, Split="ref")
    parts: dict[str, Any] = {
        "5000 digits": {"9" * 5000: {"Split": 1, "Remain": 2}},
        "a list": [1],
        "Arabic digits": {"\u0661": {"Split": 0, "Remain": 2}},
        "a superscript": {"\u00b2": {"Split": 1, "Remain": 2}},
        "a part of text": {"5": "x"},
    }
    for name, value in parts.items():
        yield Hostile(f"split by {name}", LABELS, {**body, "SVSplits": value}, Kept(""))
    lacking = message(
        "split-supervoxel-complete", Supervoxel=7, Body=7, SplitSupervoxel=900, RemainSupervoxel=901
    )
    yield Hostile("split without voxels", LABELS, lacking, Kept("'Split'"))
    taken: dict[str, Any] = {"Start Label": 50, "End Label": 40}
    yield Hostile("a range that ends first", LABELS, message("post-nextlabel", **taken), Kept("reserves"))
    taken = {"Start Label": "a", "End Label": 40}
    yield Hostile("a range of text", LABELS, message("post-nextlabel", **taken), Kept("'Start Label'"))
    yield Hostile("a negative top", LABELS, message("post-maxlabel", MaxLabel=-40), Kept("'MaxLabel'"))


def actions() -> Iterator[Hostile]:
    for name, action in {
        "unknown": "explode",
        "HTML": "<script>alert(1)</script>",
        "long": "x" * 900_000,
        "nothing": "",
        "only complete": "-complete",
        "complete twice": "merge-complete-complete",
    }.items():
        yield Hostile(f"action {name}", LABELS, message(action), Counted(f"labelmap {action[:20]}"))
    yield Hostile("action of a repo", REPO, message("delete"), Counted("repo delete"))
    headers = [("x", b"y" * 1000), ("Authorization", b"z"), ("", b"")]
    yield Hostile("headers", LABELS, message("explode"), Counted("labelmap explode"), headers=headers)


def keyvalues() -> Iterator[Hostile]:
    post = message("postkv", Key="q", Bytes=3)
    yield Hostile("no key to post", KEYS, without(post, "Key"), Kept("'Key'"))
    for name, key in {"key of nothing": "", "key of a number": 5}.items():
        yield Hostile(name, KEYS, {**post, "Key": key}, Kept("'Key'"))
    for name, size in {"negative": -3, "text": "3"}.items():
        yield Hostile(f"size {name}", KEYS, {**post, "Bytes": size}, Kept("'Bytes'"))
    yield Hostile("size of all", KEYS, {**post, "Bytes": 2**64 - 1}, Harmless())
    for name, key in {
        "a path": "../../x",
        "a dot": ".",
        "two dots": "..",
        "nul": "a\x00b",
        "a line": "a\nb",
        "percents": "a%2fb%00",
        "a query": "a?u=root&app=z#f",
        "directions": "\u202e\ufeff",
        # The sandbox's HTTP server takes paths of 65,535 bytes; longer keys are tried on a real DVID.
        "20,000 letters": "k" * 20_000,
        "a slash": "/",
        "a backslash": "a\\b",
    }.items():
        yield Hostile(f"post of {name}", KEYS, {**post, "Key": key}, Harmless())
        yield Hostile(f"delete of {name}", KEYS, message("delete", Key=key), Harmless())
    # No request line holds it: the run says so.
    yield Hostile("post of 900,000 letters", KEYS, {**post, "Key": "p" * 900_000}, Refused())
    deleted = message("delete", Key="d" * 900_000)
    yield Hostile("delete of 900,000 letters", KEYS, deleted, Refused())


def neurons_and_elements() -> Iterator[Hostile]:
    for name, key in {
        "text": "abc",
        "negative": "-1",
        "zero": "0",
        "2^64": str(2**64),
        "5000 digits": "9" * 5000,
        "a path": "../1",
        "a schema": "json_schema",
        "a slash": "1/2",
    }.items():
        yield Hostile(f"neuron {name}", NEURONS, message("postneuronjson", Key=key), Harmless())
    yield Hostile("neuron of a number", NEURONS, message("postneuronjson", Key=5), Kept("'Key'"))
    for name, more in {
        "none": {},
        "long": {"DataRef": "z" * 900_000},
        "of lines": {"DataRef": "a\nb"},
    }.items():
        yield Hostile(f"blob {name}", SYNAPSES, message("element-post", **more), Kept("'DataRef'"))
    for name, at in {"text": "1,2,3", "two": [1, 2], "far": [2**31, 0, 0], "fraction": [1.5, 0, 0]}.items():
        yield Hostile(f"point of {name}", SYNAPSES, message("element-delete", Point=at), Kept("'Point'"))
    edge = message("element-delete", Point=[-(2**31), 2**31 - 1, 0])
    yield Hostile("the last point", SYNAPSES, edge, Harmless())
    listed = message("element-delete", Point=[1, 2, 3], User=[1])
    yield Hostile("a list of users", SYNAPSES, listed, Kept("'User'"))


def record_keys() -> Iterator[Hostile]:
    for name, key in {
        "of nothing": b"",
        "of text": b"abc",
        "negative": b"-5",
        "of 30 digits": b"9" * 30,
        "2^63": str(2**63).encode(),
        "of Arabic digits": "\u0661\u0662".encode(),
        "nul": b"\x00",
        "long": b"1" * 900_000,
    }.items():
        yield Hostile(f"record key {name}", LABELS, merge(), Kept("is not a time"), key=key)
    yield Hostile("record key none", LABELS, merge(), Kept("its key is missing"), no_key=True)
    last = str(2**63 - 1).encode()
    yield Hostile("key of 2262", LABELS, merge(), Ahead(), key=last)
    yield Hostile("key of 2262, no time", LABELS, merge(), Ahead(), key=last, timestamp_ms=-1)
    later = str(time.time_ns() + 2 * 86_400 * 10**9).encode()
    yield Hostile("key in two days", LABELS, merge(), Ahead(), key=later)


def repo_operations() -> Iterator[Hostile]:
    child = message("newversion", Parent="ROOT")
    yield Hostile("no child", REPO, child, Kept("'Child'"))
    yield Hostile("child of a number", REPO, {**child, "Child": 5}, Kept("'Child'"))
    yield Hostile("child of lines", REPO, {**child, "Child": "a\nb"}, Kept("'Child'"))
    branch = message("branch", Parent="ROOT", Child=ABSENT)
    yield Hostile("no branch", REPO, branch, Kept("'Branch'"))
    yield Hostile("branch of a path", REPO, {**branch, "Branch": "a/../x"}, Kept("does not have"))
    yield Hostile("log of text", REPO, message("nodelog", Log="x"), Kept("'Log'"))
    yield Hostile("log of a number", REPO, message("nodelog", Log=["x", 5]), Kept("'Log'"))
    yield Hostile("note of a number", REPO, message("commit", Note=5), Kept("'Note'"))
    yield Hostile("commit of an open version", REPO, message("commit", Note="x"), Kept("open at the source"))
    yield Hostile("no type", REPO, message("newinstance", Dataname="x"), Kept("'Typename'"))
    evil = "evil<img src=x onerror=alert(1)>[c](javascript:alert(1))"
    made = message("newinstance", Dataname=evil, Typename="keyvalue")
    yield Hostile("an instance that is not there", REPO, made, Harmless())
    made = message("newinstance", Dataname="x", Typename="roi")
    yield Hostile("an instance of another type", REPO, made, Harmless())


def places() -> Iterator[Hostile]:
    for name, uuid in {
        "absent": ABSENT,
        "short": "abc",
        "a path": "../../repos",
        "percents": "%2e%2e%2f",
        "1024 letters": "a" * 1024,
        "a branch": "BR:feature/x",
        "first letters": "SHORT",
        "capitals": "CAPITALS",
        "the master": "ROOT:master",
        "another repo's": "OTHER",
    }.items():
        yield Hostile(f"merge in {name}", LABELS, merge(UUID=uuid), Kept("does not have"))
        post = message("postkv", Key="z", Bytes=3, UUID=uuid)
        yield Hostile(f"key in {name}", KEYS, post, Kept("does not have"))
        yield Hostile(
            f"commit of {name}", REPO, message("commit", UUID=uuid, Note="x"), Kept("does not have")
        )
    for name, uuid in {"lines": "a\nb", "1025 letters": "a" * 1025}.items():
        yield Hostile(f"merge in {name}", LABELS, merge(UUID=uuid), Kept("cannot be a name"))
        yield Hostile(f"commit of {name}", REPO, message("commit", UUID=uuid), Kept("cannot be a name"))
    other = {
        "neuron": (NEURONS, message("postneuronjson", Key="5", UUID=ABSENT)),
        "element": (SYNAPSES, message("element-delete", Point=[1, 2, 3], UUID=ABSENT)),
        "top": (LABELS, message("post-maxlabel", MaxLabel=40, UUID=ABSENT)),
        "child of another repo": (REPO, message("newversion", Parent="OTHER", Child=ABSENT, Note="x")),
        "note in another repo": (REPO, message("nodenote", UUID="OTHER", Note="x")),
        "commit of a key": (REPO, message("commit", UUID=f"ROOT/{KEYS}/key/evil", Note="x")),
        "log of a neuron": (REPO, message("nodelog", UUID=f"ROOT/{NEURONS}/key/777", Log=["x"])),
        "commit of labels": (REPO, message("commit", UUID=f"ROOT/{LABELS}/nextlabel/100000", Note="x")),
    }
    for name, (instance, value) in other.items():
        yield Hostile(f"{name} that is nowhere", instance, value, Kept("does not have"))


def operations() -> Iterator[Hostile]:
    """Of bodies that no server has."""
    yield Hostile("merge into the background", LABELS, merge(Target=0), Refused())
    others: dict[str, dict[str, Any]] = {
        "any": {},
        "user of 20,000 letters": {"User": "u" * 20_000},
        "highest mutation id": {"MutationID": 2**63},
    }
    for name, more in others.items():
        fields = {"Target": NOWHERE, "Labels": [NOWHERE + 1], **more}
        yield Hostile(f"merge, {name}", LABELS, merge(**fields), Refused())


TABLES = (
    numbers,
    fields,
    texts,
    splits,
    actions,
    keyvalues,
    neurons_and_elements,
    record_keys,
    repo_operations,
    places,
    operations,
)
RECORDS = [record for table in TABLES for record in table()]
