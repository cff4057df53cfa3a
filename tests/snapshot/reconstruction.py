"""A small reconstruction in a snapshot: a labelmap, neurons and synapses, with what is odd about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.feather

import dvidsync_dagster.snapshot
from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.release import Release, release
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Column, Table
from tests.snapshot.followed import EDITS, LARGE, MAPPING, Follower, hour

BODIES = Table(
    "segmentation/bodies",
    "One body.",
    (
        Column("body", pa.int64(), "the body"),
        Column("voxels", pa.int64(), "how many voxels it has", nullable=True),
    ),
    ("body",),
)
NEURONS = Table(
    "segmentation_annotations",
    "One neuron.",
    (Column("body", pa.int64(), "its body"), Column("json", pa.string(), "all of it")),
    ("body",),
)
SYNAPSES = Table(
    "synapses",
    "One element.",
    (
        *(Column(name, pa.int32(), "place") for name in ("x", "y", "z", "ordinal")),
        Column("kind", pa.string(), "its kind"),
        Column("tags", pa.list_(pa.string()), "its tags"),
        Column("prop", pa.map_(pa.string(), pa.string()), "its properties"),
        Column(
            "rels",
            pa.list_(pa.struct([("rel", pa.string()), *((axis, pa.int32()) for axis in "xyz")])),
            "its relations",
        ),
        Column("sv", pa.int64(), "the supervoxel under it", nullable=True),
    ),
    ("x", "y", "z", "ordinal"),
)
UUID = "ab12" * 8
TAG = "2026-11-01-ab12ab"

Place = tuple[int, int, int]
Content = dict[str, list[dict[str, Any]]]


def element(
    place: Place,
    kind: str,
    supervoxel: int | None,
    *to: Place,
    conf: str | None = "0.5",
    rel: str | None = None,
    ordinal: int = 0,
) -> dict[str, Any]:
    name = rel or {"PreSyn": "PreSynTo", "PostSyn": "PostSynTo"}.get(kind, "GroupedWith")
    return {
        **dict(zip("xyz", place, strict=True)),
        "ordinal": ordinal,
        "kind": kind,
        "tags": [],
        "prop": [] if conf is None else [("conf", conf), ("user", "amy")],
        "rels": [{"rel": name, **dict(zip("xyz", other, strict=True))} for other in to],
        "sv": supervoxel,
    }


def neuron(body: int, **fields: Any) -> dict[str, Any]:
    return {"body": body, "json": orjson.dumps({"bodyid": body, **fields}).decode()}


CONTENT: Content = {
    MAPPING.path: [
        {"sv": sv, "body": body}
        for sv, body in [(1, 1), (2, 1), (3, 3), (4, 9), (LARGE, LARGE), (LARGE + 2, LARGE), (7, 7)]
    ],
    BODIES.path: [
        {"body": 9, "voxels": 4},
        {"body": 1, "voxels": 2**40},
        {"body": LARGE, "voxels": 1},
        {"body": 3, "voxels": None},
    ],
    EDITS.path: [
        {"log_time": hour(2), "sv": 2, "body_before": 2, "body_after": 1},
        {"log_time": hour(1), "sv": 4, "body_before": 4, "body_after": 9},
    ],
    NEURONS.path: [
        neuron(9, status="Anchor", type="", soma_position=[1, 2, 3], notes="no"),
        neuron(
            1, status="Roughly traced", type="KC", type_user="amy", type_time="2026", group=4, vals=[1, 2.5]
        ),
        neuron(0, status="Orphan"),
        neuron(LARGE, group="four", class_name={"a": 1}, consensus_nt="ACh", somaPosition=[4, 5, 6]),
    ],
    SYNAPSES.path: [
        element((10, 20, -30), "PreSyn", 2, (11, 20, 30), (12, 20, 30), (5, 5, 5)),
        element((11, 20, 30), "PostSyn", LARGE + 2, (10, 20, -30), conf="0.25"),
        element((12, 20, 30), "PostSyn", LARGE, conf=None),
        element((13, 20, 30), "PostSyn", LARGE, (10, 20, -30), conf="high"),
        element((14, 20, 30), "PostSyn", 0, (10, 20, -30)),
        element((15, 20, 30), "PreSyn", 3, (14, 20, 30)),
        element((11, 20, 30), "PostSyn", 7, conf="0.75", ordinal=2),
        element((18, 20, 30), "PostSyn", None, (10, 20, -30)),
        element((16, 20, 30), "PostSyn", 7, (10, 20, -30), rel="GroupedWith"),
        element((17, 20, 30), "Note", 7, (10, 20, -30), rel="PostSynTo"),
        element((2**20, 20, 30), "PreSyn", 7, (11, 20, 30)),
    ],
}
TABLES = (MAPPING, BODIES, EDITS, NEURONS, SYNAPSES)


def dataset_with(folder: Path | str, content: Content = CONTENT, **tables: Table) -> Dataset:
    """A committed version."""
    used = [tables.get(path, table) for path, table in ((each.path, each) for each in TABLES)]
    follower = Follower(Bucket.at(str(folder)), [*used, *tables.values()])
    follower.first(hour(1), content)
    follower.chunk(hour(3), {}, uuid=UUID, pin=True)
    return dvidsync_dagster.snapshot.open(str(folder), version=UUID)


def released(folder: Path, content: Content = CONTENT) -> Release:
    return release(dataset_with(folder, content), Bucket.at(str(folder)))


def read(folder: Path, name: str) -> pd.DataFrame:
    frame: pd.DataFrame = pyarrow.feather.read_feather(folder / "releases" / UUID / f"{name}.feather")
    return frame
