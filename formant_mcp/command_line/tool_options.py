"""Options made from a tool's arguments: their names, descriptions, words and examples are written once, there."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from formant_mcp.command_line.syntax import Command, Option
from formant_mcp.commands.shell_words import in_shell, option_name

_NEEDS = {"compare_previous": "since", "compare_until": "compare_since"}  # arguments that have no meaning alone


class Value(StringParamType):
    """A value as the tool takes it: one of `words`, if there are any; `completed` are completed too."""

    def __init__(self, words: Sequence[str], completed: Sequence[str]) -> None:
        self.words = words
        self._completed = (*words, *completed)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The words, or VALUE."""
        return "|".join(self.words) or "VALUE"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that begin so; after a comma too."""
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{word}") for word in self._completed if word.startswith(last)]


class FilterCommand(Command):
    """A command that takes a tool's arguments as options; they are made when they are needed."""

    def __init__(self, *args: Any, tool: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.tool = tool

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The tool's arguments that are not already parameters, then the command's own."""
        given = super().get_params(ctx)
        positional = [parameter for parameter in given if isinstance(parameter, click.Argument)]
        own = [parameter for parameter in given if not isinstance(parameter, click.Argument)]
        names = {parameter.name for parameter in given}
        return [*positional, *(option for option in _options(self.tool) if option.name not in names), *own]


def _options(tool_name: str) -> list[Option]:
    from formant_mcp.providers.registry import PROVIDERS
    from formant_mcp.server.tools import TOOLS
    from formant_mcp.server.tools.list_conversations import LIST_CONVERSATIONS

    provider = PROVIDERS.get(os.environ.get("FORMANT_PROVIDER", "").strip().lower(), PROVIDERS["formant"])
    tool = next(tool for tool in TOOLS if tool.name == tool_name)
    explained = LIST_CONVERSATIONS.input_schema(provider)["properties"]
    schemas = tool.input_schema(provider)["properties"]
    examples = tool.examples(provider)
    hidden = provider.unsupported_filters  # they are still options, so that the tool can say why it refuses them
    completed = {name: [word for word in words if word not in hidden] for name, words in _completed().items()}
    return [
        _option(
            name, {**explained.get(name, {}), **schema}, examples, completed.get(name, ()), is_hidden=name in hidden
        )
        for name, schema in schemas.items()
    ]


def _completed() -> Mapping[str, Sequence[str]]:
    """The words that an argument takes beside others."""
    from formant_mcp.filters import GROUPINGS, ORDERS
    from formant_mcp.queries.time_buckets import TIMES, WEEKDAYS
    from formant_mcp.server.tools.schemas import ConversationFields

    return {
        "weekdays": WEEKDAYS,
        "group_by": (*GROUPINGS, *TIMES),
        "order_by": tuple(ORDERS),
        "fields": tuple(ConversationFields.model_fields),
    }


def _option(
    name: str, schema: dict[str, Any], examples: Mapping[str, str], completed: Sequence[str], *, is_hidden: bool
) -> Option:
    is_list, is_flag = schema["type"] == "array", schema["type"] == "boolean"
    words = cast(list[str], schema.get("enum") or schema.get("items", {}).get("enum") or [])
    attributes: dict[str, Any] = (
        {"is_flag": True} if is_flag else {"type": Value(words, completed), "multiple": is_list}
    )
    text = in_shell(schema.get("description", ""), is_description=True) + _default_of(schema)
    needed = _NEEDS.get(name)
    return Option(
        [option_name(name), name],
        help=f"{text} Repeat it, or use commas." if is_list else text,
        example="" if is_flag else examples[name],
        hidden=is_hidden,
        beside=[option_name(needed), examples[needed]] if needed else (),
        **attributes,
    )


def _default_of(schema: dict[str, Any]) -> str:
    """The default, where it says something: not where it is to have no filter."""
    default = schema.get("default")
    return "" if default in (None, "", [], False, -1) else f" Default: {default}."


def typed(options: dict[str, object]) -> dict[str, object]:
    """The arguments that were given, as the tool takes them: of an option given several times, a list."""
    given: dict[str, object] = {}
    for name, value in options.items():
        if isinstance(value, tuple):
            values = cast(tuple[str, ...], value)
            value = values[0] if len(values) == 1 else list(values)
        if value not in (None, [], False):
            given[name] = value
    return given
