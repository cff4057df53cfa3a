"""The recordings of a real DVID, by name. They lie with the sandbox's tests; a README there tells of each."""

from __future__ import annotations

from pathlib import Path

from dvid_sandbox.recording import Recording

__all__ = ["Recording", "crowd", "every_op", "huge_cleave", "proofreading"]

FOLDER = Path(__file__).resolve().parents[1] / "sandbox" / "tests" / "recordings"

every_op = Recording(FOLDER / "every_op")
proofreading = Recording(FOLDER / "proofreading")
crowd = Recording(FOLDER / "crowd")
huge_cleave = Recording(FOLDER / "huge_cleave")
