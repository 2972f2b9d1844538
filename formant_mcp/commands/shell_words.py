"""What tools say, in the words of a shell: `--since 7d` for since=7d, `formant-mcp list` for list_conversations.

The names are those of the tools' own arguments. One that is also a word of English or a field of a call is an argument
where a sentence begins with it, where arguments alone are enumerated, before `=`, and after a few words.
"""

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from functools import cache

COMMANDS: Mapping[str, str] = {
    "list_conversations": "list",
    "search_transcripts": "search",
    "summarize_results": "summarize",
    "get_transcripts": "show",
    "export_conversations": "export",
}
"""The tools that are commands."""
_WITHOUT_OPTION = {"query", "conversation_ids"}  # what they take has no name on a command line
_BEFORE_ARGUMENTS = ("Omit", "requires", "than", "earlier", "later", "as in", "before")
_DETERMINERS = ("no", "this")  # a field of a call follows them
_NAME = r"(?:--)?\w+(?:\.[\w<>]+)*"
_ENUMERATION = re.compile(rf"{_NAME}(?:, {_NAME})*,? (?:or|and) {_NAME}|{_NAME}(?:, {_NAME})+")
_END = r"(?![\w=]|[.-]\w)"
_TOOL = re.compile(rf"`?\b({'|'.join(COMMANDS)})\b`?")
_OF_AN_ACCOUNT = re.compile(r"`formant-mcp (?!--|token)")  # the sample account has no tokens


def option_name(argument: str) -> str:
    """The option of a tool's argument: `--min-count`."""
    return f"--{argument.replace('_', '-')}"


def in_shell(text: str, *, is_description: bool = False, is_demo: bool = False) -> str:
    """A note, a hint or an error of a tool with options and commands in place of arguments and tools.

    `is_description`: the text describes an argument, so that a sentence may begin with one of its values. `is_demo`: it
    is about the sample account, so that its commands are, too.
    """
    shown = _words().rendered(text, is_description=is_description)
    return on_sample_account(shown) if is_demo else shown


def on_sample_account(text: str) -> str:
    """A text whose commands are about the sample account, too."""
    return _OF_AN_ACCOUNT.sub("`formant-mcp --demo ", text)


class _Words:
    """The patterns for these arguments, each with whether it is a flag, and these fields of a call."""

    def __init__(self, flags: Mapping[str, bool], fields: Collection[str]) -> None:
        self._flags = flags
        every = _either(flags)
        clear = _either(name for name in flags if "_" in name and name not in fields)
        after = "|".join(f"(?<={word} )" for word in _BEFORE_ARGUMENTS)
        not_after = "".join(f"(?<!\\b{word} )" for word in _DETERMINERS)
        self._given = re.compile(rf"(?<![\w.-])({every})=(\"[^\"]*\"|\[[^\]]*\]|\S+?)(?=[.,;:?)]*(?:\s|$))")
        self._clear = re.compile(rf"(?<![\w.`-]){not_after}({clear}){_END}")
        self._after = re.compile(rf"(?:{after})({every}){_END}")
        self._first = re.compile(rf"(?:^|(?<=[.] )(?<!e\.g\. ))({every}){_END}")

    def rendered(self, text: str, *, is_description: bool) -> str:
        """The text in the words of a shell."""
        text = self._given.sub(
            lambda match: self._option(match[1], match[2]), text.replace("next_cursor", "the cursor")
        )
        if not is_description:
            text = _ENUMERATION.sub(lambda match: self._enumerated(match[0]), text)
        for pattern in (self._clear, self._after, *([] if is_description else [self._first])):
            text = pattern.sub(lambda match: option_name(match[1]), text)
        return _TOOL.sub(lambda match: f"`formant-mcp {COMMANDS[match[1]]}`", text)

    def _option(self, name: str, value: str) -> str:
        if self._flags[name]:
            return option_name(name)
        return f"{option_name(name)} {shlex.quote(value.strip('[]').strip(chr(34)))}"

    def _enumerated(self, text: str) -> str:
        names = re.split(r",? (?:or |and )?", text)
        if not all(name in self._flags or name.startswith("--") for name in names):
            return text
        return re.sub(_NAME, lambda match: option_name(match[0]) if match[0] in self._flags else match[0], text)


def _either(names: Iterable[str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


@cache
def _words() -> _Words:
    from formant_mcp.server.tools import TOOLS
    from formant_mcp.server.tools.schemas import ConversationFields

    arguments = [tool.arguments.model_fields for tool in TOOLS if tool.name in COMMANDS]
    flags = {name: field.annotation is bool for fields in arguments for name, field in fields.items()}
    options = {name: is_flag for name, is_flag in flags.items() if name not in _WITHOUT_OPTION}
    return _Words(options, ConversationFields.model_fields.keys())
