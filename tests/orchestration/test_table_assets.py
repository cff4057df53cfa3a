"""What Dagster shows of a snapshot's tables."""

from __future__ import annotations

import dagster as dg
import pyarrow as pa

from dvidsync_dagster.orchestration.table_assets import table_materializations
from dvidsync_dagster.snapshot.table import Column, Table, TableReport

MAPPING = Table(
    "segmentation/mapping",
    "The body of a supervoxel.",
    (
        Column("sv", pa.int64(), "the supervoxel"),
        Column("body", pa.int64(), "its body", nullable=True),
    ),
    key=("sv",),
)


def report(**changes: object) -> TableReport:
    rows = {"sv": [2**53 + 1, 7], "body": [5, None]}
    fields: dict[str, object] = {
        "table": MAPPING,
        "uri": "gs://neu3-live/master/segmentation/mapping",
        "version": 4,
        "rows": 10,
        "written": 2,
        "deleted": 1,
        "sample": pa.table(rows, schema=MAPPING.schema),
    }
    return TableReport(**{**fields, **changes})  # type: ignore[arg-type]


def preview(shown: dg.AssetMaterialization) -> list[dict[str, object]]:
    table = shown.metadata["dvidsync/preview"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(row.data) for row in table.records]


def test_a_table_is_an_asset_below_its_destination() -> None:
    (shown,) = table_materializations(dg.AssetKey(["neu3", "cloud"]), [report()])
    assert shown.asset_key == dg.AssetKey(["neu3", "cloud", "segmentation", "mapping"])
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(shown)
        event = instance.get_latest_materialization_event(shown.asset_key)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    schema = metadata["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    columns = [(each.name, each.type, each.description, each.constraints.nullable) for each in schema.columns]
    assert columns == [("sv", "int64", "the supervoxel", False), ("body", "int64", "its body", True)]
    numbers = {key: metadata[key].value for key in metadata if isinstance(metadata[key].value, int)}
    assert numbers == {
        "dagster/row_count": 10,
        "dvidsync/delta_version": 4,
        "dvidsync/rows_written": 2,
        "dvidsync/rows_deleted": 1,
    }
    assert metadata["dagster/uri"].value == "gs://neu3-live/master/segmentation/mapping"


def test_a_preview_keeps_all_digits_and_hides_what_a_terminal_obeys() -> None:
    notes = Table("notes", "A note.", (Column("note", pa.string(), "what people wrote"),), key=("note",))
    sample = pa.table({"note": ["\x1b[31mred\n" + "x" * 1000]}, schema=notes.schema)
    first, second = table_materializations(
        dg.AssetKey("cloud"), [report(), report(table=notes, sample=sample)]
    )
    assert preview(first) == [{"sv": "9007199254740993", "body": "5"}, {"sv": "7", "body": ""}]
    (row,) = preview(second)
    text = str(row["note"])
    assert text.startswith("\\x1b[31mred\\n")
    assert len(text) <= 200
