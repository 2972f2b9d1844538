"""The agent that is meant: by its id, by its name, or as answers print it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import CUT, NONE, Filters
from formant_mcp.queries.guesses import nearest
from formant_mcp.queries.loader import Loader, RequestContext
from formant_mcp.store import Store
from formant_mcp.sync.list_sync import ListRequest

_IN_PARENTHESES = re.compile(r"(.+) \((.+)\)")
_SHOWN = 5

T = TypeVar("T")


async def for_agent(
    loader: Loader, context: RequestContext, filters: Filters, ask: Callable[[Filters], Awaitable[T]]
) -> T:
    """The answer for the filters, with the id of the agent that their `agent_id` means.

    What may be an id is asked for as it is, for a provider lists one agent's calls fast; only where no call has it, the
    whole list is loaded for the names that there are.

    Raises:
        InvalidRequestError: several agents are meant, or none, as far as the calls are listed.
    """
    asked = filters.agent_id
    if asked in ("", NONE):
        return await ask(filters)
    meant = await _meant(loader.store, asked)
    if not meant and not re.search(rf"[\s,{CUT}]", asked):
        answer = await ask(filters)
        meant = await _meant(loader.store, asked)
        if meant == asked or (not meant and await _is_all_listed(loader, context)):
            return answer
    if not meant and not await _is_all_listed(loader, context):
        await loader.sync.refresh_list(ListRequest(), context.seconds_left, context.report)
    meant = meant or await _meant(loader.store, asked)
    if not meant and not await loader.sync.knows_all():
        listed = await loader.store.read.count_seen("")
        raise InvalidRequestError(
            f"agent_id: no agent has this id or name among the {listed:,} calls listed so far.",
            "Ask again, for more is being listed, or give an id that an answer has shown.",
        )
    return await ask(replace(filters, agent_id=meant or asked))


async def _is_all_listed(loader: Loader, context: RequestContext) -> bool:
    return (await loader.sync.list_status(ListRequest(), context.requested_at)).is_complete


async def existing_agents(store: Store, asked: str) -> tuple[list[str], str]:
    """Every known agent, as `Name (id)` where it has a name, and the one that was perhaps meant."""
    ids = await store.read.distinct("agent_id")
    names = await store.read.agent_names(ids)
    shown = {agent_id: f"{names[agent_id]} ({agent_id})" if agent_id in names else agent_id for agent_id in ids}
    by_word = {names[agent_id]: agent_id for agent_id in names} | {agent_id: agent_id for agent_id in ids}
    return list(shown.values()), shown.get(by_word.get(nearest(asked, by_word), ""), "")


async def _meant(store: Store, asked: str) -> str:
    """The id of the known agent that is meant; '' where none is."""
    ids = await store.read.distinct("agent_id")
    if asked in ids:
        return asked
    found = _IN_PARENTHESES.fullmatch(asked)
    for form in (asked.removeprefix("agent "), *(found.groups() if found else ())):
        if form in ids:
            return form
    names = {agent_id: name.casefold() for agent_id, name in (await store.read.agent_names(ids)).items()}
    wanted = asked.casefold()
    beginning = wanted.removesuffix(CUT).removesuffix("...")
    same = [each for each in ids if each.casefold() == wanted]
    same = same or [agent_id for agent_id, name in names.items() if name == wanted]
    if not same and beginning and beginning != wanted:
        same = [
            each
            for each in ids
            if each.startswith(asked[: len(beginning)]) or names.get(each, "").startswith(beginning)
        ]
    several = [part for part in map(str.strip, asked.split(",")) if part in ids or part.casefold() in names.values()]
    if not same and len(several) > 1:
        raise InvalidRequestError(
            "agent_id takes one agent.", "Ask for each by itself, or for all of them with group_by=agent_id."
        )
    if len(same) > 1:
        named = ", ".join(same[:_SHOWN]) + (", …" if len(same) > _SHOWN else "")
        raise InvalidRequestError(f"agent_id: several agents have this name: {named}.", "Give one of these ids.")
    return same[0] if same else ""
