"""The house: imports go downwards only, data types stay apart, modules stay short."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dvidsync_dagster
from dvidsync_dagster.datatypes.registry import ALL

PACKAGE = Path(dvidsync_dagster.__file__).parent

FLOORS = [
    {"outgoing_text", "refusal_reason"},
    {"errors"},
    {"events", "config"},
    {"dvid"},
    {"log", "plan", "differences"},
    {"snapshot"},
    {"datatypes"},
    {"destinations"},
    {"run"},
    {"compare"},
    {"repair", "practice"},
    {"orchestration"},
    {"cli", "definitions", "__init__"},
]
"""From the ground up. Nothing knows a room above it, nor another one on its floor."""

DATA_TYPES = {"annotation", "keyvalue", "labelmap", "neuronjson", "repo"}

DATA_TYPE_NAMES = DATA_TYPES - {"repo"} | {"Labelmap", "Keyvalue", "Neuronjson", "Annotation"}

ENGINES = {"run", "compare", "repair", "destinations", "differences", "plan", "events"}
"""Rooms that name no data type."""

MAX_LINES = 350
LONG: set[str] = set()
"""Modules that are longer."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[list[str]]:
    """The package's modules that a module imports, in parts after the package's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1:] for name in names if name.split(".")[0] == PACKAGE.name)


def test_every_room_has_its_floor() -> None:
    assert {room(path) for path in MODULES} == set().union(*FLOORS)


def test_every_data_type_is_held_apart() -> None:
    packages = {path.parent.name for path in (PACKAGE / "datatypes").glob("*/__init__.py")}
    assert packages == DATA_TYPES == set(ALL)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards(path: Path) -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    for parts in imported(path):
        if parts and parts[0] in floor and parts[0] != room(path):
            assert floor[parts[0]] < floor[room(path)], f"{name_of(path)} imports {'.'.join(parts)}"


@pytest.mark.parametrize("data_type", sorted(DATA_TYPES))
def test_data_types_do_not_know_each_other(data_type: str) -> None:
    for path in MODULES:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[:2] != ("datatypes", data_type):
            continue
        for found in imported(path):
            others = DATA_TYPES - {data_type}
            assert found[0] != "datatypes" or found[1] not in others, f"{name_of(path)} imports {found}"


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) in ENGINES], ids=name_of)
def test_engines_name_no_data_type(path: Path) -> None:
    for found in imported(path):
        assert found[:1] != ["datatypes"] or found[1] not in DATA_TYPES, f"{name_of(path)} imports {found}"
        assert found[-1] not in DATA_TYPE_NAMES, f"{name_of(path)} imports {found}"


def test_modules_are_short() -> None:
    assert {name_of(path) for path in MODULES if len(path.read_text().splitlines()) > MAX_LINES} == LONG


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_of_the_sandbox_or_the_demo_is_needed(path: Path) -> None:
    assert not re.search(r"^\s*(from|import) (dvid_sandbox|demo)\b", path.read_text(), re.M)


def test_only_the_transport_knows_the_library() -> None:
    """The APIs of DVID and all above them know the protocol; `dvid.opening` alone chooses what carries it."""
    carriers = {"dvid/again.py", "dvid/body.py", "dvid/http.py", "dvid/wire.py"}
    for path in MODULES:
        if name_of(path) in carriers:
            continue
        assert "import httpcore" not in path.read_text(), name_of(path)
        for parts in imported(path):
            if parts[:1] == ["dvid"] and parts[1:2] in (["http"], ["wire"], ["body"]):
                assert name_of(path) == "dvid/opening.py", f"{name_of(path)} imports {'.'.join(parts)}"
