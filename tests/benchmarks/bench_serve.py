"""Times a team's server: clients ask the twenty questions of tests/evals at once, of two instances on one database.

    python -m tests.benchmarks.bench_serve [--clients 50] [--rounds 2] [--instances 2] [--kill]

The sample account is served by an API in a process of its own; its calls are loaded before the clock starts. Each
client is a member with a token and sends its next question when the last is answered; half of them begin at each
instance. With --kill one instance is ended by SIGKILL in the middle; its clients repeat the question at the other.
Every answer must be the one that a single client got before (but for its time and the mark at its end), else the run
fails. Clients, servers, database and API share this machine's cores.
"""

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import JsonValue

from formant_mcp.app import open_members, utc_now
from formant_mcp.demo.account import DEMO_KEY
from formant_mcp.demo.calls import SampleCall, sample_calls
from formant_mcp.demo.sample_formant import SampleFormant
from formant_mcp.members import Member
from formant_mcp.settings import Settings
from tests.benchmarks.api_process import api_process
from tests.evals.questions import QUESTIONS
from tests.fake_http import LoopbackServer, Reply, Request
from tests.http_process import headers_of, in_child, posted
from tests.postgres_server import postgres_server

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 120.0
OF_EACH_ANSWER = re.compile(
    r"as of [\d-]+ [\d:]+|end [0-9a-f]{6}|\"as_of\":\s*\"[^\"]+\"|cursor=\S+|\"next_cursor\":\s*\"[^\"]+\""
)


class SampleServer(LoopbackServer):
    """The sample account's API."""

    def __init__(self, calls: Sequence[SampleCall]) -> None:
        super().__init__()
        self._api = SampleFormant(calls, utc_now)

    def answer(self, request: Request) -> Reply:
        return Reply.of(self._api.respond(request))


async def serve() -> None:
    """Prints the API's address, and serves until stdin ends."""
    async with SampleServer(sample_calls(utc_now())) as api:
        print(api.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@dataclass
class Run:
    """What the clients measured: seconds of each call, questions repeated elsewhere, answers that differ, errors."""

    expected: list[str]
    seconds: list[float] = field(default_factory=list[float])
    repeated: int = 0
    wrong: list[str] = field(default_factory=list[str])


async def ask(client: httpx.AsyncClient, url: str, token: str, number: int) -> str:
    """The text of one answer."""
    question = QUESTIONS[number]
    arguments: dict[str, JsonValue] = dict(question.arguments)
    arguments.pop("conversation_ids", None)
    tool = question.tool if "conversation_ids" not in question.arguments else "list_conversations"
    headers = headers_of("tools/call", tool) | {"Authorization": f"Bearer {token}"}
    response = await client.post(
        f"{url}/mcp", json=posted("tools/call", name=tool, arguments=arguments), headers=headers
    )
    response.raise_for_status()
    return OF_EACH_ANSWER.sub("", response.text)


async def converse(run: Run, urls: Sequence[str], token: str, first: int, rounds: int) -> None:
    """One client: all questions in order, beginning with its own; at the next instance where one does not answer."""
    async with httpx.AsyncClient(timeout=MOST_SECONDS) as client:
        place = first % len(urls)
        for count in range(rounds * len(QUESTIONS)):
            number, started = (first + count) % len(QUESTIONS), time.perf_counter()
            try:
                answer = await ask(client, urls[place], token, number)
            except httpx.TransportError:
                run.repeated += 1
                place = (place + 1) % len(urls)
                answer = await ask(client, urls[place], token, number)
            run.seconds.append(time.perf_counter() - started)
            if answer != run.expected[number]:
                run.wrong.append(f"{QUESTIONS[number].text}\n{answer}")


async def measure(urls: Sequence[str], tokens: Sequence[str], rounds: int, victim: subprocess.Popen[str] | None) -> Run:
    """All clients at once, after one that gets the answers to compare with."""
    async with httpx.AsyncClient(timeout=MOST_SECONDS) as client:
        expected = [await ask(client, urls[0], tokens[0], number) for number in range(len(QUESTIONS))]
        for url in urls[1:]:
            await ask(client, url, tokens[0], 0)
    run = Run(expected)
    clients = asyncio.gather(*(converse(run, urls, token, first, rounds) for first, token in enumerate(tokens)))
    if victim:
        while len(run.seconds) < len(tokens) * rounds * len(QUESTIONS) // 2:
            await asyncio.sleep(0.01)
        victim.kill()
    await clients
    return run


async def add_members(count: int) -> list[str]:
    """Their tokens."""
    async with open_members(Settings.load()) as members:
        return [str(await members.add(Member(f"member {n}"), None, utc_now())) for n in range(count)]


def main() -> None:
    """Measures, and prints one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2, help="how often each client asks all questions")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--kill", action="store_true", help="end one instance by SIGKILL in the middle")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {
            "FORMANT_API_KEY": DEMO_KEY,
            "FORMANT_BASE_URL": stack.enter_context(api_process("tests.benchmarks.bench_serve", ["--serve"])),
            "FORMANT_STORE": stack.enter_context(postgres_server()).address,
            "FORMANT_TIMEZONE": "Asia/Kolkata",
        }
        os.environ.update(settings)
        tokens = asyncio.run(add_members(options.clients))
        processes = [stack.enter_context(in_child(folder, **settings)) for _ in range(options.instances)]
        victim = processes[-1][0] if options.kill else None
        run = asyncio.run(measure([url for _, url in processes], tokens, options.rounds, victim))
    milliseconds = sorted(seconds * 1000 for seconds in run.seconds)
    p95 = statistics.quantiles(milliseconds, n=20)[-1]
    print(
        f"{len(milliseconds):,} calls of {options.clients} clients: median {statistics.median(milliseconds):.0f} ms,"
        f" p95 {p95:.0f} ms, longest {milliseconds[-1]:.0f} ms; {run.repeated} repeated at another instance,"
        f" {len(run.wrong)} answers wrong"
    )
    if run.wrong:
        sys.exit(run.wrong[0])


if __name__ == "__main__":
    main()
