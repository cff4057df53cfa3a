"""Which instance tables are of, and in which version an instance surely was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.destinations.bucket.draft import owners
from dvidsync_dagster.destinations.bucket.instance_identity import SECOND, are_of_another, is_newborn, was_in
from dvidsync_dagster.dvid.repo import Instance, RepoInfo, Version
from dvidsync_dagster.dvid.repo_log import born
from dvidsync_dagster.snapshot.pointer import BranchState

NOW = 100 * SECOND
KEYS = Instance("keys", "keyvalue", "1")


def state(
    instances: Mapping[str, str] | None, *, at: int = NOW, committed: str = "v1", read: int = 0
) -> BranchState:
    known = dict(instances) if instances is not None else None
    return BranchState(uuid="v2", committed=committed, log_time_ns=at, base_read_ns=read, instances=known)


def test_another_instance_has_another_data_uuid() -> None:
    assert not are_of_another(state({"keys": "1"}), KEYS, {})
    assert are_of_another(state({"keys": "2"}), KEYS, {})
    assert not are_of_another(state({"other": "2"}), KEYS, {})  # it has no tables


def test_where_it_is_not_told_whose_tables_are_a_younger_instance_is_another() -> None:
    assert not are_of_another(state(None), KEYS, {})
    assert not are_of_another(state(None), KEYS, {"keys": NOW})  # in that second
    assert are_of_another(state(None, at=NOW - 1), KEYS, {"keys": NOW})


def test_a_newborn_was_not_there_in_the_run_before() -> None:
    assert is_newborn(state({}), KEYS, {"keys": NOW + SECOND})
    assert is_newborn(state({}), KEYS, {"keys": NOW})  # in that second
    assert is_newborn(state({"keys": "2"}), KEYS, {"keys": NOW + SECOND})
    assert not is_newborn(state({"old name": "1"}), KEYS, {"keys": NOW + SECOND})
    assert not is_newborn(state(None), KEYS, {"keys": NOW + SECOND})


def test_what_is_older_or_of_unknown_age_is_no_newborn() -> None:
    assert not is_newborn(state({}), KEYS, {"keys": NOW - SECOND})
    assert not is_newborn(state({}), KEYS, {})


def test_what_was_made_before_an_open_root_was_read_is_no_newborn() -> None:
    read = NOW + SECOND // 2
    assert not is_newborn(state({}, committed="", read=read), KEYS, {"keys": NOW})
    assert is_newborn(state({}, committed="", read=read), KEYS, {"keys": NOW + SECOND})


NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["make", "delete", "rename", "run"]), NAMES, NAMES, st.integers(1, 2 * SECOND)),
    max_size=25,
)


class History:
    """A source whose instances come and go, and a snapshot whose runs see some of it.

    Args:
        instances: by name their data UUIDs.
        births: by data UUID, to the nanosecond.
        whose: by name the data UUIDs of the instances that tables are of.
    """

    def __init__(self) -> None:
        self.clock = SECOND
        self.instances: dict[str, str] = {}
        self.births: dict[str, int] = {}
        self.log: list[str] = []
        self.whose: dict[str, str] = {}
        self.state = state({}, at=0)

    def change(self, what: str, name: str, other: str) -> None:
        if what == "make" and name not in self.instances:
            self.instances[name] = str(len(self.births))
            self.births[self.instances[name]] = self.clock
            moment = datetime.fromtimestamp(self.clock // SECOND, UTC).isoformat()
            self.log.append(f'{moment}  New data instance "{name}" of type "keyvalue"')
        elif what == "delete":
            self.instances.pop(name, None)
        elif what == "rename" and name in self.instances and other not in self.instances:
            self.instances[other] = self.instances.pop(name)
            self.log.append(f'1970-01-01T00:00:00Z  Renamed data instance "{name}" to "{other}"')

    def run(self, behind: int) -> None:
        """A run up to a moment that is not later than its look at the source."""
        cut = max(self.state.log_time_ns, self.clock - behind)
        known = born(self.log)
        for name, uuid in self.instances.items():
            instance = Instance(name, "keyvalue", uuid)
            if name in self.whose:
                assert are_of_another(self.state, instance, known) == (self.whose[name] != uuid)
            is_new = is_newborn(self.state, instance, known)
            assert is_new == (uuid not in (self.state.instances or {}).values())
            if is_new:
                assert self.births[uuid] > self.state.log_time_ns
        self.whose = dict(self.instances)
        self.state = state(self.instances, at=cut)


@given(STEPS)
def test_no_run_takes_an_instance_for_another_or_for_newer_than_it_is(
    steps: list[tuple[str, str, str, int]],
) -> None:
    history = History()
    for what, name, other, later in steps:
        history.clock += later
        if what == "run":
            history.run(behind=later if other == "a" else 0)
        else:
            history.change(what, name, other)


# The versions v0 <- v1 <- v2, and v9 on another branch from v0.
PARENTS = {"v0": (), "v1": ("v0",), "v2": ("v1",), "v9": ("v0",)}
REPO = RepoInfo(
    "v0",
    {
        uuid: Version(uuid, number, parents, "", uuid != "v2", "", ())
        for number, (uuid, parents) in enumerate(PARENTS.items())
    },
    {},
    0,
)


def labels(made_in: str) -> Instance:
    return Instance("labels", "labelmap", "1", base={"RepoUUID": made_in} if made_in else {})


@pytest.mark.parametrize(
    ("made_in", "made", "committed", "was_there"),
    [
        ("v0", NOW - SECOND, NOW, True),
        ("v1", NOW, NOW, True),  # in the second of the commit, while it was open
        ("v1", NOW + SECOND, NOW, False),  # an administrator made it later
        ("v2", NOW - SECOND, NOW, False),  # whatever the times say
        ("v2", 0, 0, False),
        ("v9", NOW - SECOND, NOW, True),
        ("v9", NOW, NOW, False),  # in that second: it cannot be told
        ("v9", NOW - SECOND, 0, False),
        ("", NOW, NOW + SECOND - 1, False),
        ("", NOW, NOW + SECOND, True),
        ("elsewhere", NOW, NOW, False),
        ("", 0, NOW, True),
        ("v0", NOW, 0, True),
    ],
)
def test_a_version_holds_an_instance_that_was_made_before_its_commit(
    made_in: str, made: int, committed: int, was_there: bool
) -> None:
    born = {"labels": made} if made else {}
    assert was_in(labels(made_in), REPO.versions["v1"], REPO, born, committed) == was_there


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_no_instance_is_taken_for_older_than_it_can_be(made: int, committed: int) -> None:
    """From the second alone in which it was made, and without any word about where."""
    told = made // SECOND * SECOND
    if was_in(labels(""), REPO.versions["v1"], REPO, {"labels": told}, committed) and told:
        assert made <= committed


def test_pins_tell_whose_their_tables_are() -> None:
    known = state({"keys": "1", "labels": "2", "a/b": "3", "labels2": "4"})
    tables = ["keys", "labels/mapping", "a~2Fb", "versions", "dvidsync/points"]
    assert owners(known, tables) == {"keys": "1", "labels": "2", "a/b": "3"}
    assert owners(state(None), tables) == {}
