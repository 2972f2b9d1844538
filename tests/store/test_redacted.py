"""What a store returns to readers from whom identifiers are hidden."""

import pytest

from formant_mcp.filters import NEWEST, NO_FILTERS
from formant_mcp.models import Conversation
from formant_mcp.redaction.kinds import KINDS
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.store import Store
from formant_mcp.store.search import StoreSearch
from formant_mcp.text_search.query import Expression, Term
from tests.store.files import call_saying, stored

pytestmark = pytest.mark.anyio

SAID = ("My number is 98765", "haan ji", "43210, call me.")
CALL = call_saying(1, *SAID)._replace(
    contact_number="+919876543210",
    user_id="asha.rao@example.com",
    agent_name="Desk 9876543210",
    status="held by 9876543210",
    failure_reason="no answer at 9876543210",
    results={"9876543210": ["+91 98765 43210"]},
)


async def hidden() -> Store:
    return (await stored(CALL)).redacted(Redactor(KINDS))


def search_for(word: str) -> StoreSearch:
    return StoreSearch(Expression(((Term((word,), "word"),),)), "any", NO_FILTERS)


async def calls_of(store: Store) -> list[Conversation]:
    """The call as each method returns it."""
    got = await store.read.get([CALL.conversation_id])
    page = await store.read.page(NO_FILTERS, NEWEST, 10)
    matches = await store.search.find(search_for("98765"), 10)
    return [got[CALL.conversation_id], page[0][1], matches.page[0].conversation]


async def test_every_method_returns_the_call_with_labels() -> None:
    for call in await calls_of(await hidden()):
        assert call.conversation_id == CALL.conversation_id
        assert call.contact_number == "<number 1>"
        assert call.user_id == "<email 1>"
        assert call.agent_name == "Desk <number 1>"
        assert call.status == "held by <number 1>"
        assert call.failure_reason == "no answer at <number 1>"
        assert call.results in (None, {"<number 1>": ["<number 1>"]})


async def test_a_part_of_a_transcript_has_the_labels_of_the_whole() -> None:
    store = await hidden()
    row = (await store.read.page(NO_FILTERS, NEWEST, 1))[0][0]
    whole = (await store.read.transcripts([row]))[row]
    assert [turn.text for turn in whole.values()] == ["My number is <number 1>", "haan ji", "<number 1>, call me."]
    for index, turn in whole.items():
        assert await store.read.turns(CALL.conversation_id, index, 1) == [turn]
        assert await store.read.windows([(row, index, index)]) == {row: {index: turn}}
    both = await store.read.windows([(row, 0, 0), (row, 2, 5)])
    assert both == {row: {0: whole[0], 2: whole[2]}}


async def test_words_of_identifiers_are_not_suggested() -> None:
    openly = await stored(
        CALL, call_saying(2, "my mail is asha.kulkarni@example.com, Asha")._replace(status="completed")
    )
    assert await openly.search.longer(Term(("9876",), "word")) == ["98765"]
    assert await openly.search.longer(Term(("kulkar",), "word")) == ["kulkarni"]
    store = openly.redacted(Redactor(KINDS))
    assert await store.search.longer(Term(("9876",), "word")) == []
    assert await store.search.longer(Term(("kulkar",), "word")) == []
    assert await store.search.longer(Term(("ash",), "word")) == ["asha"]
