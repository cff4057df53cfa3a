"""The lines that read a table, run as they stand by the real libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvidsync_dagster.snapshot.lines import LIBRARIES, Library, line
from dvidsync_dagster.snapshot.store import Bucket
from tests.emulators.emulator import Emulator
from tests.snapshot.read_by import check, open_then_go_on, write
from tests.snapshot.spark import WHY_NO_SPARK, spark_session

PYTHON_LIBRARIES = [library for library in LIBRARIES if library != "spark"]


@pytest.mark.parametrize("library", PYTHON_LIBRARIES)
def test_the_line_reads_a_folder_at_its_point(library: Library, tmp_path: Path) -> None:
    write(Bucket.at(str(tmp_path)))
    check(open_then_go_on(str(tmp_path)), library)


@pytest.mark.parametrize("library", PYTHON_LIBRARIES)
def test_the_line_reads_a_folder_with_an_unusual_name(library: Library, tmp_path: Path) -> None:
    folder = str(tmp_path / "a 'b' \"c\" ä 100%")
    write(Bucket.at(folder), branch="amy's/new branch")
    check(open_then_go_on(folder, branch="amy's/new branch"), library)


@pytest.mark.parametrize("library", PYTHON_LIBRARIES)
def test_the_line_reads_a_bucket_at_its_point(library: Library, s3: Emulator) -> None:
    uri = f"{s3.uri}/read-by-{library}"
    write(Bucket.at(uri))
    dataset = open_then_go_on(uri)
    assert dataset.uri("notes") == f"{uri}/master/notes"
    check(dataset, library)


@pytest.mark.skipif(WHY_NO_SPARK is not None, reason=str(WHY_NO_SPARK))
def test_the_line_reads_by_spark(tmp_path: Path) -> None:
    write(Bucket.at(str(tmp_path)))
    dataset = open_then_go_on(str(tmp_path))
    with spark_session() as spark:
        check(dataset, "spark", spark=spark)


def test_each_kind_of_place_has_its_name_for_spark() -> None:
    for uri, wanted in [
        ("/data/x", "file:///data/x"),
        ("gs://b/x", "gs://b/x"),
        ("s3://b/x/y", "s3a://b/x/y"),
        ("az://c/x/y", "abfss://c@ACCOUNT.dfs.core.windows.net/x/y"),
    ]:
        assert line("spark", uri, 3).endswith(f'"versionAsOf", 3).load("{wanted}")')
