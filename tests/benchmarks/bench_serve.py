"""Times a team's server: clients ask the twenty questions of tests/evals at once, of two instances on one database.

    python -m tests.benchmarks.bench_serve [--clients 50] [--rounds 2] [--instances 2] [--kill] [--each]

The sample account is served by an API in a process of its own; its calls are loaded, and each instance has answered
every question once, before the clock starts. Each client is a member with a token and sends its next question when the
last is answered; half of them begin at each instance. With --kill one instance is ended by SIGKILL in the middle; its
clients repeat the question at the other. With --each, a line for each question follows. Every answer must be the one
that a single client got before (but for its times and the mark at its end), else the run fails. Clients, servers,
database and API share this machine's cores.
"""

import argparse
import asyncio
import os
import re
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx

from formant_mcp.app import open_members, utc_now
from formant_mcp.demo.account import DEMO_KEY
from formant_mcp.demo.calls import SampleCall, sample_calls
from formant_mcp.demo.sample_formant import SampleFormant
from formant_mcp.members import Member
from formant_mcp.settings import Settings
from tests.benchmarks.api_process import api_process
from tests.evals.questions import QUESTIONS, Calls
from tests.fake_http import LoopbackServer, Reply, Request
from tests.http_process import headers_of, in_child, posted
from tests.postgres_server import postgres_server
from tests.stdio_process import Process

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 120.0
OF_EACH_ANSWER = re.compile(
    r"(, now )?\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|end [0-9a-f]{6}"
    r"|\"as_of\":\s*\"[^\"]+\"|cursor=\S+|\"next_cursor\":\s*\"[^\"]+\""
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
    """What the clients measured: number and milliseconds of each question, those repeated elsewhere, wrong answers."""

    expected: list[str]
    answered: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    repeated: int = 0
    wrong: list[str] = field(default_factory=list[str])

    def line(self, number: int | None = None) -> str:
        """The figures of one question, or of all."""
        of = sorted(milliseconds for asked, milliseconds in self.answered if number in (None, asked))
        p95 = statistics.quantiles(of, n=20)[-1]
        return f"median {statistics.median(of):.0f} ms, p95 {p95:.0f} ms, longest {of[-1]:.0f} ms"


@cache
def longest() -> str:
    """The id of the longest call."""
    now = utc_now()
    return Calls(tuple(sample_calls(now)), now).longest.conversation_id


async def ask(client: httpx.AsyncClient, url: str, token: str, number: int) -> str:
    """The text of one answer."""
    tool, arguments = QUESTIONS[number].tool, dict(QUESTIONS[number].arguments)
    if "conversation_ids" in arguments:
        arguments["conversation_ids"] = [longest()]
    headers = headers_of("tools/call", tool) | {"Authorization": f"Bearer {token}"}
    response = await client.post(
        f"{url}/mcp", json=posted("tools/call", name=tool, arguments=arguments), headers=headers
    )
    response.raise_for_status()
    return OF_EACH_ANSWER.sub("", response.text)


async def converse(
    client: httpx.AsyncClient, run: Run, urls: Sequence[str], token: str, first: int, rounds: int
) -> None:
    """One client: all questions in order, beginning with its own; at the next instance where one does not answer."""
    place = first % len(urls)
    for count in range(rounds * len(QUESTIONS)):
        number, started = (first + count) % len(QUESTIONS), time.perf_counter()
        try:
            answer = await ask(client, urls[place], token, number)
        except httpx.TransportError:
            run.repeated += 1
            place = (place + 1) % len(urls)
            answer = await ask(client, urls[place], token, number)
        run.answered.append((number, (time.perf_counter() - started) * 1000))
        if answer != run.expected[number]:
            run.wrong.append(f"{QUESTIONS[number].text}\n{answer}")


async def measure(urls: Sequence[str], tokens: Sequence[str], rounds: int, victim: Process | None) -> Run:
    """All clients at once, after one that gets the answers to compare with."""
    async with AsyncExitStack() as stack:
        certificates = ssl.create_default_context()  # takes 20 ms, and these connections are not encrypted
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(timeout=MOST_SECONDS, verify=certificates))
            for _ in tokens
        ]
        numbers = range(len(QUESTIONS))
        answers = [[await ask(clients[0], url, tokens[0], number) for number in numbers] for url in urls]
        run = Run(answers[0])
        conversations = asyncio.gather(
            *(
                converse(client, run, urls, token, first, rounds)
                for first, (client, token) in enumerate(zip(clients, tokens, strict=True))
            )
        )
        if victim:
            while len(run.answered) < len(tokens) * rounds * len(QUESTIONS) // 2:
                await asyncio.sleep(0.01)
            victim.kill()
        await conversations
    return run


async def add_members(count: int) -> list[str]:
    """Their tokens."""
    async with open_members(Settings.load()) as members:
        return [str(await members.add(Member(f"member {n}"), None, utc_now())) for n in range(count)]


def main() -> None:
    """Measures, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2, help="how often each client asks all questions")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--kill", action="store_true", help="end one instance by SIGKILL in the middle")
    parser.add_argument("--each", action="store_true", help="print a line for each question")
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
    print(
        f"{len(run.answered):,} calls of {options.clients} clients: {run.line()}; {run.repeated} repeated at another"
        f" instance, {len(run.wrong)} answers wrong"
    )
    for number in range(len(QUESTIONS)) if options.each else ():
        print(f"  {run.line(number)}: {QUESTIONS[number].text}")
    if run.wrong:
        sys.exit(run.wrong[0])


if __name__ == "__main__":
    main()
