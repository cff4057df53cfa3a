"""A piece of work in a process of its own: its seconds, its memory, what it tells; and what it wrote."""

from __future__ import annotations

import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MB = 1 << 20
CHECKOUT = Path(__file__).parents[1]
_STATUS = Path("/proc/self/status")
_RSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""What `getrusage` counts memory in."""

Work = Callable[..., Mapping[str, float]]
"""Something to be measured: a function of a module, whose arguments are JSON. It tells numbers by name."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a piece of work took.

    Args:
        seconds, processor_seconds: without what Python needs to load the program.
        memory_mb: the most that the whole process held.
        told: what the work tells.
    """

    seconds: float
    processor_seconds: float
    memory_mb: float
    told: Mapping[str, float]


def measured(work: Work, **arguments: Any) -> Measured:
    """Do a piece of work in a process of its own."""
    call = json.dumps({"module": work.__module__, "name": work.__name__, "arguments": arguments})
    command = [sys.executable, "-m", "benchmarks.measuring"]
    answer = subprocess.run(command, check=True, input=call, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    return Measured(**json.loads(answer.stdout.splitlines()[-1]))


def measured_here(work: Work, **arguments: Any) -> Measured:
    """Do a piece of work in this process, whose memory holds more than it."""
    began, used = time.perf_counter(), time.process_time()
    told = dict(work(**arguments))
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - used
    return Measured(seconds, processor_seconds, _most_memory() / MB, told)


def measured_process(command: Sequence[str], environment: Mapping[str, str]) -> Measured:
    """A whole process, from its start to its end."""
    told = measured(_process, command=command, environment=environment).told
    return Measured(told["seconds"], told["processor"], told["memory"] / MB, {})


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
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_BYTES


def _process(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, float]:
    """In a process of its own, which is small: what its child held at the most counts its own memory too."""
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = used.ru_maxrss * _RSS_BYTES
    return {"seconds": seconds, "processor": used.ru_utime + used.ru_stime, "memory": memory}


def _carry_out(call: str) -> str:
    """The work that `measured` asked for, in its process."""
    asked = json.loads(call)
    work = getattr(importlib.import_module(asked["module"]), asked["name"])
    took = measured_here(work, **asked["arguments"])
    return json.dumps({name: getattr(took, name) for name in Measured.__slots__})


if __name__ == "__main__":
    print(_carry_out(sys.stdin.read()))
