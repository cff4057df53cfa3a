"""`dvidsync repair --version`, as a dry run: it lists what of the destination's own goes, also where the log
is still to bring something."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dvidsync_dagster.cli.exit_codes import CONFLICT, DIFFERENT, DONE, LEFT_OUT
from tests.cli.test_cli import dvidsync
from tests.cli.test_take_back import KEYS, MASTER, Scene, scene
from tests.stage import INSTANCE

__all__ = ["scene"]

pytestmark = pytest.mark.usefixtures("home")

OWN_KEY, OWN_NEURON, OWN_ELEMENT, OTHERS = "own", 7, 1, "others"


def test_what_the_log_is_to_bring_and_a_run_leaves_out(scene: Scene) -> None:
    config = scene.config("skip")
    _begin(scene)
    assert dvidsync("run", config).exit_code == DONE
    _people_change(scene)
    _source_goes_on(scene)
    planned = _told(config)
    assert [edit["item"] for edit in planned["own_edits"]] == ["body 1"]
    assert {(row["what"], *row["examples"]) for row in planned["changes"]} == {
        ("cleave", "1 supervoxel off 1 for 11"),
        ("merge", "11 from 2 bodies"),
        ("write key", OWN_KEY),
        ("write neuron", str(OWN_NEURON)),
        ("post element", "(1, 1, 1)"),
    }
    pending = {(row["instance"], row["what"]): row["examples"] for row in planned["pending"]}
    assert pending[KEYS, "keys pending"] == [OTHERS]
    assert pending[INSTANCE, "supervoxels pending"] == ["21"]
    done = _told(config, "--apply")
    assert done["own_edits"] == planned["own_edits"]
    assert {(row["what"], *row["examples"]) for row in done["changes"]} == {
        (row["what"], *row["examples"]) for row in planned["changes"]
    }
    assert scene.same(MASTER)
    assert dvidsync("verify", config).exit_code == DONE


@pytest.mark.parametrize("runs_first", [False, True])
def test_what_lies_behind_a_stop(scene: Scene, runs_first: bool) -> None:
    config = scene.config("stop")
    scene.own_merge(MASTER, 40, 41)
    scene.merge(MASTER, 42, 41)
    scene.own_merge(MASTER, 1, 10)
    scene.merge(MASTER, 11, 10)
    if runs_first:
        assert dvidsync("run", config).exit_code == CONFLICT
    planned = _told(config)
    assert [edit["item"] for edit in planned["own_edits"]] == ["body 1", "body 40"]
    assert _told(config, "--apply")["own_edits"] == planned["own_edits"]
    assert dvidsync("run", config).exit_code == DONE
    assert scene.same(MASTER)


def test_what_people_did_as_the_source_did_it_is_no_change(scene: Scene) -> None:
    config = scene.config("skip")
    scene.own_merge(MASTER, 1, 10)
    scene.merge(MASTER, 1, 10)
    planned = dvidsync("repair", config, "--version", MASTER, "--json")
    assert planned.exit_code == DONE, planned.output
    (told,) = json.loads(planned.stdout).values()
    assert told["own_edits"] == told["changes"] == []
    assert dvidsync("run", config).exit_code == LEFT_OUT


def _told(config: str, *arguments: str) -> dict[str, Any]:
    done = dvidsync("repair", config, "--version", MASTER, "--json", *arguments)
    assert done.exit_code == (DONE if arguments else DIFFERENT), done.output
    (told,) = json.loads(done.stdout).values()
    assert isinstance(told, dict)
    return told


def _begin(scene: Scene) -> None:
    for key in (OWN_KEY, OTHERS):
        scene.post(f"{MASTER}/{KEYS}/key/{key}", b"first")
    _post(scene, "first", by_trainee=False)


def _people_change(scene: Scene) -> None:
    there = scene.stage.destination
    scene.own_merge(MASTER, 1, 10)
    scene.post(f"{MASTER}/{KEYS}/key/{OWN_KEY}", b"own", server=there, user="trainee")
    _post(scene, "own", by_trainee=True)


def _source_goes_on(scene: Scene) -> None:
    scene.merge(MASTER, 11, 10)
    scene.merge(MASTER, 20, 21)
    for key in (OWN_KEY, OTHERS):
        scene.post(f"{MASTER}/{KEYS}/key/{key}", b"second")
    _post(scene, "second", by_trainee=False)


def _post(scene: Scene, text: str, *, by_trainee: bool) -> None:
    server = scene.stage.destination if by_trainee else None
    user = "trainee" if by_trainee else "amy"
    neuron = {"bodyid": OWN_NEURON, "class": text}
    scene.post(f"{MASTER}/neurons/key/{OWN_NEURON}", neuron, server=server, user=user)
    point = [OWN_ELEMENT] * 3
    element = {"Pos": point, "Kind": "Note", "Tags": [], "Prop": {"note": text}, "Rels": []}
    scene.post(f"{MASTER}/synapses/elements", [element], server=server, user=user)
