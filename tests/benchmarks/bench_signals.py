"""Measures what signals cost beside saving a transcript.

    python -m tests.benchmarks.bench_signals [--transcripts 300] [--turns 40] [--runs 7]

Transcripts of so many turns, with times, from generated calls in English, Hindi and Hinglish. All are CPU time a
transcript; the best of the runs counts, as the machine may be busy. `indexing` is what saving already does with the
words of each turn. The ratio is of the two, so that it says something on any machine.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.signals import measure
from formant_mcp.models import Conversation
from formant_mcp.text_search.tokenizer import indexable
from tests.analysis.planted import calls

TARGET_MS = 0.3


def transcripts(count: int, turns: int) -> list[Conversation]:
    """So many calls of exactly so many turns: generated calls one after another."""
    spoken = (turn for call in calls(seed=1, count=count * turns) for turn in call.conversation.turns or ())
    return [
        Conversation(
            f"call-{number}",
            outcome="success",
            turns=tuple(replace(turn, index=index) for index, turn in enumerate(islice(spoken, turns))),
        )
        for number in range(count)
    ]


def milliseconds(work: Callable[[Conversation], object], conversations: list[Conversation], runs: int) -> float:
    """CPU time for one conversation, the best of the runs."""
    best = float("inf")
    for _ in range(runs):
        began = time.process_time()
        for conversation in conversations:
            work(conversation)
        best = min(best, time.process_time() - began)
    return best / len(conversations) * 1000


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transcripts", type=int, default=300)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    began = time.process_time()
    lists = PhraseLists.load()
    loading = (time.process_time() - began) * 1000
    conversations = transcripts(options.transcripts, options.turns)
    signals = milliseconds(lambda conversation: measure(conversation, lists), conversations, options.runs)
    indexing = milliseconds(
        lambda conversation: [indexable(turn.text) for turn in conversation.turns or ()], conversations, options.runs
    )
    words = sum(len(turn.text.split()) for conversation in conversations for turn in conversation.turns or ())
    print(f"{len(conversations)} transcripts of {options.turns} turns, {words / len(conversations):.0f} words each")
    print(f"loading the phrases, once {loading:8.3f} ms")
    print(f"indexing a transcript     {indexing:8.3f} ms")
    print(f"signals of a transcript   {signals:8.3f} ms   ratio {signals / indexing:.2f}   (target {TARGET_MS} ms)")


if __name__ == "__main__":
    main()
