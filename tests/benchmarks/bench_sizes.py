"""Measures answers against what an assistant would read without us.

    python -m tests.benchmarks.bench_sizes

A page of 100 rows (`list_conversations` with limit=100) against the compact JSON of the same page of Formant's API, and
a transcript of 40 turns (`get_transcripts`), with and without times, against its bare words, a line a turn. Each is
measured as text and as structured content, in tokens of o200k_base. The package bpe-openai counts them without a
network (`pip install bpe-openai`); it is not among the dependencies because Intel Macs and musl have no wheel of it.

The contract sets a floor, as ratios: rows with whole ids, numbers and a start each take 0.67 as text and 1.02 under
their names; the lines `index role text` alone take 1.13, as a JSON string 1.19, with `m:ss` 1.39 and 1.45.
"""

import asyncio
import importlib
import json
import random
import tempfile
import uuid
from datetime import timedelta
from itertools import islice
from pathlib import Path

import httpx
from pydantic import JsonValue

from formant_mcp.demo.calls import sample_calls
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.tools import TOOLS
from tests.calls import Row, detail, many
from tests.fake_formant import FakeFormant
from tests.server_harness import NOW, Account, Answer, Assistant
from tests.text_matches_structure import compact

ROWS, TURNS = 100, 40


def rows() -> list[Row]:
    """Calls of three agents, all over, with ids as the guide has them."""
    chance = random.Random(7)
    calls = many(ROWS, NOW - timedelta(days=2), timedelta(days=10))
    return [call | {"conversation_id": f"{uuid.UUID(int=chance.getrandbits(128), version=4)}_1"} for call in calls]


def transcript(*, timed: bool) -> list[Row]:
    """The first turns of the sample account's calls of some length, as Formant sends them."""
    said = (turn for call in sample_calls(NOW) if len(call.turns) >= 6 for turn in call.turns)
    lines = list[Row]()
    for n, turn in enumerate(islice(said, TURNS)):
        line: Row = {"role": "agent" if turn.role == "agent" else "human", "message": turn.text}
        lines.append(line | {"start": 6.0 * n} if timed else line)
    return lines


async def of_page(assistant: Assistant, api: FakeFormant) -> tuple[str, Answer]:
    """What the API sends for a page, and what we answer."""
    api.conversations = rows()
    async with httpx.AsyncClient(base_url=api.url) as client:
        sent: JsonValue = json.loads((await client.get(f"/v1/conversations?limit={ROWS}")).content)
    answer = await assistant.ask("list_conversations", limit=ROWS)
    assert len(answer.ids()) == ROWS
    return compact(sent), answer


async def of_transcript(assistant: Assistant, api: FakeFormant, *, timed: bool) -> tuple[str, Answer]:
    """The words of a call, and what we answer."""
    lines = transcript(timed=timed)
    row = next(row for row in rows() if float(str(row["duration_seconds"] or 0)) > 6.0 * TURNS)
    whole = detail(row)
    whole["transcript"] = list[JsonValue](lines)
    api.conversations = []
    api.add(row, whole)
    answer = await assistant.ask("get_transcripts", conversation_ids=[row["conversation_id"]])
    assert answer.rows()[0]["turn_count"] == TURNS
    return "\n".join(str(line["message"]) for line in lines), answer


async def measure() -> dict[str, tuple[str, Answer]]:
    """What is compared, by name: the baseline, and our answer."""
    compared: dict[str, tuple[str, Answer]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with FakeFormant() as api:
            account = Account(api, "auto", Path(folder))
            async with account.connect() as assistant:
                compared[f"page of {ROWS} rows"] = await of_page(assistant, api)
            for timed in (False, True):
                name = f"transcript of {TURNS} turns, {'with' if timed else 'no'} times"
                async with account.connect() as assistant:
                    compared[name] = await of_transcript(assistant, api, timed=timed)
    return compared


def main() -> None:
    """Measures, and prints a line for each kind of answer."""
    encoding = importlib.import_module("bpe_openai").get_encoding("o200k_base")
    print(f"{'tokens':36} {'baseline':>9} {'text':>9} {'ratio':>6} {'structure':>9} {'ratio':>6}")
    for name, (baseline, answer) in asyncio.run(measure()).items():
        base, text, structure = (
            len(encoding.encode(form)) for form in (baseline, answer.text, compact(answer.structure))
        )
        print(f"{name:36} {base:9,} {text:9,} {text / base:6.2f} {structure:9,} {structure / base:6.2f}")
    entries = [tool.to_mcp(PROVIDERS["formant"]) for tool in TOOLS]
    shown = [json.dumps([e.name, e.description, e.input_schema], separators=(",", ":")) for e in entries]
    print(f"{f'{len(TOOLS)} tools as a model reads them':36} {sum(len(encoding.encode(text)) for text in shown):9,}")


if __name__ == "__main__":
    main()
