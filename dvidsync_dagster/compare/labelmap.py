"""Labelmaps: the body of each supervoxel, the voxels of each body, the label counter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dvidsync_dagster.differences.digest import Numbers, Page, Wanted, numbered
from dvidsync_dagster.differences.findings import Difference
from dvidsync_dagster.differences.items import (
    Found,
    Kind,
    Pair,
    Side,
    find,
    find_all,
    gathered,
    side_by_side,
    sifted,
)
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.transport import NO_TEXT
from dvidsync_dagster.errors import ServerFailed

_PAIR = 16
_PAGE_PAIRS = 1 << 20
_LABELS_PER_REQUEST = 1_000_000


def mapping_pages(side: Side, _wanted: Wanted | None) -> Iterator[Page]:
    """Supervoxels that are in another body than their own, with their bodies."""
    path = node_path(side.version, side.name, "mappings")
    for pairs in _pairs(side, path, {"format": "binary"}):
        # An id that was retired is listed with 0 by a server that remembers why, and not at all by others.
        pairs = pairs[pairs[:, 1] != 0]
        yield numbered(pairs[:, 0], pairs[:, 1])


def size_pages(side: Side, _wanted: Wanted | None) -> Iterator[Page]:
    """Bodies with their voxels."""
    path = node_path(side.version, side.name, "listlabels")
    start = 0
    while True:
        listed = 0
        query: dict[str, str | int] = {"sizes": "true", "start": start, "number": _LABELS_PER_REQUEST}
        for pairs in _pairs(side, path, query):
            listed += len(pairs)
            start = int(pairs[-1, 0]) + 1
            yield numbered(pairs[:, 0], pairs[:, 1])
        if listed < _LABELS_PER_REQUEST:
            return


def _pairs(side: Side, path: str, query: dict[str, str | int]) -> Iterator[Numbers]:
    """Arrays of shape (n, 2) from an answer of uint64 pairs."""
    kept = bytearray()
    with side.client.stream(path, query=query, kind=NO_TEXT) as pieces:
        for piece in pieces:
            kept += piece
            if len(kept) >= _PAGE_PAIRS * _PAIR:
                whole = len(kept) // _PAIR * _PAIR
                yield _parsed(bytes(kept[:whole]))
                del kept[:whole]
    if len(kept) % _PAIR:
        raise ServerFailed(f"GET {path}", f"ends in the middle of a pair: {bytes(kept[-100:])!r}")
    if kept:
        yield _parsed(bytes(kept))


def _parsed(content: bytes) -> Numbers:
    return np.frombuffer(content, "<u8").reshape(-1, 2).astype(np.uint64, copy=False)


MAPPING = Kind(
    "supervoxels",
    "supervoxels in another body",
    mapping_pages,
    lambda _key, body: f"in body {body}",
    values_are_bodies=True,
)
SIZES = Kind("bodies", "bodies of another size", size_pages, lambda _key, voxels: f"{voxels} voxels")


def find_mapping(pair: Pair) -> tuple[Found | None, int]:
    """Supervoxels in another body, or on one side only; and how many the source lists."""
    found, count = find_all(MAPPING, pair)
    if found is None:
        return None, count
    # Not listed means in its own body, or not there at all: now each is asked for.
    asked = [int(key) for key in found.keys]
    source, copy = (
        np.array(bodies, np.uint64)
        for bodies in side_by_side(
            lambda side: Labelmap(side.client, side.name).mapping(side.version, asked), pair
        )
    )
    found = replace(found, source=source, copy=copy, at_source=source != 0, at_copy=copy != 0)
    return sifted(found.only(source != copy), pair), count


def compare_labelmap(pair: Pair) -> tuple[list[Found], int]:
    """What differs in one version, and how many items the source has."""
    return gathered([find_mapping(pair), find(SIZES, pair)])


def compare_counter(pair: Pair) -> list[Difference]:
    """The id that the next cleave gets; one counter for all versions of the instance."""
    here, there = side_by_side(lambda side: Labelmap(side.client, side.name).next_label(side.version), pair)
    if here == there:
        return []
    where = "behind" if there < here else "ahead"
    return [
        Difference(
            "",
            pair.source.name,
            f"label counter {where} of the source's",
            abs(here - there),
            (f"next label: {here} here, {there} there",),
        )
    ]


def compare_max_label(pair: Pair) -> tuple[list[Difference], list[str]]:
    """The highest label that a version has had: a row where the copy's is behind, and it can be raised; a
    note where it is ahead, as no server lowers it."""
    here, there = side_by_side(lambda side: Labelmap(side.client, side.name).max_label(side.version), pair)
    version, name = pair.source.version, pair.source.name
    if here <= there:
        return [], [] if here == there else [f"{name} in {version}: maxlabel is {here} here, {there} there"]
    example = f"maxlabel: {here} here, {there} there"
    return [Difference(version, name, "maxlabel behind the source's", here - there, (example,))], []
