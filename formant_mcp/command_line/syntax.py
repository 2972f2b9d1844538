"""Commands, options and arguments that know an example of themselves, and what a command line is parsed to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import click

_DEMO = "formant_mcp.demo"
_DEMO_HELP = "Use the built-in sample account: no key, no network."


@dataclass(frozen=True, slots=True)
class Call:
    """A command line, parsed: the command (`token add`), its options, and what runs it."""

    command: str
    options: Mapping[str, object]
    is_demo: bool
    run: Callable[[], int]


class Option(click.Option):
    """An option, with an example of its value; `beside`: other words that it needs on the command line."""

    def __init__(self, *names: Any, example: str = "", beside: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.example = example
        self.beside = beside


class Argument(click.Argument):
    """An argument without a name on the command line: what it is in a sentence, with an example.

    `quoted`: what is said of its words where they are not in quotes.
    """

    def __init__(self, *names: Any, what: str, example: str, quoted: str = "", **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.what = what
        self.example = example
        self.quoted = quoted


class Refused(click.UsageError):
    """A word on the command line that no command or option is; `flag`: the option before it, if that takes no value."""

    def __init__(self, word: str, ctx: click.Context, flag: click.Option | None = None) -> None:
        super().__init__("", ctx)
        self.word = word
        self.flag = flag


class Unaccepted(click.BadParameter):
    """A word that is none of an argument's."""

    def __init__(self, word: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        super().__init__("", ctx, param)
        self.word = word


class Choice(click.Choice[str]):
    """One of several words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word, if it is one of them."""
        if value not in self.choices:
            raise Unaccepted(str(value), param, ctx)
        return str(value)


class _Syntax(click.Command):
    """What commands and groups have in common; `demo_help`: what `--demo` does to them."""

    def __init__(self, *args: Any, demo_help: str = _DEMO_HELP, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.demo_help = demo_help

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own options, then `--demo` and `--help`."""
        *own, help_option = super().get_params(ctx)
        return [*own, demo_option(self.demo_help), help_option]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses; every error names the command that it is about, and a word as it was typed."""
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:  # of a word with one dash click names the first letter alone
            letter = error.option_name
            word = next((word for word in typed if word.startswith(letter) and not word.startswith("--")), letter)
            raise Refused(word, error.ctx or ctx) from None
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise


class Command(_Syntax):
    """A command; its callback returns what runs it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses words that are left."""
        ctx.allow_extra_args = True
        typed = list(args)
        left = super().parse_args(ctx, args)
        if left and not ctx.resilient_parsing:
            before = {word for word, after in pairwise(typed) if after == left[0]}
            flags = (option for name, option in options_of(ctx).items() if name in before and option.is_flag)
            raise Refused(left[0], ctx, next(flags, None))
        return left

    def invoke(self, ctx: click.Context) -> Call:
        """The command line, parsed."""
        return Call(command_of(ctx), dict(ctx.params), is_demo(ctx), super().invoke(ctx))


class Group(_Syntax, click.Group):
    """A command with commands or actions of its own, listed in the order of their definition."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those first that a newcomer needs first."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuses what is no command."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise Refused(args[0], ctx)
        return super().resolve_command(ctx, args)


def demo_option(text: str) -> Option:
    """`--demo`, which may be before or after the command."""

    def use_demo(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.meta[_DEMO] = True

    return Option(["--demo"], is_flag=True, expose_value=False, callback=use_demo, help=text)


def is_demo(ctx: click.Context) -> bool:
    """Whether `--demo` is anywhere on the command line."""
    return ctx.meta.get(_DEMO, False)


def command_of(ctx: click.Context) -> str:
    """The command without the program's name: "", "export", "token add"."""
    return "" if ctx.parent is None else f"{command_of(ctx.parent)} {ctx.info_name}".strip()


def options_of(ctx: click.Context) -> dict[str, click.Option]:
    """The options of its command, by each of their names."""
    options = (parameter for parameter in ctx.command.get_params(ctx) if isinstance(parameter, click.Option))
    return {name: option for option in options for name in option.opts}


def long_name(option: click.Option) -> str:
    """`--since`, whatever shorter name it has."""
    return max(option.opts, key=len)


def example_of(option: click.Option) -> list[str]:
    """The option with an example of its value, if it takes one, and with what it needs beside it."""
    value, beside = (option.example, option.beside) if isinstance(option, Option) else ("", ())
    return [long_name(option), *([value] if value else []), *beside]
