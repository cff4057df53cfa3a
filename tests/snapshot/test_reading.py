"""A reader gets one consistent point, whatever is written meanwhile and whichever run was killed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dvidsync_dagster.snapshot
from dvidsync_dagster.errors import ConfigurationError, SnapshotDamaged
from dvidsync_dagster.snapshot.pointer import BranchState, Pointer, TableState
from dvidsync_dagster.snapshot.points import POINTS, Point, appended, in_order
from dvidsync_dagster.snapshot.store import Bucket
from tests.snapshot.followed import EDITS, KEYS, LARGE, MAPPING, REPO, Follower, Killed, hour

FIRST = {MAPPING.path: [{"sv": sv, "body": sv} for sv in (1, 2, LARGE)]}


def merge(target: int, *supervoxels: int) -> dict[str, list[dict[str, Any]]]:
    """The supervoxels come to a body."""
    return {
        MAPPING.path: [{"sv": sv, "body": target} for sv in supervoxels],
        EDITS.path: [
            {"log_time": hour(0), "sv": sv, "body_before": sv, "body_after": target} for sv in supervoxels
        ],
    }


def body_of(folder: Path, **how: Any) -> dict[int, int]:
    frame = dvidsync_dagster.snapshot.open(str(folder), **how)["segmentation/mapping"]
    return dict(zip(frame["sv"], frame["body"], strict=True))


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    """At hour 1, nothing is merged."""
    follower = Follower(Bucket.at(str(tmp_path)))
    follower.first(hour(1), FIRST)
    return follower


def test_a_reader_gets_the_point_that_the_pointer_names(follower: Follower, tmp_path: Path) -> None:
    follower.chunk(hour(2), merge(1, 2))
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path))
    assert dataset.log_time == hour(2)
    assert dataset.uuid == "a" * 32
    assert dataset.branch == "master"
    assert dataset.checkpoint is not None
    assert list(dataset) == [POINTS.path, "notes", "segmentation/edits", "segmentation/mapping"]
    assert dataset.uri("notes") == f"{tmp_path}/master/notes"
    assert dataset.delta_version("segmentation/mapping") == 1
    held = dataset.tables["segmentation/mapping"]
    assert (held.rows, held.text) == (3, MAPPING.text)
    assert held.columns == MAPPING.columns
    assert body_of(tmp_path) == {1: 1, 2: 1, LARGE: LARGE}


def test_what_is_written_meanwhile_changes_nothing_for_a_reader(follower: Follower, tmp_path: Path) -> None:
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path))
    follower.chunk(hour(2), merge(1, 2))
    with suppress(Killed):
        follower.chunk(hour(3), merge(2, 1), killed_after=1)
    assert dict(dataset["segmentation/mapping"].to_numpy()) == {1: 1, 2: 2, LARGE: LARGE}
    assert dataset["segmentation/edits"].empty
    assert dvidsync_dagster.snapshot.open(str(tmp_path)).log_time == hour(2)
    assert body_of(tmp_path) == {1: 1, 2: 1, LARGE: LARGE}


def test_labels_are_exact_integers_and_times_are_utc(follower: Follower, tmp_path: Path) -> None:
    row = {"log_time": hour(2), "sv": LARGE, "body_before": LARGE, "body_after": None}
    follower.chunk(hour(2), {EDITS.path: [row], KEYS.path: [{"key": "ä", "value": b"\0"}]})
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path))
    edits = dataset.frame("segmentation/edits")
    assert edits["sv"].dtype == pd.Int64Dtype()
    assert edits["sv"][0] == LARGE
    assert edits["body_before"].dtype == pd.Int64Dtype()
    assert edits["body_before"][0] == LARGE
    assert edits["body_after"][0] is pd.NA
    assert edits["log_time"][0] == pd.Timestamp(hour(2))
    assert str(edits["log_time"].dt.tz) == "UTC"
    assert dataset["notes"].to_dict("records") == [{"key": "ä", "value": b"\0"}]


@pytest.mark.usefixtures("follower")
def test_labels_stay_exact_where_a_join_finds_none(tmp_path: Path) -> None:
    """pandas makes floats of its own integers there, and 2^53 is the last that those tell from the next."""
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path))
    library: dict[str, Any] = {}
    exec(dataset.lines("pandas")["segmentation/mapping"], library)
    for mapping in (dataset.frame("segmentation/mapping"), library["df"]):
        bodies = pd.DataFrame({"sv": [LARGE, 99]}).join(mapping.set_index("sv"), on="sv")["body"]
        assert bodies[0] == LARGE
        assert pd.isna(bodies[1])


@pytest.mark.usefixtures("follower")
def test_columns_can_be_chosen(tmp_path: Path) -> None:
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path))
    assert list(dataset.frame("segmentation/mapping", ["body"])) == ["body"]
    assert dataset.arrow("segmentation/mapping", ["body", "sv"]).column_names == ["body", "sv"]
    assert sum(map(len, dataset.batches("segmentation/mapping"))) == 3
    assert dataset.arrow("segmentation/edits").schema.field("sv").type == pa.int64()


def test_an_earlier_point_is_that_at_or_before_the_time(follower: Follower, tmp_path: Path) -> None:
    follower.chunk(hour(3), merge(1, 2))
    follower.chunk(hour(5), merge(1, LARGE), uuid="b" * 32)
    for at, log_time, uuid, merged in [
        (hour(1), hour(1), "a", {}),
        (hour(3) - timedelta(microseconds=1), hour(1), "a", {}),
        (hour(3), hour(3), "a", {2: 1}),
        (hour(4), hour(3), "a", {2: 1}),
        (hour(5), hour(5), "b", {2: 1, LARGE: 1}),
        (hour(9), hour(5), "b", {2: 1, LARGE: 1}),
    ]:
        dataset = dvidsync_dagster.snapshot.open(str(tmp_path), at=at)
        assert dataset.log_time == log_time
        assert dataset.uuid == uuid * 32
        assert body_of(tmp_path, at=at) == {1: 1, 2: 2, LARGE: LARGE, **merged}
    berlin = datetime.fromisoformat("2026-11-01T04:30:00+01:00")
    assert dvidsync_dagster.snapshot.open(str(tmp_path), at=berlin).log_time == hour(3)


def test_the_time_of_a_point_finds_it(follower: Follower, tmp_path: Path) -> None:
    follower.chunk(hour(2), merge(1, 2), more_ns=567)
    newest = dvidsync_dagster.snapshot.open(str(tmp_path))
    follower.chunk(hour(3), merge(1, LARGE))
    for _ in range(2):
        assert newest.log_time == hour(2)
        assert dvidsync_dagster.snapshot.open(str(tmp_path), at=newest.log_time).log_time == hour(2)
        assert body_of(tmp_path, at=newest.log_time) == {1: 1, 2: 1, LARGE: LARGE}
        newest = dvidsync_dagster.snapshot.open(str(tmp_path), at=newest.log_time)


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(
            st.sets(st.sampled_from([MAPPING.path, EDITS.path, KEYS.path]), min_size=1),
            st.sampled_from([None, None, 0, 1, 2, 3]),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_each_committed_point_can_be_read_whatever_killed_runs_left(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[tuple[set[str], int | None, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("bucket")
    follower = Follower(Bucket.at(str(folder)))
    follower.first(hour(0), FIRST)
    truth: dict[datetime, dict[str, set[Any]]] = {
        hour(0): {MAPPING.path: {(1, 1), (2, 2), (LARGE, LARGE)}, EDITS.path: set(), KEYS.path: set()}
    }
    log_time, newest = hour(0), hour(0)
    for number, (paths, killed_after, again) in enumerate(chunks):
        # A run that repeats what a killed one began cuts the log elsewhere.
        log_time = newest + timedelta(minutes=20 if again else 50)
        rows: dict[str, list[dict[str, Any]]] = {
            MAPPING.path: [{"sv": number % 3, "body": number}],
            EDITS.path: [{"log_time": log_time, "sv": number, "body_before": None, "body_after": 1}],
            KEYS.path: [{"key": "k", "value": str(number).encode()}],
        }
        put = {path: rows[path] for path in sorted(paths)}
        try:
            follower.chunk(log_time, put, killed_after=killed_after)
        except Killed:
            follower.new_run()
            continue
        now = {path: set(held) for path, held in truth[newest].items()}
        for path in put:
            row = tuple(rows[path][0].values())
            if path != EDITS.path:
                now[path] = {each for each in now[path] if each[0] != row[0]}
            now[path].add(row)
        truth[log_time], newest = now, log_time
    for time, tables in truth.items():
        dataset = dvidsync_dagster.snapshot.open(str(folder), at=time + timedelta(minutes=1))
        assert dataset.log_time == time
        for path, held in tables.items():
            assert {tuple(row.values()) for row in dataset.arrow(path).to_pylist()} == held


def test_a_committed_version_is_read_as_it_was_when_it_was_committed(
    follower: Follower, tmp_path: Path
) -> None:
    follower.chunk(hour(2), merge(1, 2), uuid="b" * 32, pin=True)
    follower.chunk(hour(3), merge(1, LARGE), uuid="c" * 32)
    for version in ("b", "b" * 32):
        assert body_of(tmp_path, version=version) == {1: 1, 2: 1, LARGE: LARGE}
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path), version="b", branch="not asked for")
    assert (dataset.uuid, dataset.branch, dataset.log_time) == ("b" * 32, "master", hour(2))
    assert dataset.checkpoint is None
    assert dataset.kept_versions == ("b" * 32,)


def test_what_was_vacuumed_is_told_and_what_is_kept(follower: Follower, tmp_path: Path) -> None:
    follower.chunk(hour(2), merge(1, 2), uuid="b" * 32, pin=True)
    follower.chunk(hour(3), merge(2, 1))
    follower.chunk(hour(4), merge(1, LARGE))
    follower.vacuumed()
    assert body_of(tmp_path, version="b") == {1: 1, 2: 1, LARGE: LARGE}
    assert body_of(tmp_path) == {1: 2, 2: 1, LARGE: 1}
    with pytest.raises(ConfigurationError, match=r"at: that point is no longer kept.*since 2026-.*bbbb"):
        dvidsync_dagster.snapshot.open(str(tmp_path), at=hour(3))


@pytest.mark.usefixtures("follower")
def test_a_file_that_is_gone_is_damage_with_its_place(tmp_path: Path) -> None:
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path))
    (file,) = (tmp_path / "master/segmentation/mapping").glob("*.parquet")
    file.unlink()
    with pytest.raises(SnapshotDamaged) as raised:
        dataset.frame("segmentation/mapping")
    assert str(raised.value).startswith(
        f"{tmp_path}/master/segmentation/mapping: the file {file.name} is missing. Bring the object back"
    )


@pytest.mark.usefixtures("follower")
def test_a_file_that_is_cut_off_is_damage_with_its_name(tmp_path: Path) -> None:
    (file,) = (tmp_path / "master/segmentation/mapping").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(SnapshotDamaged) as raised:
        dvidsync_dagster.snapshot.open(str(tmp_path))["segmentation/mapping"]
    assert f"the file {file.name} is not what was written: " in str(raised.value)
    assert "External error" not in str(raised.value)


def test_a_log_without_its_first_commit_is_damage(follower: Follower, tmp_path: Path) -> None:
    follower.chunk(hour(2), merge(1, 2))
    (tmp_path / "master/segmentation/mapping/_delta_log" / f"{0:020d}.json").unlink()
    with pytest.raises(SnapshotDamaged, match="segmentation/mapping: something is missing"):
        dvidsync_dagster.snapshot.open(str(tmp_path))["segmentation/mapping"]


@pytest.mark.usefixtures("follower")
def test_a_place_that_is_no_folder_of_a_snapshot_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    places: dict[object, str] = {
        tmp_path / "snapshot.json": rf"uri: {tmp_path}/snapshot.json is a file, and no folder. Name a folder",
        tmp_path / "snapshot.json/below": rf"uri: {tmp_path}/snapshot.json is a file, and no folder",
        tmp_path / "nowhere": "no snapshot at .*: there is no such folder",
        tmp_path / "empty": "no snapshot at .*: the folder is empty",
        tmp_path / "master": "no snapshot at .*: it has no snapshot.json. Give the folder",
        "": "uri: it is no bucket of a known kind",
        "gs:/neu3-live": "uri: it is no bucket of a known kind. Write it such as gs://neu3-live",
        5: "uri: a value of type int names no place. Give a text",
    }
    for place, words in places.items():
        with pytest.raises(ConfigurationError, match=words):
            dvidsync_dagster.snapshot.open(place)  # type: ignore[arg-type]
    assert dvidsync_dagster.snapshot.open(tmp_path).branch == "master"


def test_wrong_arguments_are_told_with_what_there_is(follower: Follower, tmp_path: Path) -> None:
    follower.chunk(hour(2), merge(1, 2), uuid="b1" * 16, pin=True)
    follower.chunk(hour(3), merge(1, LARGE), uuid="b2" * 16, pin=True)

    def fails(match: str, **how: Any) -> None:
        with pytest.raises(ConfigurationError, match=match):
            dvidsync_dagster.snapshot.open(how.pop("uri", str(tmp_path)), **how)

    fails("uri: there is no snapshot at .*no such folder", uri=str(tmp_path / "elsewhere"))
    fails("uri: it is no bucket of a known kind", uri="ftp://there")
    fails("branch: the snapshot has no branch 'main'. It has master", branch="main")
    fails(f"version: .*several begin with 'b'. Such as {'b1' * 16}, {'b2' * 16}", version="b")
    fails(f"version: .*'c' is not kept. Of the committed versions {'b1' * 16}, ", version="c")
    fails("version: '' names no version. Give a UUID, or its first letters", version="")
    fails("version: 5 names no version", version=5)
    fails("at: the snapshot begins later. .* since 2026-11-01T01:00:00", at=hour(0))
    fails("at: 2026-11-01T01:00:00 has no time zone", at=datetime(2026, 11, 1, 1))
    fails("at: .2026-11-01. is no datetime. Give one with a time zone", at="2026-11-01")
    fails("at: a version is given too", at=datetime.now(UTC), version="b1")
    dataset = dvidsync_dagster.snapshot.open(str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"no table 'seg' at this point. It has: .*notes, seg"):
        dataset["seg"]
    with pytest.raises(ConfigurationError, match=r"notes has no column size. It has: key, value"):
        dataset.frame("notes", ["size"])
    with pytest.raises(ConfigurationError, match="there are no lines for 'excel'"):
        dataset.lines("excel")  # type: ignore[arg-type]


def test_a_snapshot_that_is_still_being_made_is_none(tmp_path: Path) -> None:
    Follower(Bucket.at(str(tmp_path)))
    with pytest.raises(ConfigurationError, match="the first is still being made"):
        dvidsync_dagster.snapshot.open(str(tmp_path))
    state = BranchState(uuid="a", log_time_ns=5, tables={"x": TableState(version=0, rows=1)})
    pointer = Pointer.claimed(Bucket.at(str(tmp_path)), REPO)
    pointer.commit(pointer.snapshot.model_copy(update={"branches": {"master": state}}))
    with pytest.raises(ConfigurationError, match="the first is still being made"):
        dvidsync_dagster.snapshot.open(str(tmp_path))


def test_of_one_moment_the_newest_versions_count() -> None:
    points = [
        Point(1, "a", {"x": 1, "y": 1}),
        Point(1, "a", {"x": 1, "y": 3}),
        Point(1, "a", {"x": 1, "y": 3, "z": 0}),
        Point(2, "a", {"x": 1}),
    ]
    for order in permutations(points):
        rows = pa.concat_tables([appended(point).put for point in order])
        assert in_order(rows) == points[2:]


def test_without_the_extra_the_package_is_there_and_opening_says_what_to_install(tmp_path: Path) -> None:
    source = f"""
import sys
sys.modules["deltalake"] = sys.modules["obstore"] = None
import dvidsync_dagster.snapshot
try:
    dvidsync_dagster.snapshot.open({str(tmp_path)!r})
except dvidsync_dagster.errors.ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == (
        'uri: the package deltalake is not installed. Install "dvidsync-dagster[bucket]".\n'
    )
