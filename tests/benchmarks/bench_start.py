"""Times the server's start, and its peak memory.

    python -m tests.benchmarks.bench_start [--runs 7]

`formant-mcp` is started with a host's first three messages on its stdin. Milliseconds are from the start of the process
to its answer to tools/list, MB its peak resident memory when it has ended: medians of the runs, after one that is not
counted because it may compile modules. Baselines, which take turns with it: Python that does nothing, and Python that
imports the SDK's server, to which most of the start goes; the times of both include their end. `ratio` is to the latter
(it may fall below 1: we switch the garbage collector off while importing). This module imports only the standard
library, because Linux counts what the parent holds at the start of a child as the child's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("formant-mcp")
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
CLIENT = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a-host", "version": "1"}}
MESSAGES: tuple[dict[str, object], ...] = (
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": CLIENT},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}},
)
BARE, SDK, SERVER = "python -c pass", "python -c 'import the SDK'", "formant-mcp to tools/list"
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    SDK: [sys.executable, "-c", "import mcp.server.lowlevel"],
    SERVER: [str(PROGRAM)],
}


def environment(home: str) -> dict[str, str]:
    """A user's environment, without settings but a key; compiled modules are kept, as for users."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FORMANT_", "XDG_", "PYTHON"))}
    return kept | {"HOME": home, "FORMANT_API_KEY": "any-key", "FORMANT_STORE": ":memory:"}


def start(command: list[str], home: str, *, answers: bool) -> tuple[float, float]:
    """Milliseconds until tools/list is answered, or else until the end, and the peak of memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    if answers:
        process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in MESSAGES))
        process.stdin.flush()
        while json.loads(process.stdout.readline()).get("id") != 2:
            pass
        taken = time.perf_counter() - started
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
    else:
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.perf_counter() - started
        process.stdin.close()
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return taken * 1000, usage.ru_maxrss * BYTES_PER_UNIT / 1e6


def main() -> None:
    """Measures, and prints a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(runs + 1):
            for name, command in COMMANDS.items():
                figures[name].append(start(command, home, answers=name == SERVER))
    medians = {
        name: [statistics.median(column) for column in zip(*each[1:], strict=True)] for name, each in figures.items()
    }
    print(f"{'':28} {'ms':>8} {'least':>8} {'most':>8} {'ratio':>7} {'MB':>8} {'ratio':>7}")
    for name, (taken, memory) in medians.items():
        times = [each for each, _ in figures[name][1:]]
        by_time, by_memory = (own / base for own, base in zip((taken, memory), medians[SDK], strict=True))
        print(
            f"{name:28} {taken:8.0f} {min(times):8.0f} {max(times):8.0f} {by_time:7.2f} {memory:8.1f} {by_memory:7.2f}"
        )


if __name__ == "__main__":
    main()
