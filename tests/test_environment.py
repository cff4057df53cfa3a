"""`.venv` is made of what `requirements.lock` pins, and of nothing else."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
LOCK = (CHECKOUT / "requirements.lock").read_text()
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
SANDBOX = tomllib.loads((CHECKOUT / "sandbox" / "pyproject.toml").read_text())

PINNED = re.findall(r"^([\w.-]+)==\S+ .*\n(?:    --hash=.*\n)+", LOCK, re.M)


def name_of(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0].lower()


def test_every_entry_has_a_hash() -> None:
    assert len(PINNED) == len(re.findall(r"^[\w.-]+", LOCK, re.M))


@pytest.mark.parametrize("requirement", PYPROJECT["build-system"]["requires"] + ["pip", "editables"])
def test_what_builds_the_package_is_pinned(requirement: str) -> None:
    assert name_of(requirement) in PINNED


def test_every_group_is_pinned() -> None:
    projects = [PYPROJECT["project"], SANDBOX["project"]]
    groups = [project["dependencies"] for project in projects]
    groups += [group for project in projects for group in project["optional-dependencies"].values()]
    for name, group in PYPROJECT["dependency-groups"].items():
        if name == "proto":  # only who changes the messages needs it
            assert all("==" in each for each in group)
        else:
            groups.append(group)
    assert {name_of(each) for group in groups for each in group} <= set(PINNED)


def test_nothing_else_is_fetched_or_built() -> None:
    made = subprocess.run(
        ["make", "--dry-run", "--always-make", ".venv/ready"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    everything, package = re.findall(r"pip install (.*)", made)
    assert "--require-hashes --only-binary :all: -r requirements.lock" in everything
    # Without its own look-up of build tools.
    assert "--no-deps --no-build-isolation --editable . --editable sandbox" in package
