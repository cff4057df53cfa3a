"""What a labelmap lists is checked: an answer that breaks off, or is another one, is named."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import lz4.block
import numpy as np
import orjson
import pytest

from dvidsync_dagster.dvid import label_lists
from dvidsync_dagster.dvid.label_lists import (
    existing_labels,
    indices,
    mapping_pairs,
    size_pairs,
    splits,
    told_by_indices,
)
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import AnswerTooLong, LoginRefused, ServerBusy, ServerFailed, ServerUnreachable


class Answering:
    """A server that answers everything with some bytes, or by what is asked.

    Args:
        answer: the bytes, or what makes them of the query.
    """

    def __init__(self, answer: bytes | Callable[[dict[str, Any]], bytes]) -> None:
        self._answer = answer

    def read(self, _path: str, *, query: Any = None, **_more: Any) -> bytes:
        return self._answer if isinstance(self._answer, bytes) else self._answer(query)

    def read_json(self, path: str, **_more: Any) -> Any:
        return orjson.loads(self.read(path))

    @contextmanager
    def stream(self, path: str, **_more: Any) -> Iterator[Iterator[bytes]]:
        content = self.read(path)
        yield (content[start : start + 7] for start in range(0, len(content), 7))


def server(answer: bytes | Callable[[dict[str, Any]], bytes]) -> Transport:
    return cast(Transport, Answering(answer))


def pairs(*rows: tuple[int, int]) -> bytes:
    return np.array(rows, "<u8").tobytes()


def test_a_mapping_comes_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_lists, "_PIECE", 2)
    rows = [(number, 2**64 - number) for number in range(1, 8)]
    found = list(mapping_pairs(server(pairs(*rows)), "v", "labels"))
    assert len(found) > 1
    assert np.concatenate(found).tolist() == [list(row) for row in rows]
    assert list(mapping_pairs(server(b""), "v", "labels")) == []


def test_a_mapping_that_ends_in_a_pair_is_not_whole() -> None:
    with pytest.raises(ServerFailed, match="in the middle of a row"):
        list(mapping_pairs(server(pairs((1, 2))[:-1]), "v", "labels"))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_sizes_come_page_by_page(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_lists, "LABELS_AT_ONCE", 3)
    bodies = [(5 * number, number) for number in range(count - 1)] + [(2**64 - 1, 9)] * (count > 0)

    def listed(query: dict[str, Any]) -> bytes:
        return pairs(*[body for body in bodies if body[0] >= query["start"]][: query["number"]])

    found = [row for page in size_pairs(server(listed), "v", "labels") for row in page.tolist()]
    assert found == [list(body) for body in bodies]


class Listing:
    """A server with some bodies, whose list of them ends early.

    Args:
        text: its `existing-labels`; by default all.
        broken: what it ends with.
    """

    def __init__(self, labels: list[int], text: bytes | None = None, broken: Exception | None = None) -> None:
        self._labels = labels
        self._text = orjson.dumps(labels) if text is None else text
        self._broken = broken
        self.asked: list[int] = []

    @contextmanager
    def stream(self, path: str, **_more: Any) -> Iterator[Iterator[bytes]]:
        assert path.endswith("/existing-labels")

        def pieces() -> Iterator[bytes]:
            yield from (self._text[start : start + 7] for start in range(0, len(self._text), 7))
            if self._broken is not None:
                raise self._broken

        yield pieces()

    def read(self, path: str, *, query: Any, **_more: Any) -> bytes:
        assert path.endswith("/listlabels")
        assert "sizes" not in query
        self.asked.append(query["start"])
        listed = [each for each in self._labels if each >= query["start"]]
        return np.array(listed[: query["number"]], "<u8").tobytes()

    def existing(self) -> list[int]:
        pages = existing_labels(cast(Transport, self), "v", "labels")
        return [label for page in pages for label in page.tolist()]


MANY = [3, 5, 10, 2**63 - 1, 2**63, 2**63 + 9, 2**64 - 7, 2**64 - 2]


@pytest.mark.parametrize("at_once", [1, 8, 1000])
@pytest.mark.parametrize("labels", [[], [0], [7], MANY[:3], MANY, [2**64 - 1]])
def test_bodies_come_in_pieces_of_any_size(
    labels: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_lists, "_TEXT", max(at_once, 30))
    listing = Listing(labels)
    assert listing.existing() == labels
    # Nothing comes after the last.
    assert listing.asked == ([] if labels == [2**64 - 1] else [labels[-1] + 1 if labels else 0])


@pytest.mark.parametrize("count", range(len(MANY)))
@pytest.mark.parametrize(
    "broken",
    [None, ServerUnreachable("GET x", "gone"), ServerBusy("GET x", "later")],
    ids=["as if whole", "connection", "busy"],
)
def test_a_list_of_bodies_that_ends_early_is_read_on(
    count: int, broken: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_lists, "_TEXT", 30)
    monkeypatch.setattr(label_lists, "LABELS_AT_ONCE", 3)
    text = orjson.dumps(MANY[:count])
    assert Listing(MANY, text[:-1] if broken else text, broken).existing() == MANY


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "{}", "null", "[1,2", "1,2]", "[1,,2]", "[01]", "<html>,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,"),
        *("[1.5]", "[-1]", "[18446744073709551616]", "[[1,2]]", "[1,[2]]", '["1"]', "[true]"),
        *("[2,1]", "[1,1]"),
    ],
)
def test_what_is_no_list_of_bodies_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_lists, "_TEXT", 30)
    with pytest.raises(ServerFailed, match=r"existing-labels: (answered no list|lists labels from)"):
        Listing([1, 2], text.encode()).existing()


def test_a_refusal_of_the_list_of_bodies_is_raised() -> None:
    with pytest.raises(LoginRefused):
        Listing([1, 2], b"[1", LoginRefused("GET x", "no", "source.token_env")).existing()


@pytest.mark.parametrize(
    "answer",
    [
        pairs((1, 5), (2, 5), (0, 0), (0, 0)),
        pairs((0, 0), (0, 0)),
        pairs((2, 1), (1, 1)),
        pairs((1, 1), (1, 1)),
    ],
    ids=["DVID's mark that it failed", "that mark alone", "not sorted", "twice"],
)
def test_a_list_of_sizes_that_broke_off_is_not_taken_for_all(answer: bytes) -> None:
    with pytest.raises(ServerFailed, match="not in their order"):
        list(size_pairs(server(answer), "v", "labels"))


def kept(label: int, index: LabelIndex | None) -> bytes:
    content = b""
    if index is not None:
        plain = index.SerializeToString()
        content = struct.pack("<BI", 0x80, len(plain)) + lz4.block.compress(plain, store_size=False)
    return struct.pack("<QQ", len(content), label) + content


INDEX = LabelIndex(label=7, last_mutid=5, last_mod_user="amy")


def test_indices_are_unpacked() -> None:
    found = list(indices(server(kept(7, INDEX) + kept(8, None)), "v", "labels", [7, 8]))
    assert found == [(7, INDEX), (8, LabelIndex())]


def test_an_index_without_its_label_gets_it() -> None:
    """It is written back to the body whose label it has."""
    old = LabelIndex(last_mutid=5, last_mod_user="amy")
    assert list(indices(server(kept(7, old)), "v", "labels", [7])) == [(7, INDEX)]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (kept(7, INDEX), "ends before the index of label 8"),
        (kept(7, INDEX) + bytes(16), "something else in place of the index of label 8"),
        (kept(8, INDEX) + kept(7, INDEX), "something else in place of the index of label 7"),
        (kept(7, INDEX) + kept(8, INDEX)[:-1], "something else in place of the index of label 8"),
        (kept(7, INDEX) + kept(8, INDEX) + b"more", "4 bytes after its last index"),
        (kept(7, INDEX).replace(b"\x80", b"\x20"), "kept in an unknown way"),
        (struct.pack("<QQBI", 5, 7, 0x80, 2**32 - 1), "kept in an unknown way"),
        (struct.pack("<QQBI", 5, 7, 0x80, 100), "an index that is none"),
        (struct.pack("<QQB", 1, 7, 0x80), "an index that is none"),
        (b"<html>nothing of the kind</html>", "something else in place of the index of label 7"),
    ],
)
def test_indices_that_are_none_are_named(answer: bytes, found: str) -> None:
    with pytest.raises(ServerFailed, match=found):
        list(indices(server(answer), "v", "labels", [7, 8]))


class Large:
    """A server with the indices of many bodies, the larger the higher their labels."""

    def __init__(self) -> None:
        self.labels = list(range(1, 40))
        self.asked: list[int] = []

    def index(self, label: int) -> LabelIndex:
        return LabelIndex(
            label=label, last_mutid=label, last_mod_app=random.Random(label).randbytes(9 * label).hex()
        )

    def read(self, _path: str, *, body: bytes, limit: int, **_more: Any) -> bytes:
        labels = orjson.loads(body)
        self.asked.append(len(labels))
        answer = b"".join(kept(label, self.index(label)) for label in labels)
        if len(answer) > limit:
            raise AnswerTooLong("GET indices", f"more than {limit} bytes")
        return answer


@pytest.mark.parametrize("most", [300, 2_000, 1 << 20])
def test_many_large_indices_come_in_several_answers(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_lists, "ANSWER", most)
    large = Large()
    at = cast(Transport, large)
    expected = [(label, large.index(label)) for label in large.labels]
    assert list(indices(at, "v", "labels", large.labels)) == expected
    assert large.asked[0] == len(large.labels)
    assert (len(large.asked) > 1) == (most < 1 << 20)
    told = told_by_indices(at, "v", "labels", large.labels)
    assert told.last_mutation.tolist() == large.labels


def test_one_index_that_is_larger_than_any_value_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_lists, "ANSWER", 300)
    monkeypatch.setattr(label_lists, "VALUE", 400)
    with pytest.raises(AnswerTooLong, match="more than 400 bytes"):
        list(indices(cast(Transport, Large()), "v", "labels", [1, 39, 2]))


def test_splits_of_all_versions() -> None:
    listed = orjson.dumps(["child", [[9, 5, 20, 21]], "root", [[3, 1, 10, 11], [4, 2, 12, 13]]])
    assert splits(server(listed), "v", "labels") == [(9, 5, 20, 21), (3, 1, 10, 11), (4, 2, 12, 13)]
    assert splits(server(b"[]"), "v", "labels") == []


@pytest.mark.parametrize(
    "answer", [b"5", b"null", b'["root", [5]]', b'["root", [[1, 2, "a", 3]]]', b'["a", [[]]]']
)
def test_splits_that_are_none_are_named(answer: bytes) -> None:
    with pytest.raises(ServerFailed, match="supervoxel-splits"):
        splits(server(answer), "v", "labels")
