"""What DVID's refusals mean: texts as they were recorded, and what is not taken for one of them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from dvidsync_dagster.dvid.answer import Asked, raise_for
from dvidsync_dagster.dvid.refusal import in_words, reason_of
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.refusal_reason import RefusalReason
from tests.recordings import every_op

NODE = "/api/node/ccbf"

TEXTS = [
    ("Cannot do post on locked node ccbf", RefusalReason.VERSION_COMMITTED),
    ('Cannot do POST on endpoint "merge" of locked node ccbf', RefusalReason.VERSION_COMMITTED),
    ("could not find UUID with partial match to nope", RefusalReason.UNKNOWN_VERSION),
    ("invalid data instance name", RefusalReason.UNKNOWN_INSTANCE),
    ("Did not find element (9,9,9) in datastore", RefusalReason.NO_ELEMENT),
    ("Did not find moved element (9,9,9) in datastore", RefusalReason.NO_ELEMENT),
    ("No maximum label found for segmentation version 3\n", RefusalReason.NO_LABELS),
    (
        "Error on merge: supervoxel 7 already in index for target label 1",
        RefusalReason.ALREADY_IN_INDEX,
    ),
    (
        "target label for renumber (9000) already exists in mapping",
        RefusalReason.LABEL_EXISTS,
    ),
    (
        "supervoxel 7 of label 3, which has been split and doesn't exist anymore",
        RefusalReason.SUPERVOXEL_SPLIT,
    ),
    (
        "split voxels of supervoxel 7: 3 voxels, different from label index 2 split, 1 remain",
        RefusalReason.OUTSIDE_SUPERVOXEL,
    ),
    ("jsonschema: '/size' does not validate: 'x' is not of type 'integer'", RefusalReason.AGAINST_SCHEMA),
    ("Error on merge: can't merge non-existent label 9", RefusalReason.OTHER),
    ("cannot cleave supervoxel 9, which does not exist in label 1 (segmentation)", RefusalReason.OTHER),
    ("branch already exists with given name", RefusalReason.OTHER),
    ("UUID already exists in datastore", RefusalReason.OTHER),
    ("can't branch an unlocked node", RefusalReason.OTHER),
]


def refused(path: str, status: int, text: str) -> RequestRefused:
    asked = Asked("http://dvid", "", "POST", path, changes=True, token=False, admin_token=False)
    with pytest.raises(RequestRefused) as caught:
        raise_for(asked, status, {}, text.encode())
    return caught.value


@pytest.mark.parametrize(("text", "reason"), TEXTS)
def test_reasons(text: str, reason: RefusalReason) -> None:
    path = f"{NODE}/segmentation/merge"
    refusal = refused(path, 400, f"{text} ({path}).\n")
    assert refusal.reason is reason
    assert text.strip() in refusal.text or "\\n" in refusal.text


def test_what_a_user_wrote_is_no_reason() -> None:
    """A key stands in the path, which DVID repeats."""
    for text, _ in TEXTS:
        path = f"{NODE}/keys/key/{text.strip()}"
        assert refused(path, 400, f"no room for it ({path}).\n").reason is RefusalReason.OTHER


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('Key "nope" not found\n', RefusalReason.NO_KEY),
        ('Reference "x" not found\n', RefusalReason.NOT_FOUND),
        ("", RefusalReason.NOT_FOUND),
    ],
)
def test_what_is_not_there(text: str, reason: RefusalReason) -> None:
    assert refused(f"{NODE}/keys/key/nope", 404, text).reason is reason


def test_a_long_text_costs_no_time() -> None:
    assert reason_of(400, "label " * 10_000_000) is RefusalReason.OTHER


def recorded() -> Iterator[tuple[str, int, str]]:
    for exchange in every_op.http:
        if exchange["status"] in (400, 404):
            yield urlsplit(exchange["path"]).path, exchange["status"], exchange["response"]


def test_recorded_refusals_are_known() -> None:
    found = {refused(*exchange).reason for exchange in recorded()}
    assert found == {
        RefusalReason.VERSION_COMMITTED,
        RefusalReason.UNKNOWN_VERSION,
        RefusalReason.UNKNOWN_INSTANCE,
        RefusalReason.NO_KEY,
        RefusalReason.NO_ELEMENT,
        RefusalReason.NOT_FOUND,
        RefusalReason.OTHER,
    }


def test_what_to_do_about_a_branch_or_a_version_that_is_in_the_way() -> None:
    """Hiding the branch of a version would hide what the version comes from."""
    said = "branch already exists with given name"
    assert "hide-branch" in in_words(f"{said} ({NODE}/branch)")
    version = in_words(f"{said} ({NODE}/newversion)")
    assert "hide-branch" not in version
    assert "make a fresh copy" in version


def test_an_instance_that_no_message_told_of_says_what_makes_it() -> None:
    said = f"destination: GET {NODE}/mine/keyvalues: refused with 400: invalid data instance name"
    assert "`dvidsync repair --apply` makes it" in in_words(said)
