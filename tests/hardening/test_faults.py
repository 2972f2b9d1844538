"""A thousand accounts are loaded and asked about while 30 % of all requests fail, in every way that networks do."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.app import App
from formant_mcp.errors import FormantError
from formant_mcp.providers.base import AnyProvider
from formant_mcp.settings import Settings
from tests.hardening.fault_proxy import KINDS, OUTAGE, Clock, FaultProxy, Faults
from tests.hardening.fault_questions import Tally, Wrong, ask, questions, require
from tests.hardening.fault_world import Scenario, World, scenarios
from tests.server_harness import KEY, NOW, Account
from tests.sync.sync_harness import no_job

pytestmark = [pytest.mark.anyio, pytest.mark.hardening]

SCENARIOS = scenarios(48)
RUNS = 1_008
SHARE = 0.3
FEW = 7  # questions when the faults are over
SLACK = 1.5
DAY_SECONDS = 86_400 + 60


@dataclass
class KeptAccount(Account):
    """Its server's parts, to run a pass as `formant-mcp sync` does."""

    app: App | None = None

    async def _app(self, settings: Settings, source: AnyProvider, key: str) -> App:
        self.app = await super()._app(settings, source, key)
        return self.app


@dataclass
class Outcome:
    """What a run did."""

    sent: int
    faults: Faults
    tally: Tally = field(default_factory=Tally)


class Run:
    """One account, from empty to complete: a pass and twenty questions with faults, then a pass and some without."""

    def __init__(self, scenario: Scenario, faults: Faults, folder: Path) -> None:
        self.scenario, self.faults = scenario, faults
        self.clock = Clock(NOW, timedelta(minutes=scenario.skew_minutes))
        self.world = World(scenario, self.clock.now)
        self.world.api.key = KEY
        self.account = KeptAccount(self.world.api, "auto", folder)  # type: ignore
        self.account.clock = self.clock.now  # type: ignore
        self.chance = random.Random(faults.seed)
        self.tally = Tally()

    async def outcome(self) -> Outcome:
        unhandled: list[object] = []
        wrong: Wrong | None = None
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with FaultProxy(self.world.api, self.faults, self.clock) as proxy:
            source = self.scenario.provider.connect(
                proxy.url,
                KEY,
                transport=proxy.route(),
                sleep=self.clock.sleep,
                now=self.clock.now,
                monotonic=self.clock.monotonic,
            )
            async with self.account.connect_to(source, self.scenario.provider.name) as assistant:
                self.ask = lambda question: ask(assistant, self.world, question, self.tally)
                await assistant.client.list_tools()
                try:
                    await self._while_it_fails()
                    await self._when_it_is_over()
                except Wrong as error:  # raised below, as itself and not in a group
                    wrong = error
        if wrong:
            raise wrong
        require(not unhandled, "unhandled", unhandled)
        return Outcome(self.faults.sent, self.faults, self.tally)

    async def _while_it_fails(self) -> None:
        if not self.scenario.is_cold:
            await self._pass()
        else:
            await self.ask(questions(self.world, self.chance)[0])
        self.world.settle()
        self.clock.advance(120)
        for question in questions(self.world, self.chance):
            self.clock.advance(6)
            await self.ask(question)

    async def _when_it_is_over(self) -> None:
        self.faults.stop()
        self.clock.advance(DAY_SECONDS)
        for _ in range(2):  # a full scan of the day, then what it found
            await self._pass()
            self.clock.advance(120)
        self.world.gone.clear()
        for question in questions(self.world, self.chance)[:FEW]:
            self.clock.advance(6)
            require(await self.ask(question), "incomplete without faults", question, self.tally.errors)

    async def _pass(self) -> None:
        """As `formant-mcp sync` does, but without trying again."""
        if self.account.app is None:
            with suppress(FormantError):
                await self.ask(questions(self.world, self.chance)[0])
        assert self.account.app
        with suppress(FormantError):
            account, now = self.account.app.account, self.clock.now()
            await account.retry_failed()
            await account.download_list(None, 60, _no_report)
            await account.download_details(None, now, 60, _no_report)
        await no_job("scan")


async def _no_report(_: int, __: int) -> None:
    """Nobody watches."""


async def play(scenario: Scenario, faults: Faults, folder: Path) -> Outcome:
    return await Run(scenario, faults, folder).outcome()


@pytest.mark.parametrize("number", range(len(SCENARIOS)), ids=[scenario.name for scenario in SCENARIOS])
async def test_every_answer_is_exact_or_says_that_it_is_not(
    number: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    scenario, applied = SCENARIOS[number], Counter[str]()
    clean: list[int] = []
    for seed in range(number, RUNS, len(SCENARIOS)):
        if len(clean) < 1:
            clean.append((await play(scenario, Faults(seed, 0.0), tmp_path)).sent)
        faults = Faults(seed, SHARE, outage_at=1 + seed % 40 if seed % 8 == 0 else 0)
        try:
            outcome = await play(scenario, faults, tmp_path)
        except AssertionError as error:
            error.add_note(f"seed {seed}, {faults.applied}")
            raise
        applied += faults.applied
        require(outcome.sent <= SLACK * clean[0] + faults.hits, "requests", seed, outcome.sent, clean[0], faults.hits)
    print(dict(applied))
