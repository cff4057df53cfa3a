"""What a score sheet says of partitions of supervoxels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.practice.decisions import Decision, ScoreRow, decisions, not_compared, scores

PARTITIONS = st.lists(st.integers(1, 5), min_size=8, max_size=8).map(
    lambda bodies: dict(enumerate(bodies, start=1))
)


def bodies(text: str) -> dict[int, int]:
    """`1 2 | 3` are body 1 of 1 and 2, and body 3."""
    groups = [[int(each) for each in group.split()] for group in text.split("|")]
    return {each: group[0] for group in groups for each in group}


BEGIN = bodies("1 2 3 4 | 5 6 | 7 | 8")


def test_a_merge_that_the_source_made_too() -> None:
    end = bodies("1 2 3 4 5 6 | 7 | 8")
    assert list(decisions(BEGIN, end, end)) == [Decision("merge", 1, 5, 2, "yes")]
    assert list(decisions(BEGIN, end, BEGIN)) == [Decision("merge", 1, 5, 2, "no")]
    assert list(decisions(BEGIN, end, bodies("1 2 3 4 5 | 6 | 7 | 8"))) == [
        Decision("merge", 1, 5, 2, "partly")
    ]


def test_a_cleave_that_the_source_made_too() -> None:
    end = bodies("1 2 | 3 4 | 5 6 | 7 | 8")
    assert list(decisions(BEGIN, end, end)) == [Decision("cleave", 3, 1, 2, "yes")]
    assert list(decisions(BEGIN, end, BEGIN)) == [Decision("cleave", 3, 1, 2, "no")]
    assert list(decisions(BEGIN, end, bodies("1 2 3 | 4 | 5 6 | 7 | 8"))) == [
        Decision("cleave", 3, 1, 2, "partly")
    ]


def test_other_labels_for_the_same_bodies_are_no_decision() -> None:
    end = {supervoxel: body + 1000 for supervoxel, body in BEGIN.items()}
    assert list(decisions(BEGIN, end, BEGIN)) == []


def test_what_was_moved_was_cleaved_and_merged() -> None:
    end = bodies("1 2 3 | 4 5 6 | 7 | 8") | {4: 5, 5: 5, 6: 5}
    assert list(decisions(BEGIN, end, BEGIN)) == [
        Decision("merge", 5, 1, 1, "no"),
        Decision("cleave", 5, 1, 1, "no"),
    ]


def test_of_supervoxels_that_were_split_nothing_is_said() -> None:
    end = bodies("1 2 3 4 | 5 | 7 8") | {6: 0, 9: 5, 10: 5}
    later = bodies("1 2 3 4 | 5 6 | 7 8")
    assert list(decisions(BEGIN, end, later)) == [Decision("merge", 7, 8, 1, "yes")]
    assert not_compared(BEGIN, end, later) == 3


@given(PARTITIONS, PARTITIONS)
def test_who_decided_the_same_agrees_and_who_decided_nothing_does_not(
    begin: dict[int, int], end: dict[int, int]
) -> None:
    assert {each.agreed for each in decisions(begin, end, end)} <= {"yes"}
    assert {each.agreed for each in decisions(begin, end, begin)} <= {"no"}
    assert not list(decisions(begin, begin, end))


@given(PARTITIONS, PARTITIONS, PARTITIONS)
def test_each_part_that_came_or_went_is_one_decision(
    begin: dict[int, int], end: dict[int, int], later: dict[int, int]
) -> None:
    made = list(decisions(begin, end, later))
    pairs = {(begin[each], end[each]) for each in begin}
    merges, cleaves = len(pairs) - len(set(end.values())), len(pairs) - len(set(begin.values()))
    assert sum(each.kind == "merge" for each in made) == merges
    assert sum(each.kind == "cleave" for each in made) == cleaves


def test_scores_count_the_decisions_of_practice_by_user() -> None:
    rows = [
        ScoreRow("segmentation", "practice", "amy", Decision("merge", 1, 5, 2, "yes")),
        ScoreRow("segmentation", "practice", "amy", Decision("merge", 1, 6, 2, "no")),
        ScoreRow("segmentation", "practice", "bob", Decision("cleave", 3, 1, 2, "partly")),
        ScoreRow("segmentation", "source", "eve", Decision("merge", 1, 9, 2, "no")),
    ]
    amy, bob = scores(rows)
    assert (amy["user"], amy["merges"], amy["merges_yes"], amy["merges_no"], amy["cleaves"]) == (
        "amy",
        2,
        1,
        1,
        0,
    )
    assert (bob["user"], bob["cleaves"], bob["cleaves_partly"], bob["merges"]) == ("bob", 1, 1, 0)
