"""What a process uses, as Linux counts it, and whether it uses more and more."""

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

IS_COUNTED = Path("/proc/self/statm").exists()
_MIB = 1_048_576
_FEW = 5


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory in MiB, open files and threads of a process."""

    memory: float
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """What the process uses now."""
        folder = Path(f"/proc/{pid}")
        resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return cls(resident / _MIB, len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir())))

    def __str__(self) -> str:
        return f"{self.memory:.1f} MiB, {self.files} files, {self.threads} threads"


def leaks(samples: list[Usage], most_mib: float) -> list[str]:
    """What grew between the second and the last quarter of the samples; the first one warms up.

    Memory may grow by so many MiB, files and threads by a few: connections to the API come and go. What leaks at every
    question, or at each of one kind, grows by far more.
    """
    quarter = len(samples) // 4
    assert quarter > 1, "too few samples"
    before, after = samples[quarter : 2 * quarter], samples[-quarter:]
    grown = {
        name: median(getattr(usage, name) for usage in after) - median(getattr(usage, name) for usage in before)
        for name in ("memory", "files", "threads")
    }
    allowed = {"memory": most_mib, "files": _FEW, "threads": _FEW}
    return [f"{name} grew by {grown[name]:.1f}" for name in grown if grown[name] > allowed[name]]
