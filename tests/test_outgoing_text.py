"""What leaves us shows no secret, obeys no record and is no longer than it should be."""

from __future__ import annotations

import ast
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dvidsync_dagster.config.secrets import read_secret
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.outgoing_text import counted, escaped, keep_secret, markdown, python_text, scrubbed

SECRET = 'q7/&<é+ "x\\Zb=='


@pytest.fixture(autouse=True)
def _secret() -> None:
    assert read_secret("source.token_env", "TOKEN", {"TOKEN": SECRET}) == SECRET


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        re.sub("%..", lambda code: code[0].lower(), quote(SECRET, safe="")),
        quote_plus(SECRET),
        quote(quote(SECRET, safe=""), safe=""),
        json.dumps(SECRET)[1:-1],
        html.escape(SECRET),
    ],
)
def test_a_secret_is_taken_out_however_it_is_written(written: str) -> None:
    assert scrubbed(f"GET /login?next={written}&a=1") == "GET /login?next=***&a=1"


def test_no_error_shows_a_secret_that_a_server_echoes() -> None:
    refusal = RequestRefused("POST /merge", 400, f"bad header Authorization: Bearer {SECRET}")
    assert SECRET not in str(refusal)
    assert SECRET not in refusal.text
    assert "***" in str(refusal)


def test_a_short_secret_goes_only_where_it_stands_alone() -> None:
    keep_secret("ab12")
    assert scrubbed("ab12 cab123 password=ab12") == "*** cab123 password=***"


def test_what_a_terminal_would_obey_is_visible() -> None:
    assert escaped("a\nb\x1b[31m\u202e\u2028é 漢") == "a\\nb\\x1b[31m\\u202e\\u2028é 漢"


def test_escaping_twice_is_escaping_once() -> None:
    once = escaped("a\n" * 1000)
    assert escaped(once) == once
    assert len(once) == 500
    assert once.endswith("… (2,000 characters)")


def test_a_huge_text_is_cut() -> None:
    text = escaped("E" * 60_000_000)
    assert len(text) == 500
    assert "60,000,000" in text


def test_a_secret_at_the_cut_is_not_shown_in_part() -> None:
    assert SECRET[:4] not in escaped("x" * 470 + SECRET + "y" * 1000)


def test_markdown_shows_the_text_as_it_is() -> None:
    text = markdown("[x](http://evil) <img src=x> | **b** `c` https://evil.example")
    for live in ("[x]", "](", " <img", " | ", "**b", " `c", "http:", "https:"):
        assert live not in text


LIVE = st.text(st.sampled_from("ab1 .,:;()'/_-\\`*{}[]<>#+!|~&@$=\"\n\r\t\u202ewé"), max_size=30)


@given(LIVE | st.text(max_size=20))
@example("www.evil.example")
@example("1. one")
@example("    indented")
@example("a_b __c__ _d_")
@example("Labels of a-b: see c/d (x), it's 7.")
def test_markdown_comes_out_as_the_text(text: str) -> None:
    page = MarkdownIt("commonmark").enable("table").render(markdown(text))
    shown = escaped(text).strip()
    assert html.unescape(page) == (f"<p>{shown}</p>\n" if shown else "")
    assert "<a" not in page


def test_markdown_leaves_plain_text_without_backslashes() -> None:
    plain = "One supervoxel of segmentation_1 and its body, as of a-b: it's 7 (or more); see c/d."
    assert markdown(plain) == plain
    assert markdown("x_ www.evil.example") != "x_ www.evil.example"


@pytest.mark.parametrize("text", ["a", 'a"b', "a'b\\", "\n\x7f", "ü\u202e", "\U0001f600", "`{0}`"])
def test_python_reads_the_text_as_it_was(text: str) -> None:
    written = python_text(text)
    assert ast.literal_eval(written) == text
    assert written.isprintable()


def test_a_number_goes_with_its_noun() -> None:
    assert counted(0, "row") == "0 rows"
    assert counted(1, "row") == "1 row"
    assert counted(1000, "row") == "1,000 rows"
    assert counted(1, "body", "bodies") == "1 body"
    assert counted(2, "body", "bodies") == "2 bodies"
