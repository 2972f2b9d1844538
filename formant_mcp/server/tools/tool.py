"""A tool: its name, description, arguments and answer, and the function that runs it."""

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema, NullableSchema, WithDefaultSchema

from formant_mcp.app import App
from formant_mcp.errors import InvalidRequestError
from formant_mcp.providers.registry import ProviderSpec
from formant_mcp.queries.arguments import Arguments, FilterArguments, argument_error, takes_of
from formant_mcp.queries.loader import RequestContext

if TYPE_CHECKING:
    import mcp_types

A = TypeVar("A", bound=Arguments)

MAX_CHARACTERS = 45_000
"""The maximum length of an answer, as text and as JSON: assistants do not read more at once."""


_FILTERS = "Filters as in list_conversations."
_UNSUPPORTED = "Not supported by this provider; leave empty."


@dataclass(frozen=True, slots=True)
class Reply:
    """The same facts twice: for assistants that read the text, and for those that read the structured content."""

    text: str
    structured: BaseModel

    @property
    def size(self) -> int:
        """Characters of the longer form."""
        return max(len(form) for form in self._forms())

    @property
    def encoded_size(self) -> int:
        """Bytes of the longer form in UTF-8."""
        return max(len(form.encode()) for form in self._forms())

    def _forms(self) -> tuple[str, str]:
        return self.text, self.structured.model_dump_json(exclude_none=True)


def is_accepted(reply: Reply) -> bool:
    """Whether assistants read the whole reply."""
    return reply.size <= MAX_CHARACTERS


def fit(reply_of: Callable[[int], Reply], count: int, fits: Callable[[Reply], bool] = is_accepted) -> Reply:
    """The reply with as many of its `count` items as fit into an answer, but at least one."""
    reply = reply_of(count)
    if count <= 1 or fits(reply):
        return reply
    fitting = bisect_left(range(1, count), True, key=lambda some: not fits(reply_of(some)))
    return reply_of(max(1, fitting))


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One tool of the server. `explains_filters`: its schema says, once for all tools, what filters accept."""

    name: str
    title: str
    description: str
    arguments: type[A]
    answer: type[BaseModel]
    run: Callable[[App, A, RequestContext], Awaitable[Reply]]
    is_read_only: bool = True
    is_idempotent: bool = True
    explains_filters: bool = False

    async def call(self, app: App, arguments: Mapping[str, object], context: RequestContext) -> Reply:
        """Runs the tool.

        Raises:
            pydantic.ValidationError: the arguments are invalid. FormantError: anything else.
        """
        return await self.run(app, self.arguments.model_validate(dict(arguments)), context)

    def refusal(self, error: ValidationError, provider: ProviderSpec) -> InvalidRequestError:
        """What is wrong with the arguments, and what is accepted, in the provider's words."""
        wrong = error.errors(include_url=False, include_context=False)
        return InvalidRequestError(provider.fill(str(argument_error(wrong, self.arguments))))

    def to_mcp(self, provider: ProviderSpec) -> "mcp_types.Tool":
        """The tool as the server lists it, with the provider's examples."""
        from mcp_types import Tool, ToolAnnotations  # here, because commands need no protocol

        return Tool(
            name=self.name,
            title=self.title,
            description=self.description if not self._refers_to_filters else f"{self.description} {_FILTERS}",
            input_schema=self.input_schema(provider),
            output_schema=_plain_schema(self.answer, "serialization"),
            annotations=ToolAnnotations(
                title=self.title,
                read_only_hint=self.is_read_only,
                destructive_hint=False,
                idempotent_hint=self.is_idempotent,
                open_world_hint=True,
            ),
        )

    def examples(self, provider: ProviderSpec) -> dict[str, str]:
        """A value of each argument, in the provider's words."""
        return {name: provider.fill(takes_of(field).example) for name, field in self.arguments.model_fields.items()}

    def input_schema(self, provider: ProviderSpec) -> dict[str, Any]:
        """The schema of the arguments, with the provider's examples."""
        schema = deepcopy(_plain_schema(self.arguments, "validation"))
        properties = schema.get("properties", {})
        if self._refers_to_filters:
            properties |= {name: _bare(properties[name]) for name in FilterArguments.model_fields}
        for name, argument in properties.items():
            if "description" not in argument:
                continue
            is_supported = name not in provider.unsupported_filters
            argument["description"] = provider.fill(argument["description"]) if is_supported else _UNSUPPORTED
        return schema

    @property
    def _refers_to_filters(self) -> bool:
        return issubclass(self.arguments, FilterArguments) and not self.explains_filters


def _bare(argument: dict[str, Any]) -> dict[str, Any]:
    """An argument's type alone."""
    return {name: value for name, value in argument.items() if name in ("type", "items", "enum")}


@cache
def _plain_schema(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    """A model's schema; generating one takes milliseconds."""
    return model.model_json_schema(schema_generator=_PlainSchema, mode=mode)


class _PlainSchema(GenerateJsonSchema):
    """JSON schemas without redundancy: no titles, no docstrings of models, no null types."""

    def field_title_should_be_set(self, schema: object) -> bool:
        """Never: the name is enough."""
        return False

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """Without title and docstring."""
        generated = super().model_schema(schema)
        return {name: value for name, value in generated.items() if name not in ("title", "description")}

    def nullable_schema(self, schema: NullableSchema) -> JsonSchemaValue:
        """Without null: answers leave out null fields."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """Without a default of null."""
        generated = super().default_schema(schema)
        return {name: value for name, value in generated.items() if name != "default" or value is not None}
