"""Requests that make little sense, on real servers."""

from __future__ import annotations

import json

import pytest

from tests.datatypes.test_odd_requests import REQUESTS
from tests.real.test_source_places import Copying, copying

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

__all__ = ["copying"]


@pytest.mark.parametrize("case", REQUESTS)
def test_an_odd_request_is_repeated_once(copying: Copying, case: str) -> None:
    for path, body in REQUESTS[case]:
        copying.post(path, content=json.dumps(body))
    copying.scene.flush()
    reports = copying.run()
    assert not any(report.conflicts or report.quarantined for report in reports)
    copying.scene.assert_same()
    copying.checkpoint = None
    assert not any(report.conflicts for report in copying.run())
    copying.scene.assert_same()
