"""What a tool is: a name, a sentence, arguments, an answer, and a function between them."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from mcp_types import Tool as ToolEntry
from mcp_types import ToolAnnotations
from pydantic import BaseModel, JsonValue

from formant_mcp.app import App
from formant_mcp.query.arguments import Arguments
from formant_mcp.query.gather import Call
from formant_mcp.vocabulary import ProviderWording

A = TypeVar("A", bound=Arguments)

MAX_CHARACTERS = 45_000
"""No answer is longer, as text or as JSON: more does not fit what assistants read at once."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The same facts twice: for assistants that read the text, and for those that read the structure."""

    text: str
    structure: BaseModel

    @property
    def size(self) -> int:
        """Characters of the longer form."""
        return max(len(self.text), len(self.structure.model_dump_json(exclude_none=True)))


def fit(reply_of: Callable[[int], Reply], count: int) -> Reply:
    """The reply with as many of its `count` items as an answer has room for, but at least one."""
    reply = reply_of(count)
    if reply.size <= MAX_CHARACTERS or count <= 1:
        return reply
    fitting = bisect_right(range(1, count), MAX_CHARACTERS, key=lambda some: reply_of(some).size)
    return reply_of(max(1, fitting))


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One tool of the server."""

    name: str
    title: str
    description: str
    arguments: type[A]
    answer: type[BaseModel]
    run: Callable[[App, A, Call], Awaitable[Reply]]
    is_read_only: bool = True

    async def call(self, app: App, arguments: dict[str, JsonValue], call: Call) -> Reply:
        """Runs the tool.

        Raises:
            pydantic.ValidationError: the arguments are not of its form. FormantError: anything else.
        """
        return await self.run(app, self.arguments.model_validate(arguments), call)

    def entry(self, words: ProviderWording) -> ToolEntry:
        """The tool as the server lists it, in the provider's words."""
        return ToolEntry(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=_plain(_worded(self.arguments.model_json_schema(), words)),
            output_schema=_plain(self.answer.model_json_schema(mode="serialization")),
            annotations=ToolAnnotations(
                title=self.title,
                read_only_hint=self.is_read_only,
                destructive_hint=False,
                idempotent_hint=True,
                open_world_hint=True,
            ),
        )


def _worded(schema: dict[str, Any], words: ProviderWording) -> dict[str, Any]:
    properties = schema.get("properties", {})
    for argument in properties.values():
        argument["description"] = words.fill(argument["description"])
    return schema


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without what only repeats names: titles, docstrings of models, null beside a type."""
    return cast(dict[str, Any], _pruned(schema, is_property_map=False))


def _pruned(value: object, *, is_property_map: bool) -> object:
    if isinstance(value, list):
        return [_pruned(each, is_property_map=False) for each in cast(list[object], value)]
    if not isinstance(value, dict):
        return value
    node = cast(dict[str, object], value)
    if is_property_map:
        return {name: _pruned(each, is_property_map=False) for name, each in node.items()}
    choices = node.get("anyOf")
    if isinstance(choices, list):
        kept = [each for each in cast(list[dict[str, object]], choices) if each.get("type") != "null"]
        if len(kept) == 1:
            node = {name: each for name, each in node.items() if name not in ("anyOf", "default")} | kept[0]
    is_object = node.get("type") == "object"
    dropped = {"title", "description"} if is_object else {"title"}
    return {
        name: _pruned(each, is_property_map=name in ("properties", "$defs"))
        for name, each in node.items()
        if name not in dropped
    }
