"""What Dagster shows of a snapshot's tables, and how they become assets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.orchestration import table_assets
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.names import comparison_key
from dvidsync_dagster.orchestration.table_assets import known_tables, table_key, tables_known_here
from dvidsync_dagster.orchestration.table_events import preview, table_materializations
from dvidsync_dagster.snapshot.table import RowsChanged, TableReport

CLOUD = dg.AssetKey(["neu3", "cloud"])
SCHEMA = pa.schema(
    [
        pa.field("sv", pa.int64(), False, metadata={"comment": "the supervoxel"}),
        pa.field("body", pa.int64(), True, metadata={"comment": "its body"}),
    ]
)
FIELDS = {"name": "neu3", "source": {"url": "http://source.example.org:8000"}, "repo": "0" * 32}
CONFIG = SyncConfig.model_validate(
    {
        **FIELDS,
        "destinations": [
            {"name": "cloud", "bucket": "gs://neu3-live"},
            {"name": "cloud2", "bucket": "gs://neu3-other", "branch": "other"},
        ],
    }
)


def report(**changes: object) -> TableReport:
    fields: dict[str, object] = {
        "path": "segmentation/mapping",
        "text": "The body of a supervoxel.",
        "schema": SCHEMA,
        "uri": "gs://neu3-live/master/segmentation/mapping",
        "version": 4,
        "branch": "master",
        "branch_version": "a" * 32,
        "rows": 10,
        "size": 2345,
        "sample": pa.table({"sv": [2**53 + 1, 7], "body": [5, None]}, schema=SCHEMA),
        "changed": RowsChanged(written=2, deleted=1, bytes_written=678),
    }
    return TableReport(**{**fields, **changes})  # type: ignore[arg-type]


def tell(instance: dg.DagsterInstance, *reports: TableReport, destination: dg.AssetKey = CLOUD) -> None:
    for told in table_materializations(destination, reports):
        instance.report_runless_asset_event(told)


def test_what_a_run_did_to_a_table_is_told_with_what_the_table_is(instance: dg.DagsterInstance) -> None:
    tell(instance, report())
    event = instance.get_latest_materialization_event(
        dg.AssetKey(["neu3", "cloud", "segmentation", "mapping"])
    )
    assert event is not None
    told = event.asset_materialization
    assert told is not None
    assert told.description == "2 rows written, 1 deleted."
    schema = told.metadata["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    columns = [(each.name, each.type, each.description, each.constraints.nullable) for each in schema.columns]
    assert columns == [("sv", "int64", "the supervoxel", False), ("body", "int64", "its body", True)]
    values = {name: value.value for name, value in told.metadata.items() if name != "dagster/column_schema"}
    assert values == {
        "dagster/row_count": 10,
        "dagster/size_bytes": 2345,
        "dagster/uri": "gs://neu3-live/master/segmentation/mapping",
        "dvidsync/table": "segmentation/mapping",
        "dvidsync/holds": "The body of a supervoxel.",
        "dvidsync/branch": "master",
        "dvidsync/branch_version": "a" * 32,
        "dvidsync/delta_version": 4,
        "dvidsync/rows_written": 2,
        "dvidsync/rows_deleted": 1,
        "dvidsync/bytes_written": 678,
        "dvidsync/preview": "| sv | body |\n| --- | --- |\n| 9007199254740993 | 5 |\n| 7 |  |",
    }


def test_a_preview_shows_what_people_wrote_as_it_is() -> None:
    rows = pa.table({"a|b": ["\x1b[31mred\n" + "x" * 1000, "<b>|</b>"], "value": [b"\x00" * 1000, None]})
    head, _, first, second = preview(rows).split("\n")
    assert head == r"| a\|b | value |"
    assert first.startswith(r"| \\x1b\[31mred\\nxxx")
    assert first.endswith("| 1,000 bytes |")
    assert len(first) < 120
    assert second == r"| \<b\>\|\</b\> |  |"


def test_a_preview_shows_what_is_nested_as_plain_text() -> None:
    relation = pa.struct([("rel", pa.string()), ("x", pa.int32())])
    row = {"tags": ["t1", "t2"], "prop": {"conf": "0.84", "user": "amy"}, "rels": [{"rel": "To", "x": 1}] * 2}
    types = {
        "tags": pa.list_(pa.string()),
        "prop": pa.map_(pa.string(), pa.string()),
        "rels": pa.list_(relation),
    }
    rows = pa.Table.from_pylist([row, {"tags": [], "prop": {}, "rels": []}], pa.schema(types))
    _, _, first, second = preview(rows).split("\n")
    assert first == "| t1, t2 | conf: 0.84, user: amy | rel: To, x: 1; rel: To, x: 1 |"
    assert second == "|  |  |  |"


NAMES = st.text(
    st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=8
) | st.sampled_from(["comparison", ".", "..", "mapping", "~63omparison"])


@given(st.lists(st.lists(NAMES, min_size=1, max_size=2).map("/".join), min_size=2, max_size=2, unique=True))
def test_each_table_has_a_key_of_its_own_without_odd_characters(paths: list[str]) -> None:
    keys = {table_key(CLOUD, path) for path in paths}
    assert len(keys) == 2
    assert comparison_key(CLOUD) not in keys
    for key in keys:
        assert all(set(part) <= ALLOWED for part in key.path)


ALLOWED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-")


def test_tables_that_were_told_are_assets_of_their_destination(instance: dg.DagsterInstance) -> None:
    tell(instance, report(), report(path="odd name:*?", text="A *key*."), report(path="comparison"))
    tell(instance, report(path="segmentation/bodies"), destination=dg.AssetKey(["neu3", "cloud2"]))
    instance.report_runless_asset_event(dg.AssetMaterialization(comparison_key(CLOUD)))
    keys = [CLOUD, dg.AssetKey(["neu3", "cloud2"])]
    definitions = build_definitions(CONFIG, tables={key: known_tables(instance, key) for key in keys})
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    tables = {key.to_user_string() for key in graph.external_asset_keys if graph.get(key).kinds >= {"table"}}
    assert tables == {
        "neu3/cloud/segmentation/mapping",
        "neu3/cloud/odd~20name~3A~2A~3F",
        "neu3/cloud/~63omparison",
        "neu3/cloud2/segmentation/bodies",
    }
    mapping = graph.get(table_key(CLOUD, "segmentation/mapping"))
    assert mapping.parent_keys == {CLOUD}
    assert mapping.group_name == "neu3_cloud_tables"
    assert mapping.kinds == {"deltalake", "table"}
    assert mapping.description is not None
    assert mapping.description.startswith("The body of a supervoxel.\n")
    assert 'snapshot.open("gs://neu3-live")["segmentation/mapping"]' in mapping.description
    assert mapping.metadata["dagster/uri"].value == "gs://neu3-live/master/segmentation/mapping"
    schema = mapping.metadata["dagster/column_schema"].value
    assert [column.description for column in schema.columns] == ["the supervoxel", "its body"]
    odd = graph.get(table_key(CLOUD, "odd name:*?"))
    assert odd.description is not None
    assert odd.description.startswith(r"A \*key\*\.")
    other = graph.get(table_key(dg.AssetKey(["neu3", "cloud2"]), "segmentation/bodies"))
    assert other.description is not None
    assert 'snapshot.open("gs://neu3-other", branch="other")' in other.description


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME that knows a table."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        tell(instance, report())
    return tmp_path


@pytest.mark.usefixtures("home")
def test_definitions_know_what_their_dagster_instance_was_told() -> None:
    tables = tables_known_here(CONFIG)
    assert [table.path for table in tables[CLOUD]] == ["segmentation/mapping"]
    assert tables[dg.AssetKey(["neu3", "cloud2"])] == []


def test_without_an_instance_a_code_location_loads_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert tables_known_here(CONFIG) == {}
    assert "DAGSTER_HOME is not set" in caplog.text


def test_without_buckets_there_is_nothing_to_warn_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    copy = {"name": "copy", "url": "http://copy.example.org:8000", "start": "now"}
    assert tables_known_here(SyncConfig.model_validate({**FIELDS, "destinations": [copy]})) == {}
    assert not caplog.records


class NeverOpens(SqliteEventLogStorage):
    """A storage that does not answer until `answers` is set."""

    answers = threading.Event()

    @classmethod
    def from_config_value(cls, inst_data: object, config_value: object) -> NeverOpens:
        cls.answers.wait()
        raise ConnectionError(f"{inst_data} {config_value}")


@pytest.fixture
def silent(home: Path) -> Iterator[None]:
    storage = {"module": NeverOpens.__module__, "class": NeverOpens.__name__, "config": {"base_dir": "x"}}
    (home / "dagster.yaml").write_text(yaml.safe_dump({"event_log_storage": storage}))
    NeverOpens.answers.clear()
    yield
    NeverOpens.answers.set()


@pytest.mark.usefixtures("silent")
def test_a_code_location_does_not_wait_for_a_storage_that_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(table_assets, "PATIENCE_SECONDS", 0.1)
    assert tables_known_here(CONFIG) == {}
    assert "no answer" in caplog.text


def test_a_storage_that_cannot_be_opened_is_told(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "dagster.yaml").write_text("event_log_storage: {module: not_there, class: X, config: {}}")
    assert tables_known_here(CONFIG) == {}
    assert "not_there" in caplog.text


def test_names_that_people_gave_are_told_as_text_of_some_length() -> None:
    odd = "\x1b[31m\n" + "x" * 100_000
    schema = pa.schema([pa.field("body", pa.int64(), metadata={"comment": odd})])
    told = next(iter(table_materializations(CLOUD, [report(text=odd, path="x", branch=odd, schema=schema)])))
    schema_told = told.metadata["dagster/column_schema"].value
    assert isinstance(schema_told, dg.TableSchema)
    description = schema_told.columns[0].description
    assert description
    others = {name: value for name, value in told.metadata.items() if name != "dagster/column_schema"}
    texts = [description, *(str(value.value) for value in others.values())]
    assert sum("xxx" in text for text in texts) > 1
    for text in texts:
        assert len(text) <= 500
        assert "\x1b" not in text


def test_a_preview_of_many_columns_shows_some() -> None:
    shown = preview(pa.table({f"field{number}": ["é" * 10_000] for number in range(1000)}))
    assert shown.endswith("\n\n970 more columns")
    assert len(shown) < 5_000
