"""Work on the labelmap: bodies merged, cleaved, renumbered and split, ids reserved, counters raised."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dvid_sandbox.proofreaders.client import REFUSED
from dvid_sandbox.proofreaders.person import Person
from dvid_sandbox.proofreaders.repo import BLOCK

Runs = npt.NDArray[np.int32]
"""Array of shape (N, 4): x, y, z and length of a run of voxels along x."""

RUNS_HEADER = bytes((0, 3, 0, 0, 0, 0, 0, 0))
NOBODY = 10**15
"""Added to a label to name one that does not exist."""

RETIRED_SHARE = 0.02
"""How many of the merged away labels become the name of a body once more."""

TRIES = 5
"""How many bodies a person looks at for one of several supervoxels."""


def merge(person: Person) -> None:
    count = 2 + min(int(person.random.expovariate(1.0)), 8)
    bodies = person.pool.take(person.random, count)
    if bodies and person.post(person.labelmap("merge"), bodies).meant:
        person.pool.give(bodies[0], several=True)
        if person.random.random() < RETIRED_SHARE:
            person.pool.give_spare(bodies[1:2])


def cleave(person: Person) -> None:
    body, supervoxels = _body_of_several(person)
    if body is None:
        return
    person.random.shuffle(supervoxels)
    count = min(1 + int(person.random.expovariate(0.7)), len(supervoxels) - 1)
    done = person.post(person.labelmap("cleave", body), supervoxels[:count])
    if done.meant:
        person.pool.give(body, several=len(supervoxels) - count > 1)
        person.pool.give(int(done.json()["CleavedLabel"]), several=count > 1)


def renumber(person: Person) -> None:
    """To an id that was reserved, or is free again."""
    bodies = person.pool.take(person.random)
    if not bodies:
        return
    several = bodies[0] in person.pool.several
    new = person.pool.take_spare(person.random) or _reserved(person, 1)[0]
    if person.post(person.labelmap("renumber"), [new, bodies[0]]).meant:
        person.pool.give(new, several=several)


def renumber_up(person: Person) -> None:
    """To an id that the counter has not reached, which raises it. Only where one works at a time and the
    counter is not set by hand: elsewhere a cleave could be given the id of a body."""
    extended = person.client.read_json(person.labelmap("info"))["Extended"]
    bodies = person.pool.take(person.random)
    if not bodies:
        return
    several = bodies[0] in person.pool.several
    new = _next(person) + person.random.randint(0, 40)
    if person.workplace.people > 1 or extended.get("NextLabel"):
        new = _reserved(person, 1)[0]
    if person.post(person.labelmap("renumber"), [new, bodies[0]]).meant:
        person.pool.give(new, several=several)


def reserve(person: Person) -> None:
    """`nextlabel`: ids, some of which are used later."""
    ids = _reserved(person, person.random.randint(1, 6))
    person.pool.give_spare(ids[: person.random.randint(0, len(ids))])


def raise_maxlabel(person: Person) -> None:
    highest = int(person.client.read_json(person.labelmap("maxlabel"))["maxlabel"])
    person.post(person.labelmap("maxlabel", highest + person.random.randint(1, 200)), admin=True)


def set_nextlabel(person: Person) -> None:
    """Always upwards, so that no id is given twice."""
    person.post(person.labelmap("set-nextlabel", _next(person) + person.random.randint(50, 500)), admin=True)


def split_supervoxel(person: Person) -> None:
    bodies = person.pool.take(person.random)
    if not bodies:
        return
    supervoxels = _supervoxels(person, bodies[0])
    supervoxel = person.random.choice(supervoxels)
    part = _part(person, _runs(person, supervoxel))
    if part is None:
        person.pool.give(bodies[0], several=len(supervoxels) > 1)
        return
    query = {}
    if person.random.random() < 0.3:
        split, remain = _reserved(person, 2)
        query = {"split": str(split), "remain": str(remain)}
    done = person.post(person.labelmap("split-supervoxel", supervoxel), sparse_volume(part), query=query)
    if done.meant:
        person.pool.give(bodies[0], several=True)


def split(person: Person) -> None:
    """A part of a body, across up to three of its supervoxels. Needs a server that has the endpoint on."""
    bodies = person.pool.take_of_several(person.random)
    if not bodies:
        return
    supervoxels = _supervoxels(person, bodies[0])
    chosen = person.random.sample(supervoxels, min(len(supervoxels), person.random.randint(1, 3)))
    parts = [part for each in chosen if (part := _part(person, _runs(person, each))) is not None]
    if not parts:
        person.pool.give(bodies[0], several=len(supervoxels) > 1)
        return
    done = person.post(person.labelmap("split", bodies[0]), sparse_volume(np.concatenate(parts)))
    if done.meant:
        person.pool.give(bodies[0], several=len(supervoxels) > 1)
        person.pool.give(int(done.json()["label"]), several=len(parts) > 1)


def split_whole(person: Person) -> None:
    """A body, along the border of its supervoxels: one of them goes over whole."""
    body, supervoxels = _body_of_several(person)
    if body is None:
        return
    whole = _runs(person, person.random.choice(supervoxels))
    done = person.post(person.labelmap("split", body), sparse_volume(whole))
    if done.meant:
        person.pool.give(body, several=len(supervoxels) > 2)
        person.pool.give(int(done.json()["label"]), several=False)


def refused_merge(person: Person) -> None:
    bodies = person.pool.take(person.random)
    if bodies:
        several = bodies[0] in person.pool.several
        person.post(person.labelmap("merge"), [bodies[0], bodies[0] + NOBODY], meant=REFUSED)
        person.pool.give(bodies[0], several=several)


def refused_cleave(person: Person) -> None:
    """A supervoxel that is not in the body: uses up an id."""
    bodies = person.pool.take(person.random)
    if bodies:
        several = bodies[0] in person.pool.several
        person.post(person.labelmap("cleave", bodies[0]), [bodies[0] + NOBODY], meant=REFUSED)
        person.pool.give(bodies[0], several=several)


def unread_cleave(person: Person) -> None:
    """A request that is no JSON: uses up an id, and no message tells."""
    bodies = person.pool.take(person.random)
    if bodies:
        several = bodies[0] in person.pool.several
        person.post(person.labelmap("cleave", bodies[0]), b"[", meant=REFUSED)
        person.pool.give(bodies[0], several=several)


def refused_renumber(person: Person) -> None:
    """To the id of another body."""
    bodies = person.pool.take(person.random, 2)
    if bodies:
        several = [body in person.pool.several for body in bodies]
        person.post(person.labelmap("renumber"), bodies, meant=REFUSED)
        for body, many in zip(bodies, several, strict=True):
            person.pool.give(body, several=many)


def refused_split_supervoxel(person: Person) -> None:
    """A voxel more than the supervoxel has: uses up two ids."""
    bodies = person.pool.take(person.random)
    if bodies:
        supervoxels = _supervoxels(person, bodies[0])
        runs = _runs(person, supervoxels[0])[:1].copy()
        if (runs[0, 0] + runs[0, 3]) % BLOCK:
            runs[0, 3] += 1
        else:
            runs[0, 0] -= 1
        person.post(person.labelmap("split-supervoxel", supervoxels[0]), sparse_volume(runs), meant=REFUSED)
        person.pool.give(bodies[0], several=len(supervoxels) > 1)


def split_nothing(person: Person) -> None:
    """Voxels far from the supervoxel: a server takes them, and all voxels go to the remaining one."""
    bodies = person.pool.take(person.random)
    if bodies:
        supervoxels = _supervoxels(person, bodies[0])
        far = np.array([[100_000, 100_000, 100_000, 3]], np.int32)
        person.post(person.labelmap("split-supervoxel", supervoxels[0]), sparse_volume(far))
        person.pool.give(bodies[0], several=len(supervoxels) > 1)


def cleave_nothing(person: Person) -> None:
    """No supervoxels: a server takes it, and makes a body of nothing."""
    bodies = person.pool.take(person.random)
    if bodies:
        several = bodies[0] in person.pool.several
        person.post(person.labelmap("cleave", bodies[0]), [])
        person.pool.give(bodies[0], several=several)


def sparse_volume(runs: Runs) -> bytes:
    """A sparse volume as DVID takes it: header, number of runs, runs by z, y, x."""
    ordered = _in_order(runs)
    return RUNS_HEADER + len(ordered).to_bytes(4, "little") + ordered.astype("<i4").tobytes()


def _body_of_several(person: Person) -> tuple[int | None, list[int]]:
    """A taken body of several supervoxels, and these; the ones looked at in vain are given back."""
    for _ in range(TRIES):
        bodies = person.pool.take_of_several(person.random)
        if not bodies:
            break
        supervoxels = _supervoxels(person, bodies[0])
        if len(supervoxels) > 1:
            return bodies[0], supervoxels
        person.pool.give(bodies[0], several=False)
    return None, []


def _supervoxels(person: Person, body: int) -> list[int]:
    return sorted(person.client.read_json(person.labelmap("supervoxels", body)))


def _runs(person: Person, supervoxel: int) -> Runs:
    content = person.client.read(person.labelmap("sparsevol", supervoxel) + "?supervoxels=true")
    return _in_order(np.frombuffer(content, "<i4", offset=len(RUNS_HEADER) + 4).reshape(-1, 4))


def _in_order(runs: Runs) -> Runs:
    """By z, y, x; a server gives them in any order, and the seed alone should choose among them."""
    return runs[np.lexsort((runs[:, 0], runs[:, 1], runs[:, 2]))]


def _part(person: Person, runs: Runs) -> Runs | None:
    """Some voxels of a supervoxel, never all: a slab of runs, or the front of each run."""
    if person.random.random() < 0.5 and len(runs) > 1:
        return runs[: person.random.randint(1, len(runs) - 1)]
    long = runs[runs[:, 3] > 1].copy()
    if not len(long):
        return runs[:1] if len(runs) > 1 else None
    long[:, 3] = person.random.randint(1, int(long[:, 3].min()) - 1)
    return long


def _next(person: Person) -> int:
    return int(person.client.read_json(person.labelmap("nextlabel"))["nextlabel"])


def _reserved(person: Person, count: int) -> list[int]:
    answer = person.post(person.labelmap("nextlabel", count)).json()
    return list(range(int(answer["start"]), int(answer["end"]) + 1))
