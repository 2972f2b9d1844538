"""12,000 identifiers in an account, and how many of them each path shows: tools, resources, exports, HTTP, the log."""

import asyncio
import json
import random
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import JsonValue
from stdnum import luhn, verhoeff

from formant_mcp.members import Member
from formant_mcp.queries import account as account_module
from formant_mcp.redaction.kinds import KINDS
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.server.limits import Limits
from formant_mcp.store import redacted as redacted_store
from formant_mcp.store.phrases import Phrases
from formant_mcp.store.reader import Reader
from tests.calls import conversation, conversation_id
from tests.http_process import Tokens, bearing, in_thread
from tests.server_harness import NOW, Account, Answer, Assistant

pytestmark = [pytest.mark.hardening, pytest.mark.anyio]

CALLS, FEW = 1_000, 60
ALL = ",".join(KINDS)
MOST_SHOWN = 0.005  # of the identifiers that a path shows without redaction
_ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_HINGLISH = ["shunya", "ek", "do", "teen", "char", "paanch", "chhah", "saat", "aath", "nau"]
_HINDI = ["शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ"]
_SAID = (
    "My number is {}.",
    "You can call me on {}, after six.",
    "haan ji, mera number hai {}",
    "Sorry, please note it again: {}",
    "मेरा नंबर {} है।",
)


@dataclass
class Planted:
    """Identifiers by what shows them: eight digits or letters, or five spoken words, in a row."""

    pieces: dict[str, int] = field(default_factory=dict[str, int])
    count: int = 0

    def add(self, form: str) -> str:
        """Plants one; returns it."""
        for piece in _pieces(form):
            self.pieces[piece] = self.count
        self.count += 1
        return form

    def shown_in(self, text: str) -> set[int]:
        """The identifiers that a text shows."""
        return {self.pieces[piece] for piece in _pieces(text) if piece in self.pieces}


def _pieces(text: str) -> Iterator[str]:
    words = re.findall(r"\w+", text.lower())
    spoken = [word if not re.search(r"\d", word) else "" for word in words]
    for n in range(len(spoken) - 4):
        if all(spoken[n : n + 5]):
            yield " ".join(spoken[n : n + 5])
    for run in re.findall(r"\d(?:[ -]?\d)+", text):
        digits = re.sub(r"\D", "", run)
        yield from (digits[n : n + 8] for n in range(len(digits) - 7))
    yield from re.findall(r"[a-z]{5}\d{4}[a-z]|[a-z]+\.[a-z]+\d+", text.lower())


def forms(chance: random.Random) -> Iterator[str]:
    """Identifiers of all kinds, without end, none twice."""
    seen = set[str]()
    while True:
        digits = chance.choice("6789") + "".join(chance.choices("0123456789", k=9))
        if digits in seen:
            continue
        seen.add(digits)
        aadhaar = chance.choice("23456789") + digits
        card = "4" + digits + digits[:4]
        yield digits
        yield f"+91 {digits[:5]} {digits[5:]}"
        yield " ".join(_ENGLISH[int(digit)] for digit in digits)
        yield " ".join(_HINGLISH[int(digit)] for digit in digits)
        yield " ".join(_HINDI[int(digit)] for digit in digits)
        yield f"{chance.choice(['asha', 'ravi', 'meena'])}.{chance.choice(['rao', 'iyer'])}{digits[:6]}@example.com"
        yield f"{''.join(chance.choices('ABCDEFGHKLMN', k=3))}PK{digits[:4]}{chance.choice('ABCDEF')}"
        yield aadhaar + verhoeff.calc_check_digit(aadhaar)
        yield card + luhn.calc_check_digit(card)


def fill(account: Account, calls: int) -> Planted:
    """Fills the account: identifiers in every turn, in the results, as contacts and as failure reasons."""
    chance = random.Random(12)
    planted, some = Planted(), forms(chance)
    for n in range(calls):
        said: list[JsonValue] = [
            {"role": ("human", "agent")[turn % 2], "message": chance.choice(_SAID).format(planted.add(next(some)))}
            for turn in range(8)
        ]
        left: dict[str, JsonValue] = {f"field_{place}": planted.add(next(some)) for place in range(2)}
        left["callback"] = int(planted.add(chance.choice("6789") + f"{chance.randrange(10**9):09d}"))
        number = planted.add(f"+919{chance.randrange(10**9):09d}")
        status = ("completed", "failed")[n % 10 == 0]
        row = conversation(n, NOW - timedelta(minutes=30 * n), status=status, contact_number=number)
        spoken: dict[str, JsonValue] = {"transcript": said, "results": left}
        account.api.add(row | (spoken if status == "completed" else {"failure_reason": str(left["field_0"])}))
    return planted


class Paths:
    """What each path gives to an assistant."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self.given: dict[str, list[str]] = {}

    async def take_all(self, calls: int) -> "Paths":
        """Takes every path; returns itself."""
        ids = [conversation_id(n) for n in range(calls)]
        await self._tables()
        await self._figures()
        await self._transcripts([name for n, name in enumerate(ids) if n % 10][:200])
        await self._files()
        await self._resources(ids[1:60])
        await self._errors()
        return self

    def shown(self, planted: Planted) -> dict[str, set[int]]:
        """The identifiers that each path shows."""
        return {path: planted.shown_in("\n".join(texts)) for path, texts in self.given.items()}

    async def _ask(self, path: str, tool: str, **arguments: object) -> Answer:
        answer = await self._assistant.ask(tool, **arguments)
        self.given.setdefault(path, []).extend((answer.text, json.dumps(answer.structure, ensure_ascii=False)))
        return answer

    async def _pages(self, path: str, tool: str, **arguments: object) -> None:
        cursor = "first"
        while cursor:
            answer = await self._ask(path, tool, **arguments, cursor="" if cursor == "first" else cursor)
            cursor = str(answer.structure.get("next_cursor") or "")

    async def _tables(self) -> None:
        await self._pages("list", "list_conversations", limit=100)
        await self._pages("results and words", "list_conversations", limit=100, summary_mode="include")
        await self._pages("fields", "list_conversations", limit=100, fields="results.callback,results.field_1")
        await self._pages("search", "search_transcripts", query="call", limit=100)

    async def _figures(self) -> None:
        for group in ("contact_number", "results.field_0", "results.callback", "failure_reason"):
            await self._ask("groups", "summarize_results", group_by=group, top=100)
        await self._ask("profile", "summarize_results", top=100)
        await self._ask("measures", "summarize_results", group_by="status", measures="results.callback")
        await self._ask("phrases", "find_phrases", role="any", limit=100)
        await self._ask("reviews", "find_calls_to_review", limit=50)
        await self._ask("changes", "find_changes", since="10d")

    async def _transcripts(self, ids: list[str]) -> None:
        for first in range(0, len(ids), 20):
            some = ids[first : first + 20]
            await self._ask("transcripts", "get_transcripts", conversation_ids=some)
            await self._ask("windows", "get_transcripts", conversation_ids=some, from_turn=3, max_turns=2)

    async def _files(self) -> None:
        for file_format in ("csv", "jsonl"):
            include = ["results", "signals", "transcript"]
            answer = await self._ask("exports", "export_conversations", format=file_format, include=include)
            path = str(answer.structure["path"])
            if path.startswith("http"):
                loaded = await asyncio.to_thread(httpx.get, path, headers=bearing("bert"))
                self.given["exports"].append(loaded.text)
            else:
                self.given["exports"].append(Path(path).read_text())

    async def _resources(self, ids: list[str]) -> None:
        client = self._assistant.client
        for name in ids:
            for kind in ("", "/transcript"):
                read = await client.read_resource(f"formant://conversations/{name}{kind}")
                self.given.setdefault(f"resource{kind}", []).append(read.contents[0].model_dump_json())
        self.given["resources/list"] = [(await client.list_resources()).model_dump_json()]

    async def _errors(self) -> None:
        self.given["errors"] = [await self._assistant.refused("summarize_results", group_by="results.unknown")]
        for name in ("failure_reason", "status"):
            await self._ask("values that exist", "list_conversations", **{name: "unknown"})
        await self._ask("values that exist", "list_conversations", contact_number="+15550009999")
        await self._ask("advice", "search_transcripts", query="98765 OR nin")


@asynccontextmanager
async def connected(account: Account, over: str, kinds: str) -> AsyncGenerator[Assistant]:
    """An assistant from whom these kinds are hidden: by the setting, or by a member's token."""
    store = str(account.folder / "store.sqlite")
    if over == "stdio":
        async with account.connect(redact=kinds, store=store, call_seconds=300) as assistant:
            yield assistant
        return
    tokens = Tokens("bert")
    tokens.members["bert-token"] = Member("bert", redacts=frozenset(filter(None, kinds.split(","))))
    unlimited = Limits(requests_per_minute=1_000_000)
    with in_thread(account, verifier=tokens, limits=unlimited, store=store, call_seconds=300) as server:
        async with server.connect("auto", **bearing("bert")) as assistant:
            yield assistant


@pytest.mark.parametrize("over", ["stdio", "http"])
async def test_no_path_shows_more_than_one_in_two_hundred(
    account: Account, over: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="formant_mcp")
    planted = fill(account, CALLS)
    async with connected(account, over, "") as assistant:
        openly = (await Paths(assistant).take_all(CALLS)).shown(planted)
    async with connected(account, over, ALL) as assistant:
        hidden = (await Paths(assistant).take_all(CALLS)).shown(planted)
    logged = planted.shown_in("\n".join(record.getMessage() for record in caplog.records))
    shares = {path: f"{len(hidden[path])} of {len(shown)}" for path, shown in openly.items()}
    print(over, shares)
    assert not [path for path, shown in openly.items() if len(hidden[path]) > MOST_SHOWN * len(shown)], shares
    assert len(set[int]().union(*openly.values())) >= 10_000
    assert not logged


DEFENCES: list[tuple[type, str, Callable[..., object]]] = [
    (redacted_store.RedactedReader, "get", Reader.get),
    (redacted_store.RedactedReader, "page", Reader.page),
    (redacted_store.RedactedReader, "turns", Reader.turns),
    (redacted_store.RedactedReader, "windows", Reader.windows),
    (redacted_store.RedactedReader, "transcripts", Reader.transcripts),
    (redacted_store.RedactedPhrases, "find", Phrases.find),
]


@pytest.mark.parametrize(("where", "name", "plain"), DEFENCES, ids=[name for _, name, _ in DEFENCES])
async def test_the_check_fails_without_the_defence_of_one_path(
    account: Account, monkeypatch: pytest.MonkeyPatch, where: type, name: str, plain: Callable[..., object]
) -> None:
    planted = fill(account, FEW)
    monkeypatch.setattr(where, name, plain)
    async with connected(account, "stdio", ALL) as assistant:
        hidden = (await Paths(assistant).take_all(FEW)).shown(planted)
    assert [path for path, shown in hidden.items() if len(shown) > 1]


async def test_the_check_fails_without_the_defence_of_values_and_errors(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = fill(account, FEW)

    def as_it_is(_: Redactor, answer: object) -> object:
        return answer

    monkeypatch.setattr(account_module, "redacted", as_it_is)
    async with connected(account, "stdio", ALL) as assistant:
        hidden = (await Paths(assistant).take_all(FEW)).shown(planted)
    assert {path for path, shown in hidden.items() if shown} >= {"groups", "profile"}
