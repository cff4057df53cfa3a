"""The docs and the code name each other rightly: headings that comments name, tests that pages name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvidsync_dagster.orchestration import metadata

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = sorted((CHECKOUT / "docs").glob("*.md"))
TEXTS = [*PAGES, *sorted(CHECKOUT.glob("*.md"))]
ROOMS = ("dvidsync_dagster", "sandbox", "demo", "tests", "benchmarks")
CODE = sorted(path for room in ROOMS for path in (CHECKOUT / room).rglob("*.py"))

NAMED = re.compile(r'docs/(\w+\.md),[\s#]+"([^"]+)"')
"""A heading as comments and docstrings name it: docs/dvid.md, "Torn operations". A line may end in it."""

LONGEST = 60


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(), re.M)


def named(text: str) -> Iterator[tuple[str, str]]:
    """The pages and headings that a text names."""
    for page, heading in NAMED.findall(text):
        yield page, re.sub(r"\s*\n[\s#]*", " ", heading)


def test_a_heading_is_found_also_where_a_line_ends_in_it() -> None:
    text = """
        x = 1  # docs/dvid.md, "Merges that
        #        share a body", and docs/kafka.md,
        # "Compression"
    """
    assert list(named(text)) == [("dvid.md", "Merges that share a body"), ("kafka.md", "Compression")]


def test_headings_that_the_code_names_are_there() -> None:
    known = {page.name: headings(page) for page in PAGES}
    missing = [
        f'{path.relative_to(CHECKOUT)}: docs/{page}, "{heading}"'
        for path in CODE
        for page, heading in named(path.read_text())
        if heading not in known.get(page, ())
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_headings_can_be_named(page: Path) -> None:
    """Each is short, without marks, and only once on its page."""
    found = headings(page)
    assert len(set(found)) == len(found)
    assert [each for each in found if len(each) > LONGEST or re.search(r'[`*"\[]', each)] == []


def anchors(page: Path) -> set[str]:
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_links_lead_somewhere(text: Path) -> None:
    """Those between pages are checked by mkdocs too; those of the README and its like by nothing else."""
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text.read_text()):
        page = text.parent / target if target else text
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), f"{target}#{anchor}"


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_files_that_a_text_names_are_there(text: Path) -> None:
    """A word in capitals stands for a name."""
    paths = re.findall(r"`((?:tests|benchmarks|\.ci)/[\w./-]*)`", text.read_text())
    plain = [path for path in paths if not re.search("[A-Z]{2}", path)]
    assert [path for path in plain if not (CHECKOUT / path).exists()] == []


def test_the_metadata_that_the_page_about_the_ui_lists_are_those_of_a_chunk() -> None:
    table = (
        (CHECKOUT / "docs" / "ui.md").read_text().partition("| `dvidsync/…` | meaning |\n| --- | --- |\n")[2]
    )
    cells = [line.split("|")[1] for line in table.partition("\n\n")[0].splitlines()]
    told = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    keys = [value for name, value in vars(metadata).items() if name.isupper() and isinstance(value, str)]
    own = {key.removeprefix("dvidsync/") for key in keys if key.startswith("dvidsync/")}
    stages = {name for name in told if name.startswith("seconds_")}
    assert told - stages == own - {"seconds_"}
    assert stages


def test_the_tables_of_rooms_name_the_same_rooms_in_the_same_order() -> None:
    tables = [
        (CHECKOUT / page)
        .read_text()
        .partition("| room | holds | knows nothing of |\n| --- | --- | --- |\n")[2]
        for page in ("docs/design.md", "CONTRIBUTING.md")
    ]
    first, second = (
        [line.split("|")[1] for line in table.partition("\n\n")[0].splitlines()] for table in tables
    )
    assert first == second != []
