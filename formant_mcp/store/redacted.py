"""The store for readers from whom identifiers are hidden: conversations and turns come with labels in their place.

Values that are counted, such as groups, come as they are: `formant_mcp.queries.redacted` hides these.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from pydantic import JsonValue

from formant_mcp.filters import NO_FILTERS, Filters, Order
from formant_mcp.models import Conversation, Turn
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.store.phrases import FoundPhrase, FoundPhrases, PhraseQuestion, Phrases
from formant_mcp.store.reader import Reader
from formant_mcp.store.search import MatchPage, Search
from formant_mcp.store.search_steps import StoreSearch
from formant_mcp.store.turn_keys import MAX_TURNS
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.tokenizer import indexable

_MOST_SUGGESTED = 6  # words
_MOST_READ = 3  # conversations, to see a word in one of their turns

T = TypeVar("T")


class Redaction:
    """Hides identifiers in the models of one answer, one after another, on a thread: long transcripts take a while."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._lock = asyncio.Lock()

    async def conversations(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        """The conversations with labels. Ids stay: answers need them, and they are the provider's own."""
        return await self._run(lambda: [self._conversation(conversation) for conversation in conversations])

    async def transcripts(self, transcripts: Mapping[int, Mapping[int, Turn]]) -> dict[int, dict[int, Turn]]:
        """Whole transcripts with labels, by row and index: what is said may be spread over several turns."""
        return await self._run(lambda: {row: self._transcript(turns) for row, turns in transcripts.items()})

    async def values(self, values: Mapping[str, Mapping[str, JsonValue]]) -> dict[str, dict[str, JsonValue]]:
        """The values of results with labels, by the same ids and paths."""
        hide = self._redactor.value_of_field
        return await self._run(
            lambda: {key: {path: hide(path, value) for path, value in of.items()} for key, of in values.items()}
        )

    async def part(self, turns: Mapping[int, Turn], first: int, last: int) -> dict[int, Turn]:
        """The turns from `first` to `last` of a whole transcript, with labels."""
        return await self._run(lambda: self._part(turns, first, last))

    async def texts(self, texts: Mapping[str, str | None]) -> dict[str, str | None]:
        """The texts with labels, by the same keys."""
        return await self._run(lambda: {key: self._text(text) for key, text in texts.items()})

    async def _run(self, work: Callable[[], T]) -> T:
        async with self._lock:
            return await asyncio.to_thread(work)

    def _conversation(self, call: Conversation) -> Conversation:
        return call._replace(
            agent_name=self._text(call.agent_name),
            contact_number=self._redactor.number(call.contact_number),
            user_id=self._text(call.user_id),
            direction=self._text(call.direction),
            status=self._text(call.status),
            failure_reason=self._text(call.failure_reason),
            trace_id=self._text(call.trace_id),
            results=cast(dict[str, JsonValue] | None, self._redactor.value(call.results)),
        )

    def _transcript(self, turns: Mapping[int, Turn]) -> dict[int, Turn]:
        indexes = sorted(turns)
        return self._labelled(turns, indexes, self._redactor.turns([turns[index].text for index in indexes]))

    def _part(self, turns: Mapping[int, Turn], first: int, last: int) -> dict[int, Turn]:
        indexes = sorted(turns)
        shown = range(bisect_left(indexes, first), bisect_right(indexes, last))
        texts = self._redactor.part([turns[index].text for index in indexes], shown)
        return self._labelled(turns, indexes[shown.start : shown.stop], texts)

    def _labelled(self, turns: Mapping[int, Turn], indexes: Sequence[int], texts: Sequence[str]) -> dict[int, Turn]:
        return {
            index: replace(turns[index], role=self._redactor.text(turns[index].role), text=text)
            for index, text in zip(indexes, texts, strict=True)
        }

    def _text(self, text: str | None) -> str | None:
        return text and self._redactor.text(text)


class RedactedReader(Reader):
    """Reads conversations and turns with labels in place of identifiers."""

    def __init__(self, reader: Reader, redaction: Redaction) -> None:
        super().__init__(reader.database, reader.visible_agents)
        self._redaction = redaction
        self._spoken = dict[str, dict[int, Turn]]()  # by conversation: an answer may read parts of one again

    async def get(self, conversation_ids: Sequence[str]) -> dict[str, Conversation]:
        """See Reader."""
        stored = await super().get(conversation_ids)
        return dict(zip(stored, await self._redaction.conversations(list(stored.values())), strict=True))

    async def values(self, conversation_ids: Sequence[str], paths: Collection[str]) -> dict[str, dict[str, JsonValue]]:
        """See Reader. Paths are as questions have them: with the identifiers in names."""
        stored = await Reader(self.database, self.visible_agents).values(conversation_ids, paths)
        return await self._redaction.values(stored)

    async def page(self, filters: Filters, order: Order, limit: int, after: int = 0) -> list[tuple[int, Conversation]]:
        """See Reader."""
        page = await super().page(filters, order, limit, after)
        calls = await self._redaction.conversations([call for _, call in page])
        return [(row, call) for (row, _), call in zip(page, calls, strict=True)]

    async def turns(self, conversation_id: str, first: int, count: int) -> list[Turn]:
        """See Reader. Reads all turns: an identifier may begin or end outside of these."""
        if conversation_id not in self._spoken:
            spoken = await super().turns(conversation_id, 0, MAX_TURNS)
            self._spoken[conversation_id] = {turn.index: turn for turn in spoken}
        return list((await self._redaction.part(self._spoken[conversation_id], first, first + count - 1)).values())

    async def windows(self, windows: Sequence[tuple[int, int, int]]) -> dict[int, dict[int, Turn]]:
        """See Reader. Reads all turns: an identifier may begin or end outside of these."""
        transcripts = await super().transcripts(sorted({row for row, _, _ in windows}))
        shown: dict[int, dict[int, Turn]] = {}
        for row, first, last in windows:
            near = await self._redaction.part(transcripts.get(row, {}), first, last)
            shown[row] = shown.get(row, {}) | near
        return shown

    async def transcripts(self, rows: Sequence[int]) -> dict[int, dict[int, Turn]]:
        """See Reader."""
        return await self._redaction.transcripts(await super().transcripts(rows))

    async def agent_names(self, agent_ids: Sequence[str]) -> dict[str, str]:
        """See Reader."""
        names = await self._redaction.texts(await super().agent_names(agent_ids))
        return {agent_id: name for agent_id, name in names.items() if name}

    async def agents(self) -> dict[str, str | None]:
        """See Reader."""
        return await self._redaction.texts(await super().agents())


class RedactedSearch(Search):
    """Searches as ever, also for numbers; what it returns has labels, and it names only words that can be seen."""

    def __init__(self, search: Search, redaction: Redaction, reader: RedactedReader) -> None:
        super().__init__(search.database, search.visible_agents)
        self._redaction = redaction
        self._reader = reader

    async def find(self, query: StoreSearch, count: int, after: int = 0) -> MatchPage:
        """See Search."""
        matches = await super().find(query, count, after)
        calls = await self._redaction.conversations([match.conversation for match in matches.page])
        page = zip(matches.page, calls, strict=True)
        return matches._replace(page=tuple(match._replace(conversation=call) for match, call in page))

    async def similar(self, term: Term) -> list[str]:
        """See Search."""
        return await self.nameable(await super().similar(term))

    async def longer(self, term: Term) -> list[str]:
        """See Search."""
        return await self.nameable(await super().longer(term))

    async def nameable(self, words: Sequence[str]) -> list[str]:
        """Those of the first words that the newest turns that have them still have, though identifiers are hidden."""
        return [word for word in words[:_MOST_SUGGESTED] if await self._is_seen(word)]

    async def _is_seen(self, word: str) -> bool:
        query = StoreSearch(Expression(((Term((word,), "phrase"),),)), "any", NO_FILTERS)
        matches = await super().find(query, _MOST_READ)
        turns = await self._reader.windows([(match.row, turn, turn) for match in matches.page for turn in match.turns])
        texts = (turn.text for of_call in turns.values() for turn in of_call.values())
        return any(word in indexable(text).split() for text in texts)


class RedactedPhrases(Phrases):
    """Counts what is said as ever; the examples have labels."""

    def __init__(self, phrases: Phrases, reader: RedactedReader) -> None:
        super().__init__(phrases.database, phrases.answers, phrases.visible_agents)
        self._reader = reader

    async def find(self, question: PhraseQuestion) -> FoundPhrases:
        """See Phrases."""
        counted = await super().find(question)
        return counted._replace(phrases=tuple([await self._with_label(phrase) for phrase in counted.phrases]))

    async def _with_label(self, phrase: FoundPhrase) -> FoundPhrase:
        turns = await self._reader.turns(phrase.conversation_id, phrase.turn, 1)
        return phrase._replace(text=turns[0].text if turns else "")
