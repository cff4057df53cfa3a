"""Tables that a bucket has no place for, or the same for two, are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.destinations.bucket.table_places import refuse_nameless, refuse_nested, refuse_places
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.snapshot.layout import table_folder, table_path
from dvidsync_dagster.snapshot.store import Bucket

OWN = {"": ["versions", "dvidsync/points"]}
LABEL_TABLES = ("mapping", "edits", "bodies")


def labelmap(name: str) -> list[str]:
    return [table_path(name, each) for each in LABEL_TABLES]


def refused(paths: Mapping[str, list[str]], place: str = "gs://bucket/folder", branch: str = "master") -> str:
    with pytest.raises(ConfigurationError) as error:
        refuse_places(Bucket.at(place), branch, {**OWN, **paths}, "destinations[cloud]")
    assert error.value.remedy
    assert len(str(error.value)) < 500
    return f"{error.value.field}: {error.value.found}"


def test_usual_instances_have_places(tmp_path: Path) -> None:
    paths = {**OWN, "segmentation": labelmap("segmentation"), "keys": ["keys"], "n" * 255: ["n" * 255]}
    for place in ("gs://bucket/folder", str(tmp_path)):
        refuse_places(Bucket.at(place), "master", paths, "")


@pytest.mark.parametrize("name", ["versions", "dvidsync"])
def test_own_names_are_refused_for_every_type(name: str) -> None:
    for paths in ([name], labelmap(name)):
        assert "that the snapshot itself needs" in refused({name: paths})


@pytest.mark.parametrize("name", ["n" * 256, "ä" * 43])
def test_a_name_that_is_too_long_is_refused_with_the_remedy(name: str) -> None:
    assert "is too long" in refused({name: [table_path(name)]})
    assert "destinations[cloud].branch" in refused({}, branch=name)


def test_the_bucket_s_own_folder_counts() -> None:
    paths = {"n" * 200: ["n" * 200]}
    refuse_places(Bucket.at("gs://bucket/folder"), "master", {**OWN, **paths}, "")
    assert "is too long" in refused(paths, place=f"gs://bucket/{'f' * 700}")


def test_names_that_differ_in_case_alone_are_refused_in_folders(tmp_path: Path) -> None:
    paths = {"keys": ["keys"], "Keys": ["Keys"]}
    assert "differs from" in refused(paths, place=str(tmp_path))
    assert "the snapshot itself needs" in refused({"Versions": ["Versions"]}, place=str(tmp_path))
    refuse_places(Bucket.at("gs://bucket/folder"), "master", {**OWN, **paths}, "")


@pytest.mark.parametrize("name", ["", ".", "..", "segmentation/mapping", "a//b", "/"])
def test_what_no_request_can_name_is_refused_with_the_remedy(name: str) -> None:
    refuse_nameless(["%2F", "...", "a b"], "destinations[cloud]")
    with pytest.raises(ConfigurationError, match="no request can name it") as error:
        refuse_nameless([name], "destinations[cloud]")
    assert error.value.field == "destinations[cloud].own"
    assert "`own`" in error.value.remedy


NAMES = st.text(max_size=5) | st.lists(
    st.sampled_from(["/", "~", "2F", "7E", "~2F", "~7E", "a", ".", "%2F", "mapping"]), max_size=5
).map("".join)


@given(st.lists(NAMES, unique=True, max_size=6))
def test_no_two_instances_have_a_table_in_common(names: list[str]) -> None:
    """Whatever their names, and whatever types they have."""
    paths = [path for name in names for path in (table_path(name), *labelmap(name))]
    assert len(set(paths)) == len(paths)
    for name in names:
        assert "/" not in table_path(name)
    folders = [table_folder("master", path) for path in paths if path.partition("/")[0]]
    assert len(set(folders)) == len(folders)
    assert not any(part in (".", "..", "") for folder in folders for part in folder.split("/"))


@pytest.mark.parametrize("name", ["segmentation", "a~b", "~", "v1.2_x-y", "a b", "~2f", "%2F"])
def test_paths_of_snapshots_that_there_are_stay(name: str) -> None:
    assert table_path(name) == name
    assert table_path(name, "mapping") == f"{name}/mapping"


def test_tables_in_the_folders_of_former_ones_are_refused(tmp_path: Path) -> None:
    bucket = Bucket.at(str(tmp_path))
    for folder in ("keys", "labels/mapping"):
        (tmp_path / "master" / folder / "_delta_log").mkdir(parents=True)
        (tmp_path / "master" / folder / "_delta_log" / "00000000000000000000.json").write_text("{}")
    fitting = {"keys": ["keys"], "labels": labelmap("labels"), "new": ["new"], "more": labelmap("more")}
    refuse_nested(bucket, "master", fitting, "destinations[cloud]")
    for paths in ({"keys": labelmap("keys")}, {"labels": ["labels"]}):
        with pytest.raises(ConfigurationError, match="of another data type before") as error:
            refuse_nested(bucket, "master", paths, "destinations[cloud]")
        assert error.value.field == "destinations[cloud].own"
