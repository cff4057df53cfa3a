"""What the product relies on, held against a real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.proofreaders.segmentation import sparse_volume
from dvid_sandbox.real_server import RealServer
from tests.state import read_state

pytestmark = pytest.mark.dvid


class Labelmap:
    """A fresh labelmap of 512 bodies of 512 voxels on a real server, asked as plainly as possible."""

    def __init__(self, server: RealServer) -> None:
        self.root = make_repo(server.url, server.admin_token, size=64, cube=8).root
        self.server = server
        self.url = f"{server.url}/api/node/{self.root}/segmentation"

    def post(
        self, path: str, body: Any = None, *, app: str = "", content: bytes | None = None
    ) -> httpx.Response:
        who = {"u": "alice", "app": app or "neu3", "admintoken": self.server.admin_token}
        url = httpx.URL(f"{self.url}/{path}").copy_merge_params(who)
        return httpx.post(url, json=body, content=content)

    def get(self, path: str, body: Any = None) -> Any:
        answer = httpx.request("GET", f"{self.url}/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def next_label(self) -> int:
        return int(self.get("nextlabel")["nextlabel"])

    def runs(self, supervoxel: int) -> np.ndarray:
        answer = httpx.get(f"{self.url}/sparsevol/{supervoxel}?supervoxels=true")
        return np.frombuffer(answer.content, "<i4", offset=12).reshape(-1, 4)

    def state(self) -> Any:
        whole = read_state(self.server.url, self.root, indices=True)
        return whole["data"][f"{self.root}/segmentation"]


@pytest.fixture
def labelmap(real_dvid: RealServer) -> Labelmap:
    return Labelmap(real_dvid)


def test_one_merge_of_many_is_many_merges(real_dvid: RealServer) -> None:
    one_by_one, at_once = Labelmap(real_dvid), Labelmap(real_dvid)
    for label in (2, 3, 4):
        assert one_by_one.post("merge", [1, label]).status_code == 200
    assert at_once.post("merge", [1, 2, 3, 4]).status_code == 200
    assert one_by_one.state() == at_once.state()


def test_a_merge_into_a_merged_body_can_be_flattened(real_dvid: RealServer) -> None:
    chained, flat = Labelmap(real_dvid), Labelmap(real_dvid)
    chained.post("merge", [2, 3])
    chained.post("merge", [1, 2])
    flat.post("merge", [1, 2, 3])
    assert chained.state() == flat.state()


def test_a_merge_with_one_bad_label_changes_nothing(labelmap: Labelmap) -> None:
    before = labelmap.state()
    refused = labelmap.post("merge", [1, 2, 999_999])
    assert (refused.status_code, "can't merge non-existent label 999999" in refused.text) == (400, True)
    assert labelmap.state() == before


@pytest.mark.parametrize(
    ("first", "again", "text"),
    [
        (("merge", [1, 2]), ("merge", [1, 2]), "can't merge non-existent label 2"),
        (("renumber", [9000, 1]), ("renumber", [9000, 1]), "already exists in mapping"),
    ],
)
def test_a_repeated_operation_is_refused(
    labelmap: Labelmap, first: tuple[str, Any], again: tuple[str, Any], text: str
) -> None:
    assert labelmap.post(*first).status_code == 200
    refused = labelmap.post(*again)
    assert refused.status_code == 400
    assert text in refused.text


def test_a_repeated_cleave_is_refused_and_burns_an_id(labelmap: Labelmap) -> None:
    labelmap.post("merge", [1, 2, 3])
    assert labelmap.post("cleave/1", [2]).json()["CleavedLabel"] == 513
    refused = labelmap.post("cleave/1", [2])
    assert refused.status_code == 400
    assert "cannot cleave supervoxel 2, which does not exist in label 1" in refused.text
    assert labelmap.next_label == 515


def test_a_repeated_split_is_refused_and_burns_nothing(labelmap: Labelmap) -> None:
    half = sparse_volume(labelmap.runs(5)[:7])
    labelmap.post("split-supervoxel/5?split=600&remain=601", content=half)
    refused = labelmap.post("split-supervoxel/5?split=600&remain=601", content=half)
    assert refused.status_code == 400
    assert "has been split and doesn't exist anymore" in refused.text
    assert labelmap.get("mapping", [5, 600, 601]) == [0, 5, 5]
    assert labelmap.next_label == 602


def test_a_split_of_voxels_outside_is_refused_and_burns_two_ids(labelmap: Labelmap) -> None:
    before = labelmap.next_label
    refused = labelmap.post(
        "split-supervoxel/1",
        content=sparse_volume(np.concatenate([labelmap.runs(1)[:1], labelmap.runs(2)[:1]])),
    )
    assert refused.status_code == 400
    assert "different from label index" in refused.text
    assert labelmap.get("supervoxels/1") == [1]
    assert labelmap.next_label == before + 2


def test_a_split_that_covers_the_supervoxel_is_refused(labelmap: Labelmap) -> None:
    refused = labelmap.post(
        "split-supervoxel/1?split=600&remain=601", content=sparse_volume(labelmap.runs(1))
    )
    assert refused.status_code == 400
    assert "512 >= 512" in refused.text
    assert labelmap.next_label == 513


def test_voxels_far_away_make_a_split_of_nothing(labelmap: Labelmap) -> None:
    """Nothing is refused here: the remaining supervoxel has everything, the other one does not exist."""
    far = np.array([[5000, 5000, 5000, 3]], np.int32)
    assert labelmap.post("split-supervoxel/1", content=sparse_volume(far)).status_code == 200
    assert labelmap.get("supervoxels/1") == [514]
    assert labelmap.get("sizes", [1]) == [512]


def test_a_cleave_of_nothing_is_taken(labelmap: Labelmap) -> None:
    answer = labelmap.post("cleave/1", [])
    assert (answer.status_code, answer.json()["CleavedLabel"]) == (200, 513)
    assert labelmap.get("sizes", [1, 513]) == [512, 0]


def test_counter_mode_1_is_past_every_label(labelmap: Labelmap) -> None:
    assert labelmap.next_label == 513
    assert labelmap.post("nextlabel/3").json() == {"start": 513, "end": 515}
    labelmap.post("renumber", [514, 1])
    assert labelmap.next_label == 516
    labelmap.post("renumber", [600, 2])
    assert labelmap.next_label == 601
    labelmap.post("merge", [3, 4])
    assert labelmap.next_label == 601
    labelmap.post("maxlabel/700")
    assert labelmap.next_label == 701
    labelmap.post("maxlabel/650")
    assert labelmap.next_label == 701
    labelmap.post("split-supervoxel/5", content=sparse_volume(labelmap.runs(5)[:7]))
    assert labelmap.next_label == 703


def test_counter_mode_2_counts_what_it_gives(labelmap: Labelmap) -> None:
    labelmap.post("set-nextlabel/1000")
    assert labelmap.next_label == 1001
    labelmap.post("renumber", [5000, 1])
    labelmap.post("maxlabel/9000")
    assert labelmap.next_label == 1001
    labelmap.post("merge", [2, 3])
    assert labelmap.post("cleave/2", [3]).json()["CleavedLabel"] == 1001
    assert labelmap.post("nextlabel/4").json() == {"start": 1002, "end": 1005}
    labelmap.post("set-nextlabel/900")
    assert labelmap.next_label == 901


def test_a_merged_away_label_can_name_a_body_again(labelmap: Labelmap) -> None:
    labelmap.post("merge", [1, 2])
    assert labelmap.post("renumber", [2, 1]).status_code == 200
    assert labelmap.get("mapping", [1, 2]) == [2, 2]
    assert labelmap.post("merge", [3, 2]).status_code == 200
    assert labelmap.get("mapping", [1, 2, 3]) == [3, 3, 3]


def test_the_app_of_a_request_stays_with_the_body(labelmap: Labelmap) -> None:
    tag = "neu3+dvidsync@1000000104"
    labelmap.post("merge", [1, 2], app=tag)
    found = labelmap.get("lastmod/1")
    assert (found["last mod user"], found["last mod app"]) == ("alice", tag)
    assert httpx.get(f"{labelmap.url}/lastmod/2").status_code == 404


def test_reads_tell_what_is_not_there(labelmap: Labelmap) -> None:
    labelmap.post("merge", [1, 2])
    assert httpx.get(f"{labelmap.url}/supervoxels/2").status_code == 404
    assert labelmap.get("sizes", [1, 2, 777_777]) == [1024, 0, 0]
    assert labelmap.get("mapping", [1, 2, 777_777]) == [1, 1, 0]


def test_versions_take_given_ids_and_refuse_open_parents(labelmap: Labelmap) -> None:
    node = f"{labelmap.server.url}/api/node/{labelmap.root}"
    child = "0123456789abcdef" * 2
    refused = httpx.post(f"{node}/newversion", json={"uuid": child})
    assert (refused.status_code, "can't branch an unlocked node" in refused.text) == (400, True)
    assert httpx.post(f"{node}/commit", json={"note": "done"}).status_code == 200
    assert "locked node" in httpx.post(f"{node}/commit", json={"note": "again"}).text
    assert httpx.post(f"{node}/newversion", json={"uuid": child}).json() == {"child": child}
    assert httpx.get(f"{labelmap.server.url}/api/node/{child}/status").json() == {"Locked": False}


def test_a_log_whose_first_write_goes_alone_stays_whole(tmp_path: Path) -> None:
    """First writes of a version at once break the log about once in ten versions."""
    with RealServer.start(tmp_path / "dvid") as server, httpx.Client(base_url=server.url) as client:
        root = version = make_repo(server.url, server.admin_token, size=64).root
        for first in range(1, 161, 8):
            merge = f"/api/node/{version}/segmentation/merge"
            client.post(merge, json=[first, first + 1]).raise_for_status()
            pairs = [[first + 2, first + 3], [first + 4, first + 5], [first + 6, first + 7]]
            with ThreadPoolExecutor(3) as pool:
                for answer in pool.map(lambda pair, path=merge: client.post(path, json=pair), pairs):
                    answer.raise_for_status()
            client.post(f"/api/node/{version}/commit", json={}).raise_for_status()
            version = client.post(f"/api/node/{version}/newversion", json={}).json()["child"]
        assert version != root
        assert server.broken_logs() == []
        server.restart()


def test_a_given_split_id_does_not_move_a_counter_that_was_set(labelmap: Labelmap) -> None:
    """So a cleave can be given the id of a supervoxel, which is then in no body by the mapping."""
    labelmap.post("set-nextlabel/1000")
    half = sparse_volume(labelmap.runs(5)[:7])
    assert labelmap.post("split-supervoxel/5?split=1001&remain=1002", content=half).status_code == 200
    assert labelmap.next_label == 1001
    labelmap.post("merge", [7, 8])
    assert labelmap.post("cleave/7", [8]).json()["CleavedLabel"] == 1001
    assert labelmap.get("mapping", [1001, 8]) == [0, 1001]
    assert sorted(labelmap.get("supervoxels/5")) == [1001, 1002]
