"""The files of a release hold what the version held, with flyem-snapshot's names and columns."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.snapshot.release.neuprint import property_name
from tests.snapshot.followed import LARGE, MAPPING
from tests.snapshot.reconstruction import (
    CONTENT,
    NEURONS,
    SYNAPSES,
    TAG,
    UUID,
    element,
    neuron,
    read,
    released,
)


def test_the_mapping_lacks_only_supervoxels_that_are_a_body_alone(tmp_path: Path) -> None:
    released(tmp_path)
    frame = read(tmp_path, f"tables/complete-nonsingleton-mapping-{TAG}")
    assert frame.dtypes.to_dict() == {"sv": np.uint64, "body": np.uint64}
    assert frame.to_numpy().tolist() == [[1, 1], [2, 1], [4, 9], [LARGE, LARGE], [LARGE + 2, LARGE]]


def test_sizes_are_voxels_by_body(tmp_path: Path) -> None:
    released(tmp_path)
    frame = read(tmp_path, f"tables/body-size-cache-{TAG}")
    assert frame.dtypes.to_dict() == {"body": np.int64, "size": np.int64}
    assert frame.to_numpy().tolist() == [[1, 2**40], [9, 4], [LARGE, 1]]


def test_annotations_are_as_flyem_snapshot_takes_them_in(tmp_path: Path) -> None:
    released(tmp_path)
    frame = read(tmp_path, f"tables/body-annotations-{TAG}").set_index("body")
    assert list(frame.index) == [0, 1, 9, LARGE]
    assert list(frame) == [
        "bodyid", "class_name", "group", "notes", "somaPosition", "soma_position", "status", "type", "vals"
    ]  # fmt: skip
    assert frame["status"].cat.ordered
    assert list(frame["status"]) == ["Orphan", "Roughly traced", "Anchor", ""]
    assert frame["type"][1] == "KC"
    assert pd.isna(frame["type"][9])
    assert list(frame["vals"][1]) == [1.0, 2.5]
    assert list(frame["soma_position"][9]) == [1, 2, 3]
    assert list(frame["group"].dropna()) == ["4", "four"], "a field that holds various things is text"
    assert frame["class_name"][LARGE] == '{"a":1}'


def test_annotations_have_neuprints_names_and_a_simple_status(tmp_path: Path) -> None:
    released(tmp_path)
    frame = read(tmp_path, f"flat-connectome/body-annotations-{TAG}-minconf-0.0").set_index("bodyId")
    assert list(frame.index) == [1, 9, LARGE]
    assert list(frame) == ["className", "group", "somaLocation", "status", "statusLabel", "type", "vals"]
    assert frame["statusLabel"].cat.ordered
    assert list(frame["statusLabel"][:2]) == ["Roughly traced", "Anchor"]
    assert list(frame["status"][:2]) == ["Traced", "Anchor"]
    assert pd.isna(frame["status"][LARGE])
    assert [list(place) for place in frame["somaLocation"][1:]] == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("bodyid", "bodyId"),
        ("status", "statusLabel"),
        ("hemibrain_bodyid", "hemibrainBodyId"),
        ("cell_body_fiber", "cellBodyFiber"),
        ("flywire type", "flywireType"),
        ("a__b_", "aB"),
        ("rootPosition", "rootLocation"),
        ("position", "location"),
        ("notes", None),
        ("user", None),
    ],
)
def test_neuprints_names(field: str, name: str | None) -> None:
    assert property_name(field) == name


def test_a_status_that_is_not_known_makes_the_column_text(tmp_path: Path) -> None:
    content = {**CONTENT, NEURONS.path: [neuron(1, status="New"), neuron(2, status=5), neuron(3)]}
    released(tmp_path, content)
    frame = read(tmp_path, f"tables/body-annotations-{TAG}")
    assert list(frame["status"]) == ["New", "5", ""]
    frame = read(tmp_path, f"flat-connectome/body-annotations-{TAG}-minconf-0.0")
    assert list(frame["statusLabel"].fillna("none")) == ["New", "5", "none"]
    assert list(frame["status"].fillna("none")) == ["New", "5", "none"]


def test_points_and_partners(tmp_path: Path) -> None:
    made = released(tmp_path)
    points = read(tmp_path, f"flat-connectome/syn-points-{TAG}-minconf-0.0")
    assert points.index.name == "point_id"
    assert {name: str(kind) for name, kind in points.dtypes.items()} == {
        "x": "int32", "y": "int32", "z": "int32", "kind": "category", "conf": "float32", "sv": "int64",
        "body": "int64",
    }  # fmt: skip
    assert [tuple(row) for row in points.itertuples(index=False)] == [
        (11, 20, 30, "PostSyn", 0.25, LARGE + 2, LARGE),
        (12, 20, 30, "PostSyn", 0.0, LARGE, LARGE),
        (13, 20, 30, "PostSyn", 0.0, LARGE, LARGE),
        (10, 20, -30, "PreSyn", 0.5, 2, 1),
    ]
    assert list(points.index[:1]) == [30 << 42 | 20 << 21 | 11]
    partners = read(tmp_path, f"flat-connectome/syn-partners-{TAG}-minconf-0.0")
    assert list(partners)[:10] == [
        "x_pre", "y_pre", "z_pre", "body_pre", "conf_pre",
        "x_post", "y_post", "z_post", "body_post", "conf_post",
    ]  # fmt: skip
    assert list(partners)[10:] == ["pre_id", "post_id"]
    assert list(partners["x_post"]) == [11, 12, 13]
    assert set(partners["body_pre"]) == {1}
    assert set(partners["pre_id"]) == {points.index[3]}
    assert made.notes == (
        "segmentation: left out the sizes of 1 body, which are not known",
        "synapses: left out 1 points or relations far off, which have no id",
        "synapses: left out 1 others at the same point",
        "synapses: left out 2 points on body 0",
        "synapses: left out 1 relations to points that are not there",
        "synapses: left out 2 points with no partner",
        "synapses: left out 1 confidences that are no numbers (0 in the files)",
    )


def test_weights_and_bodies(tmp_path: Path) -> None:
    released(tmp_path)
    weights = read(tmp_path, f"flat-connectome/connectome-weights-{TAG}-minconf-0.0")
    assert weights.to_dict("records") == [{"body_pre": 1, "body_post": LARGE, "weight": 3}]
    stats = read(tmp_path, f"flat-connectome/body-stats-{TAG}-minconf-0.0")
    assert list(stats) == ["body", "pre", "post", "status_fine", "type", "downstream", "synweight", "rank"]
    assert [tuple(row) for row in stats.drop(columns="type").itertuples(index=False)] == [
        (1, 1, 0, "Roughly traced", 3, 3, 1),
        (LARGE, 0, 3, "", 0, 3, 2),
    ]
    assert stats["type"][0] == "KC"


PLACES = [(x, y, -1) for x, y in itertools.product(range(3), range(2))]


@settings(max_examples=25)
@given(st.data())
def test_random_tables_are_released_as_plain_python_would_do_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    labels = st.sampled_from([1, 2, 3, 4, LARGE, LARGE + 1])
    mapping = data.draw(st.dictionaries(labels, labels))
    kinds = data.draw(st.dictionaries(st.sampled_from(PLACES), st.sampled_from(["PreSyn", "PostSyn", "Gap"])))
    under = {place: data.draw(st.sampled_from([0, 1, 2, 3, LARGE])) for place in kinds}
    to = {place: data.draw(st.lists(st.sampled_from(PLACES), max_size=3)) for place in kinds}
    content = {
        MAPPING.path: [{"sv": sv, "body": body} for sv, body in mapping.items()],
        SYNAPSES.path: [element(place, kinds[place], under[place], *to[place]) for place in kinds],
    }
    folder = tmp_path_factory.mktemp("bucket")
    released(folder, content)

    frame = read(folder, f"tables/complete-nonsingleton-mapping-{TAG}")
    members = Counter(mapping.values())
    wanted = {sv: body for sv, body in mapping.items() if sv != body or members[body] > 1}
    assert dict(frame.to_numpy().tolist()) == wanted

    body = {place: mapping.get(under[place], under[place]) for place in kinds}
    pairs = set()
    for place, kind in kinds.items():
        for other in to[place]:
            if kind == "PreSyn":
                pairs.add((place, other))
            elif kind == "PostSyn":
                pairs.add((other, place))
    good = {place for place in kinds if kinds[place] != "Gap" and body[place]}
    pairs = {(pre, post) for pre, post in pairs if pre in good and post in good}
    names = {
        name: f"flat-connectome/{name}-{TAG}-minconf-0.0" for name in ("syn-partners", "connectome-weights")
    }
    if not any(kind != "Gap" for kind in kinds.values()):
        assert not (folder / "releases" / UUID / f"{names['syn-partners']}.feather").exists()
        return
    partners = read(folder, names["syn-partners"])
    found = [
        (tuple(row[f"{axis}_pre"] for axis in "xyz"), tuple(row[f"{axis}_post"] for axis in "xyz"))
        for row in partners.to_dict("records")
    ]
    assert len(found) == len(set(found))
    assert set(found) == pairs
    weights = read(folder, names["connectome-weights"])
    assert {(row.body_pre, row.body_post): row.weight for row in weights.itertuples()} == Counter(
        (body[pre], body[post]) for pre, post in pairs
    )
