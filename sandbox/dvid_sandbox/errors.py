"""The one error that the sandbox raises on purpose."""

from __future__ import annotations


class SandboxError(Exception):
    """Something that is needed to start a sandbox is missing or taken; says what, and what can be done."""
