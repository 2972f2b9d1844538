"""Prints what phrases cost: the key of each turn when it is saved, and joining the commonest forms at a question.

    python -m tests.benchmarks.bench_phrases [--turns 400000] [--forms 20000] [--runs 3]
    python -m tests.benchmarks.bench_phrases --transcripts 100000 [--engine postgres] [--store FILE or FOLDER]

With `--transcripts`, it asks a store of so many for its phrases, the first and the second time. A store that is there
already is used as it is.

Turns are made from templates in English, Hindi and Hindi in Latin letters, with fillers, names, amounts and days, as
contacts say them. The commonest forms of so many turns are joined. Figures are CPU time, the best of the runs.
"""

import argparse
import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from formant_mcp.analysis.phrases import FormCount, distinctive, group, names_of, phrase_key, ranked
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import AccountKey, Store
from formant_mcp.store.phrases import PhraseQuestion, packed, spoken_in
from formant_mcp.text_search.tokenizer import indexable
from tests.benchmarks.bench_store import BATCH, NOW, TURNS, benchmark_store

NAMES = ("Rahul", "Priya", "Anil", "Sunita", "Imran", "Kavita", "राहुल", "प्रिया", "सुनीता")
SHORT = ("yes", "no", "okay", "hello", "हाँ", "नहीं", "हाँ जी", "haan ji", "theek hai", "thank you", "ठीक है")
PARTS = (
    (
        ("", "", "yes ", "um, ", "sir, ", "listen, ", "look, "),
        ("I've already ", "I have ", "I will ", "I can't ", "why should I ", "please let me ", "my husband will "),
        ("pay", "transfer", "check", "cancel", "change", "discuss", "send", "return", "complete", "confirm", "close"),
        (" the loan", " this bill", " that instalment", " my order", " the appointment", " {amount} rupees", " it"),
        (" tomorrow", " yesterday", " on the {day}th", " by evening", " at the branch", " through the app", ""),
        ("", "", ", please", ", okay?", " because I lost my job", " with {name}", " after my salary comes"),
    ),
    (
        ("", "", "haan ", "arre ", "dekhiye ", "ji ", "sir "),
        ("main ", "maine ", "hum log ", "mera beta ", "{name} ji ", "aap "),
        ("kal ", "parso ", "abhi ", "{day} tareekh ko ", "shaam tak ", "agle hafte "),
        ("paise ", "EMI ", "{amount} rupaye ", "loan ka paisa ", "bill ", "link "),
        (
            "de dunga",
            "de doonga",
            "bhej diya tha",
            "jama kar diya",
            "nahi de paunga",
            "kaise bharu",
            "check karta hoon",
        ),
        ("", "", " bhai", " ji", " madam", " kyunki salary nahi aayi"),
    ),
    (
        ("", "", "हाँ ", "जी ", "अरे ", "देखिए "),
        ("मैं ", "मैंने ", "हम लोग ", "मेरा बेटा ", "{name} जी ", "आप "),
        ("कल ", "परसों ", "अभी ", "{day} तारीख को ", "शाम तक ", "अगले हफ़्ते "),
        ("पैसे ", "किस्त ", "{amount} रुपये ", "लोन का पैसा ", "बिल ", "लिंक "),
        ("दे दूँगा", "भेज दिया था", "जमा कर दिया", "नहीं दे पाऊँगा", "कैसे भरूँ", "देखता हूँ"),
        ("", "", " भाई", " जी", " मैडम", " क्योंकि सैलरी नहीं आई"),
    ),
)


def turns(count: int) -> Iterator[str]:
    """That many turns: a third of them short, some wordings far more frequent than others."""
    draw = random.Random(11)
    for _ in range(count):
        if draw.random() < 1 / 3:
            yield SHORT[int(len(SHORT) * draw.random() ** 2)]
            continue
        words = "".join(part[int(len(part) * draw.random() ** 1.5)] for part in draw.choice(PARTS))
        yield words.format(name=draw.choice(NAMES), amount=draw.randrange(500, 90_000), day=draw.randrange(4, 29))


def cpu_seconds(work: Callable[[], object], runs: int) -> float:
    """The least CPU time of the runs."""
    seconds: list[float] = []
    for _ in range(runs):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def calls(count: int) -> Iterator[Conversation]:
    """Calls of 20 agents over a year. Half of the turns are of a form that no other call has."""
    draw, said = random.Random(5), turns(count * TURNS)
    for number in range(count):
        texts = (f"{text} {draw.getrandbits(48):x}" if draw.random() < 0.5 else text for text in said)
        yield Conversation(
            f"call-{number:07}",
            agent_id=str(100 + number % 20),
            status="completed",
            started_at=NOW - timedelta(days=365) * number / count,
            turns=tuple(
                Turn(n, "contact" if n % 2 else "agent", text, n * 6.0)
                for n, text in enumerate(itertools.islice(texts, TURNS))
            ),
            has_detail=True,
        )


async def build(where: Path | str, count: int) -> None:
    """Fills a store."""
    store = await Store.open(where, AccountKey("service", "benchmark"), lambda conversation, read_at: None)
    left, worked = calls(count), time.process_time()
    while batch := list(itertools.islice(left, BATCH)):
        await store.write.save(batch, NOW)
    print(f"built {count:,} transcripts in {time.process_time() - worked:.0f} s of this process", flush=True)
    await store.close()


async def ask(where: Path | str) -> None:
    """Prints how long each question takes, the first and the second time."""
    store = await Store.open(where, AccountKey("service", "benchmark"), lambda conversation, read_at: None)
    week, month = Filters(since=NOW - timedelta(days=7)), Filters(since=NOW - timedelta(days=30))
    questions = {
        "the contact's phrases": PhraseQuestion(Filters(), "contact"),
        "anybody's phrases": PhraseQuestion(Filters(), "any"),
        "the contact's phrases, a week": PhraseQuestion(week, "contact"),
        "what is distinctive of a month": PhraseQuestion(month, "contact", Filters(), is_distinctive=True),
        "what is distinctive of an agent": PhraseQuestion(Filters(agent_id="107"), "contact", Filters(), True),
    }
    found = await store.phrases.find(PhraseQuestion(week, "agent"))  # opens the file
    print(f"{'question':36} {'first':>8} {'second':>8}  s")
    for name, question in questions.items():
        seconds: list[float] = []
        for _ in range(2):
            started = time.perf_counter()
            found = await store.phrases.find(question)
            seconds.append(time.perf_counter() - started)
        print(f"{name:36} {seconds[0]:8.2f} {seconds[1]:8.2f}  {len(found.phrases)} of {found.forms:,} forms")
    await store.close()


def print_keys(options: argparse.Namespace) -> None:
    """Prints what the keys of a transcript cost when it is saved."""
    some = list(calls(1_000))
    indexed = [[indexable(turn.text) for turn in call.turns or ()] for call in some]
    seconds = cpu_seconds(
        lambda: [packed(spoken_in(call, texts)) for call, texts in zip(some, indexed, strict=True)], options.runs
    )
    print(f"keys of a transcript of {TURNS} turns as indexed: {seconds / len(some) * 1e3:.3f} ms")


def main() -> None:
    """Makes the turns and prints a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=400_000)
    parser.add_argument("--forms", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--transcripts", type=int)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    print_keys(options)
    if options.transcripts:
        with benchmark_store(options.engine, options.store) as (where, is_new):
            if is_new:
                asyncio.run(build(where, options.transcripts))
            asyncio.run(ask(where))
        return
    names = names_of(NAMES)
    indexed = [indexable(text) for text in turns(options.turns)]
    seconds = cpu_seconds(lambda: [phrase_key(text, names) for text in indexed], options.runs)
    print(f"key of a turn as indexed: {seconds / options.turns * 1e6:.1f} µs")

    texts: dict[int, str] = {}
    counts = Counter[int]()
    for text in turns(options.turns):
        key = phrase_key(indexable(text), names)
        if key is not None:
            counts[key] += 1
            texts.setdefault(key, text)
    common = counts.most_common(options.forms)
    rows = [FormCount(key, count, count, texts[key], count // 2) for key, count in common]
    covered = sum(count for _, count in common) / counts.total()
    print(
        f"{len(counts):,} forms of {options.turns:,} turns; the {len(rows):,} commonest are {covered:.0%} of the turns"
    )
    seconds = cpu_seconds(lambda: group(rows, names), options.runs)
    phrases = group(rows, names)
    print(f"joined into {len(phrases):,} phrases: {seconds:.2f} s")
    seconds = cpu_seconds(lambda: distinctive(phrases, options.turns, options.turns // 2), options.runs)
    print(f"distinctive: {seconds:.3f} s")
    for phrase in ranked(phrases, 10):
        print(f"{phrase.turns:9,} turns, {len(phrase.keys):4} forms: {phrase.text}")


if __name__ == "__main__":
    main()
