"""Finds the agent of a filter: by id, by name, or as answers print it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import CUT, NONE, Filters
from formant_mcp.queries.guesses import listed, nearest
from formant_mcp.queries.loader import Loader, RequestContext
from formant_mcp.store import Store
from formant_mcp.sync.list_sync import ListRequest

_NAME_AND_ID = re.compile(r"(.+) \((.+)\)")
_SHOWN = 5

T = TypeVar("T")


async def for_agent(
    loader: Loader, context: RequestContext, filters: Filters, answer: Callable[[Filters], Awaitable[T]]
) -> T:
    """The answer for the filters, with `agent_id` replaced by the id of the agent that it names.

    What may be an id is tried unchanged first, because providers list one agent's calls fast; only if no call has it,
    the whole list is loaded for the agents' names.

    Raises:
        InvalidRequestError: it names several agents, or none among the calls listed so far.
    """
    name = filters.agent_id
    if name in ("", NONE):
        return await answer(filters)
    agent_id = await _find_agent(loader.store, name)
    if not agent_id and not re.search(rf"[\s,{CUT}]", name):
        result = await answer(filters)
        agent_id = await _find_agent(loader.store, name)
        if agent_id == name or (not agent_id and await _is_all_listed(loader, context)):
            return result
    if not agent_id and not await _is_all_listed(loader, context):
        await context.load(loader.sync.refresh_list(ListRequest(), context.seconds_left, context.report))
    agent_id = agent_id or await _find_agent(loader.store, name)
    if not agent_id and not await loader.sync.knows_all():
        listed = await loader.store.read.count_seen("")
        raise InvalidRequestError(
            f"agent_id: no agent has this id or name among the {listed:,} calls listed so far.",
            "Ask again, as more calls are being listed, or give an id from an answer.",
        )
    return await answer(replace(filters, agent_id=agent_id or name))


async def _is_all_listed(loader: Loader, context: RequestContext) -> bool:
    return (await loader.sync.list_status(ListRequest(), context.requested_at)).is_complete


async def existing_agents(store: Store, name: str) -> tuple[list[str], str]:
    """Every agent, as `Name (id)` if it has a name, and the one most similar to `name` ('' if none is)."""
    ids = (await store.read.distinct("agent_id"))["agent_id"]
    names = await store.read.agent_names(ids)
    shown = {agent_id: f"{names[agent_id]} ({agent_id})" if agent_id in names else agent_id for agent_id in ids}
    by_word = {names[agent_id]: agent_id for agent_id in names} | {agent_id: agent_id for agent_id in ids}
    return list(shown.values()), shown.get(by_word.get(nearest(name, by_word), ""), "")


async def _find_agent(store: Store, text: str) -> str:
    """The id of the stored agent that a text names; '' if there is none."""
    ids = (await store.read.distinct("agent_id"))["agent_id"]
    if text in ids:
        return text
    name_and_id = _NAME_AND_ID.fullmatch(text)
    for form in (text.removeprefix("agent "), *(name_and_id.groups() if name_and_id else ())):
        if form in ids:
            return form
    names = {agent_id: name.casefold() for agent_id, name in (await store.read.agent_names(ids)).items()}
    wanted = text.casefold()
    prefix = wanted.removesuffix(CUT).removesuffix("...")
    matches = [agent_id for agent_id in ids if agent_id.casefold() == wanted]
    matches = matches or [agent_id for agent_id, name in names.items() if name == wanted]
    if not matches and prefix and prefix != wanted:
        matches = [
            agent_id
            for agent_id in ids
            if agent_id.startswith(text[: len(prefix)]) or names.get(agent_id, "").startswith(prefix)
        ]
    several = [part for part in map(str.strip, text.split(",")) if part in ids or part.casefold() in names.values()]
    if not matches and len(several) > 1:
        raise InvalidRequestError(
            "agent_id takes one agent.", "Ask for each by itself, or for all of them with group_by=agent_id."
        )
    if len(matches) > 1:
        ids = listed(matches, _SHOWN)
        raise InvalidRequestError(
            f"agent_id: several agents have this name{ids and f': {ids}'}.", "Give one of their ids."
        )
    return matches[0] if matches else ""
