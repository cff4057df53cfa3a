"""Work on the DAG: commits, new versions, branches, tags, notes, logs, new instances."""

from __future__ import annotations

from dvid_sandbox.proofreaders.client import REFUSED
from dvid_sandbox.proofreaders.person import Person, node_path


def commit(person: Person) -> None:
    """Locks the version in hand and goes on in a child of it."""
    if person.workplace.versions >= person.max_versions:
        return
    version, workplace = person.version, person.workplace
    note = {"note": f"done by {person.name}", "log": ["checked", "locked"]}
    if not person.post(node_path(version, "commit"), note).meant:
        return
    workplace.lock(version)
    made = person.post(node_path(version, "newversion"), {"note": f"after {version[:6]}"})
    if made.meant:
        workplace.add(str(made.json()["child"]), version)


def branch(person: Person) -> None:
    """From a locked version."""
    workplace = person.workplace
    if not workplace.locked or workplace.versions >= person.max_versions:
        return
    parent = person.random.choice(workplace.locked)
    name = f"trial-{len(workplace.branches)}"
    made = person.post(node_path(parent, "branch"), {"branch": name, "note": "a trial"})
    if made.meant:
        workplace.add(str(made.json()["child"]), parent, name)
        workplace.branched.append((parent, name))


def tag(person: Person) -> None:
    """Makes a locked child whose UUID is the tag's name, which no other version on the server has."""
    workplace = person.workplace
    if not workplace.locked or workplace.versions >= person.max_versions:
        return
    parent = person.random.choice(workplace.locked)
    name = f"release-{workplace.root[:6]}-{len(workplace.branches)}"
    made = person.post(node_path(parent, "tag"), {"tag": name, "note": "a release"})
    if made.meant:
        workplace.add(str(made.json()["child"]), parent, f"tag-{name}", locked=True)


def note(person: Person) -> None:
    person.post(person.path("note"), {"note": f"{person.name} was here {person.random.randrange(1000)}"})


def log(person: Person) -> None:
    person.post(person.path("log"), {"log": [f"line {person.random.randrange(1000)}", "ü"]})


def new_instance(person: Person) -> None:
    """A keyvalue instance, born in the version in hand and used from then on."""
    workplace = person.workplace
    name = f"born_{len(workplace.instances['keyvalue'])}"
    path = f"/api/repo/{person.version}/instance"
    if person.post(path, {"typename": "keyvalue", "dataname": name}).meant:
        workplace.instances["keyvalue"].append(name)


def refused_commit(person: Person) -> None:
    """Of a version that is locked."""
    if person.workplace.locked:
        locked = person.random.choice(person.workplace.locked)
        person.post(node_path(locked, "commit"), {"note": "again"}, meant=REFUSED)


def refused_newversion(person: Person) -> None:
    """Of a version that is open: published too."""
    person.post(person.path("newversion"), {"note": "too early"}, meant=REFUSED)


def refused_branch(person: Person) -> None:
    """Once more from the same version: published too."""
    if person.workplace.branched:
        parent, name = person.random.choice(person.workplace.branched)
        person.post(node_path(parent, "branch"), {"branch": name}, meant=REFUSED)


def refused_tag(person: Person) -> None:
    """Of a version that is open."""
    person.post(person.path("tag"), {"tag": "too-early", "note": "open"}, meant=REFUSED)


def refused_write(person: Person) -> None:
    """Into a version that is locked."""
    if person.workplace.locked:
        locked = person.random.choice(person.workplace.locked)
        person.post(node_path(locked, person.workplace.segmentation, "merge"), [1, 2], meant=REFUSED)
