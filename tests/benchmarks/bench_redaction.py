"""Measures what it costs to hide identifiers.

    python -m tests.benchmarks.bench_redaction [--turns 1000] [--runs 5]

CPU time of so many turns of everyday calls (`said_on_calls.txt`), of the sample account, and of turns that each have an
identifier, all redacted together; the best of the runs counts, as the machine may be busy. `first` is the first run,
which loads the lists of words and the libraries.
"""

import argparse
import time
from datetime import UTC, datetime
from itertools import chain, cycle, islice
from random import Random

from formant_mcp.demo.calls import sample_calls
from formant_mcp.redaction.kinds import KINDS
from formant_mcp.redaction.redactor import Redactor
from tests.hardening.planted_identifiers import PLANTED
from tests.hardening.planted_text import unmarked
from tests.hardening.test_identifiers import said_on_calls


def with_identifiers() -> list[str]:
    """One turn for each kind and way of saying an identifier, and so on."""
    rng = Random(1)
    return [" ".join(unmarked(make(rng))) for _ in range(60) for _, make in PLANTED.values()]


def main() -> None:
    """Prints a line for each kind of turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    demo = [turn.text for call in sample_calls(datetime(2026, 11, 20, 10, tzinfo=UTC)) for turn in call.turns]
    kinds = {
        "everyday calls": list(chain(*said_on_calls())),
        "sample account": demo,
        "with identifiers": with_identifiers(),
    }
    for name, texts in kinds.items():
        turns = list(islice(cycle(texts), options.turns))
        durations: list[float] = []
        for _ in range(options.runs):
            began = time.process_time()
            Redactor(KINDS).turns(turns)
            durations.append((time.process_time() - began) * 1000)
        print(f"{name}: {min(durations):.1f} ms for {len(turns):,} turns (first: {durations[0]:.1f} ms)")


if __name__ == "__main__":
    main()
