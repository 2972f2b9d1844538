"""A thousand accounts are loaded and asked about while 30 % of all requests fail, in every way that networks do.

Whatever an answer says is exactly what the provider has, or the answer says that it is incomplete. Once nothing fails
any more, the next pass makes everything complete and exact.

How many requests that may take: at most 1.5 times as many as the same run without faults, and what the policy allows in
addition: each request that a fault hit is sent once more (up to 5 tries, then at the next question), and where it was
answered by something that is not retried, the page at the checkpoint is read again too.
"""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from formant_mcp.app import App
from formant_mcp.errors import DamagedResponseError, FormantError
from formant_mcp.providers import http
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.providers.rest import RestProvider
from formant_mcp.settings import Settings
from tests.fake_formant import FakeFormant
from tests.hardening.fault_proxy import HARMLESS, KINDS, Clock, FaultProxy, Faults
from tests.hardening.fault_questions import Question, Tally, Wrong, ask, questions, require
from tests.hardening.fault_world import Scenario, World, scenarios
from tests.server_harness import KEY, NOW, Account, Assistant
from tests.sync.sync_harness import no_job

pytestmark = [pytest.mark.anyio, pytest.mark.hardening]

SCENARIOS = scenarios(48)
RUNS = 1_008
SHARE = 0.3
SLACK = 1.5
_FEW = 5  # questions when the faults are over
_OUTAGES = 16  # one run of so many has minutes in which every request fails
_DAY_SECONDS = 86_400 + 60


class FaultyAccount(Account):
    """An account whose time is that of the faults. `app`: its server's parts, for a pass as `formant-mcp sync` does."""

    def __init__(self, folder: Path, time: Clock) -> None:
        super().__init__(FakeFormant(), "auto", folder)
        self._time = time
        self.app: App | None = None

    def clock(self) -> datetime:
        return self._time.now()

    async def _app(self, settings: Settings, source: AnyProvider, key: str) -> App:
        self.app = await super()._app(settings, source, key)
        return self.app


@dataclass
class Run:
    """One account, from empty to complete: a pass and twenty questions with faults, then a pass and some without."""

    scenario: Scenario
    faults: Faults
    folder: Path
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.time = Clock(NOW, timedelta(minutes=self.scenario.skew_minutes))
        self.world = World(self.scenario, self.time.now)
        self.world.api.key = KEY
        self.account = FaultyAccount(self.folder, self.time)
        self._chance = random.Random(self.scenario.name)  # the same questions with faults and without

    async def play(self) -> None:
        """Raises Wrong, if anything is."""
        unhandled, wrong = list[object](), list[Wrong]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with FaultProxy(self.world.api, self.faults, self.time) as proxy:
            source = PROVIDERS[self.scenario.provider.name].client()(
                proxy.url,
                KEY,
                transport=proxy.route(),
                sleep=self.time.sleep,
                now=self.time.now,
                monotonic=self.time.monotonic,
            )
            async with self.account.connect_to(source, self.scenario.provider.name) as assistant:
                try:
                    await self._while_it_fails(assistant)
                    await self._when_it_is_over(assistant)
                except Wrong as error:  # raised below, as itself and not in a group
                    wrong.append(error)
        for error in wrong:
            raise error
        require(not unhandled, "unhandled", unhandled)

    async def _while_it_fails(self, assistant: Assistant) -> None:
        await self._ask(assistant, self._questions()[0])  # opens the account
        if not self.scenario.is_cold:
            await self._pass()
        self.world.settle()
        self.time.advance(120)
        for number, question in enumerate(self._questions()):
            self.time.advance(6 * (number % 2))  # for each second one the list is checked again
            await self._ask(assistant, question)

    async def _when_it_is_over(self, assistant: Assistant) -> None:
        await no_job("scan")  # one that pauses for questions would keep the next day's from beginning
        self.faults.stop()
        self.time.advance(_DAY_SECONDS)
        await self._pass()
        self.time.advance(120)
        self.world.gone.clear()
        for question in self._questions()[:_FEW]:
            self.time.advance(6)
            require(await self._ask(assistant, question), "incomplete without faults", question, self.tally.errors)

    async def _pass(self) -> None:
        """As `formant-mcp sync` does, but without trying again."""
        assert self.account.app
        account, now = self.account.app.account, self.time.now()
        with suppress(FormantError):
            await account.retry_failed()
            await account.download_list(None, 60, _no_report)
            await account.download_details(None, now, 60, _no_report)
        await no_job("scan")

    def _questions(self) -> list[Question]:
        return questions(self.world, self._chance)

    async def _ask(self, assistant: Assistant, question: Question) -> bool:
        return await ask(assistant, self.world, question, self.tally)


async def _no_report(_: int, __: int) -> None:
    """Nobody watches."""


async def play(scenario: Scenario, faults: Faults, folder: Path) -> Run:
    run = Run(scenario, faults, folder)
    try:
        await run.play()
    except AssertionError as error:
        error.add_note(f"{scenario.name}, seed {faults.seed}, {faults.applied}")
        raise
    return run


@pytest.mark.parametrize("number", range(len(SCENARIOS)), ids=[scenario.name for scenario in SCENARIOS])
async def test_every_answer_is_exact_or_says_that_it_is_not(number: int, tmp_path: Path) -> None:
    """Prints (`-rP`) how often each fault was applied, and how the questions were answered."""
    scenario, applied, answers = SCENARIOS[number], Counter[str](), Counter[str]()
    clean = (await play(scenario, Faults(number, 0.0), tmp_path)).faults.sent
    for seed in range(number, RUNS, len(SCENARIOS)):
        outage_at = 1 + seed % 40 if seed // len(SCENARIOS) % _OUTAGES == 0 else 0
        run = await play(scenario, Faults(seed, SHARE, outage_at), tmp_path)
        sent, again, tally = run.faults.sent, run.faults.allowed_again, run.tally
        require(sent <= SLACK * clean + again, "too many requests", seed, sent, clean, again)
        applied += run.faults.applied
        answers.update(exact=tally.exact, incomplete=tally.incomplete, error=tally.errors.total(), requests=sent)
    print(dict(applied), dict(answers))


async def _wrong_in(kinds: list[str], folder: Path, share: float = SHARE) -> str:
    """What is found wrong in a few runs with these faults; '': nothing."""
    for seed in range(24):
        try:
            await play(SCENARIOS[12 + seed % 12], Faults(seed, share, kinds=kinds), folder)
        except Wrong as error:
            return str(error)
    return ""


ENDS: dict[str, JsonValue] = {"data": [], "conversations": [], "items": [], "has_more": False}


async def test_a_client_that_takes_a_truncated_page_for_the_end_of_the_list_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = http.parse_json

    def parse_what_came(body: bytes, address_hint: str = "") -> JsonValue:
        try:
            return parse(body, address_hint)
        except DamagedResponseError:
            return ENDS

    assert await _wrong_in(["truncated JSON"], tmp_path) == ""
    monkeypatch.setattr(http, "parse_json", parse_what_came)
    assert await _wrong_in(["truncated JSON"], tmp_path) != ""


async def test_a_client_that_takes_an_error_for_an_empty_list_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_json = RestProvider.list_json

    async def list_or_nothing(self: RestProvider, params: dict[str, str | int]) -> JsonValue:
        try:
            return await list_json(self, params)
        except FormantError:
            return ENDS

    monkeypatch.setattr(RestProvider, "list_json", list_or_nothing)
    assert await _wrong_in(["connection refused", "500"], tmp_path, share=0.8)  # 5 tries fail != ""


async def test_a_client_that_requests_more_than_it_needs_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = SCENARIOS[12]
    clean = (await play(scenario, Faults(0, 0.0), tmp_path)).faults.sent
    get_json = http.HttpClient.get_json

    async def get_twice(
        self: http.HttpClient, name: str, path: str, params: dict[str, str | int] | None = None
    ) -> JsonValue:
        await get_json(self, name, path, params)
        return await get_json(self, name, path, params)

    monkeypatch.setattr(http.HttpClient, "get_json", get_twice)
    faults = (await play(scenario, Faults(12, SHARE), tmp_path)).faults
    assert faults.sent > SLACK * clean + faults.allowed_again


def test_all_faults_are_tried() -> None:
    assert len(KINDS) == 18
    assert frozenset(KINDS) >= HARMLESS
