"""A piece of work in a process of its own: its seconds, its memory, and what it wrote."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MB = 1 << 20
_STATUS = Path("/proc/self/status")

Work = Callable[..., Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Measured:
    """
    Args:
        seconds, processor_seconds: without what Python needs to load the program.
        memory_mb: the most that the whole process held.
        told: other numbers, which the work tells.
    """

    seconds: float
    processor_seconds: float
    memory_mb: float
    told: Mapping[str, float]


def measured(module: str, work: str, **arguments: Any) -> Measured:
    """Run a piece of work of a module, whose `main` hands ``--work`` to `carried_out`."""
    call = json.dumps({"work": work, "arguments": arguments})
    command = [sys.executable, "-m", module, "--work", call]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(answer.stdout.splitlines()[-1]))


def carried_out(call: str, works: Mapping[str, Work]) -> None:
    """Do the work that `measured` asked for, in its process, and print what it took."""
    asked = json.loads(call)
    began, used = time.perf_counter(), time.process_time()
    told = dict(works[asked["work"]](**asked["arguments"]))
    took = {"seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - used}
    print(json.dumps({**took, "memory_mb": _most_memory() / MB, "told": told}))


class Written:
    """What is written to a folder from now on: bytes and files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = self._files()

    def by_part(self, part_of: Callable[[str], str]) -> dict[str, tuple[int, int]]:
        """Bytes and files by part.

        Args:
            part_of: the part that a file belongs to, by its path in the folder.
        """
        found: dict[str, tuple[int, int]] = {}
        for name, state in self._files().items():
            if self._before.get(name) != state:
                size, count = found.get(part_of(name), (0, 0))
                found[part_of(name)] = (size + state.size, count + 1)
        return found

    def _files(self) -> dict[str, _State]:
        return {
            str(path.relative_to(self._folder)): _State.of(path)
            for path in self._folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }


@dataclass(frozen=True, slots=True)
class _State:
    """Of a file: another one after each write."""

    inode: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, path: Path) -> _State:
        found = path.stat()
        return cls(found.st_ino, found.st_mtime_ns, found.st_size)


def _most_memory() -> int:
    """Bytes. (`getrusage` counts what the parent held when it made this process, too.)"""
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
