"""What is said where a command line cannot be understood: what is accepted instead, with an example."""

import difflib
import shlex
from collections.abc import Iterator, Sequence

import click

from formant_mcp.command_line.syntax import (
    Argument,
    Choice,
    Group,
    Refused,
    Unaccepted,
    command_of,
    example_of,
    long_name,
    options_of,
)
from formant_mcp.commands.shell_words import on_sample_account

_NEAR = 0.75  # from which ratio of common letters on another word is suggested


def refusal(error: click.UsageError, *, is_demo: bool) -> str:
    """One line: what is wrong, what is accepted, an example; on the sample account if `is_demo`."""
    said = _refusal(error)
    return on_sample_account(said) if is_demo else said


def _refusal(error: click.UsageError) -> str:
    ctx = error.ctx
    if ctx is None:  # click sets it wherever it parses
        return error.format_message()
    match error:
        case Refused(word=word, flag=click.Option() as flag):
            return f"{long_name(flag)} takes no value: leave {word} out."
        case Refused(word=word) | click.NoSuchOption(option_name=word):
            return _refused(ctx, word)
        case click.BadParameter(param=Argument() as argument):
            return _argument(ctx, argument, error)
        case click.BadParameter(param=click.Option() as option):
            return _needs(ctx, option)
        case click.BadOptionUsage(option_name=name):
            option = options_of(ctx)[name]
            return f"{long_name(option)} takes no value." if option.is_flag else _needs(ctx, option)
        case _:
            return f"{command_of(ctx)} needs an action, for example {_example(ctx)}."


def _example(ctx: click.Context, option: click.Option | None = None) -> str:
    """The command with this option, else with its first one that has a value."""
    if not command_of(ctx):
        return "`formant-mcp sync --since 30d`"
    if isinstance(ctx.command, Group):
        name, command = next(iter(ctx.command.commands.items()))
        ctx = click.Context(command, info_name=name, parent=ctx)
    words = [parameter.example for parameter in ctx.command.get_params(ctx) if isinstance(parameter, Argument)]
    if option is None and not words:
        option = next((item for item in options_of(ctx).values() if len(example_of(item)) > 1), None)
    words += example_of(option) if option else []
    return f"`{' '.join(['formant-mcp', command_of(ctx), *map(shlex.quote, words)])}`"


def _refused(ctx: click.Context, word: str) -> str:
    """A word that is no command, action or option here."""
    name, command = word.partition("=")[0], command_of(ctx)
    if owner := next((other for other in _commands(ctx.find_root()) if name in options_of(other)), None):
        option = options_of(owner)[name]
        belongs = f"an option of {command_of(owner)}, for example {_example(owner, option)}"
        return f"{name} is {belongs}, not of {command or 'the server'}."
    choices = list(ctx.command.commands) if isinstance(ctx.command, Group) else []
    options = list(dict.fromkeys(long_name(option) for option in options_of(ctx).values() if not option.hidden))
    meant = _meant(name, [*choices, *options])
    quoted = next((item.quoted for item in ctx.command.params if isinstance(item, Argument) and item.quoted), "")
    if quoted and not name.startswith("--") and not meant:
        return f"unexpected {word}. {quoted}, for example {_example(ctx)}."
    kind = "unknown option" if name.startswith("-") else "unknown action" if choices else "unexpected"
    what = f"{kind} {name}" if command else f"unknown command or option {name}"
    of_command = f" of {command}" if command else ""
    accepted = f"Options{of_command} are {_listed(options)}"
    if choices:
        kind = "Actions" if command else "Commands"
        accepted = f"{kind}{of_command} are {_listed(choices)}, options {_listed(options)}"
    return f"{what}.{meant} {accepted}; for example {_example(ctx)}."


def _argument(ctx: click.Context, argument: Argument, error: click.BadParameter) -> str:
    """An argument that is missing, or none of those that exist."""
    choices = list(argument.type.choices) if isinstance(argument.type, Choice) else []
    accepted = f" ({_listed(choices, 'or')})" if choices else ""
    needs = f"{command_of(ctx)} needs {argument.what}{accepted}, for example {_example(ctx)}."
    if not isinstance(error, Unaccepted):
        return needs
    return f"unknown {argument.what.split()[-1]} {error.word}.{_meant(error.word, choices)} {needs}"


def _needs(ctx: click.Context, option: click.Option) -> str:
    """An option that has no value, or one that it does not accept."""
    value = "a value"
    if isinstance(option.type, click.IntRange):
        value = f"a number from {option.type.min} to {option.type.max}"
    return f"{long_name(option)} needs {value}, for example {_example(ctx, option)}."


def _commands(ctx: click.Context) -> Iterator[click.Context]:
    """Every command below this one, in its own context."""
    if isinstance(ctx.command, Group):
        for name, command in ctx.command.commands.items():
            below = click.Context(command, info_name=name, parent=ctx)
            yield below
            yield from _commands(below)


def _meant(name: str, choices: Sequence[str]) -> str:
    if name.startswith("-") and not name.startswith("--"):
        name = f"-{name}"  # options have two
    near = difflib.get_close_matches(name, choices, n=1, cutoff=_NEAR)
    return f" Did you mean {near[0]}?" if near else ""


def _listed(names: Sequence[str], last: str = "and") -> str:
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else names[0]
