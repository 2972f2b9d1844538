"""The command `formant-mcp`. Imports are deferred until needed, so that `--help` and the server start fast."""

import argparse
import gc
import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from formant_mcp import __version__

if TYPE_CHECKING:
    from formant_mcp.app import App
    from formant_mcp.settings import Settings

_DESCRIPTION = "MCP server on stdin and stdout over a company's voice calls. Settings come from FORMANT_* variables."
_COMMANDS = ("tour", "sync", "token")
_ACTIONS = ("add", "list", "revoke")  # of token
_OPTIONS = ("--demo", "--since", "--agents", "--expires", "--version", "--help")
_ADDING = "`formant-mcp token add anna --agents 123,456 --expires 90d`"
_EXAMPLES = {"--since": "`formant-mcp sync --since 30d`"} | dict.fromkeys(
    ("--agents", "--expires", "--redact", "ACTION", "NAME"), _ADDING
)
_INTERRUPTED = 130  # the exit status of a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = build_parser().parse_args(arguments)
    try:
        return _run(options)
    except BrokenPipeError:  # the reader of the output has closed it; Python would complain again while flushing
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return _INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name what is accepted."""

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong with the command line, and exits."""
        import difflib

        unknown = re.search(r"(?:invalid choice: '|unrecognized arguments: )([^' ]{1,40})", message)
        if not unknown:
            option = next(option for option in _EXAMPLES if option in message)
            self.exit(2, f"formant-mcp: {option} needs a value, for example {_EXAMPLES[option]}.\n")
        near = difflib.get_close_matches(unknown[1], (*_COMMANDS, *_ACTIONS, *_OPTIONS), n=1, cutoff=0.7)
        meant = f" Did you mean {near[0]}?" if near else ""
        commands = f"{', '.join(_COMMANDS[:-1])} and {_COMMANDS[-1]}"
        accepted = f"Commands are {commands}, options {', '.join(_OPTIONS)}; for example {_EXAMPLES['--since']}."
        self.exit(2, f"formant-mcp: unknown command or option {unknown[1]}.{meant} {accepted}\n")


def build_parser() -> argparse.ArgumentParser:
    """The command line: options, and one entry per subcommand."""
    parser = _Parser(prog="formant-mcp", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"formant-mcp {__version__}")
    parser.add_argument("--demo", action="store_true", help="serve a built-in sample account: no key, no network")
    commands = parser.add_subparsers(dest="command", metavar="")
    commands.add_parser("tour", help="run a guided demo against the sample account")
    sync = commands.add_parser("sync", help="download all conversations; resumable")
    sync.add_argument("--since", default="", metavar="WHEN", help="only calls since then: 30d, 2026-11-01")
    _add_token_command(commands.add_parser("token", help="who may use the server over HTTP: add, list, revoke"))
    return parser


def _add_token_command(token: argparse.ArgumentParser) -> None:
    actions = token.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a member's token, which is shown once")
    add.add_argument("--agents", metavar="IDS", help="the only agents they may see, with commas; default: all")
    add.add_argument("--expires", metavar="WHEN", help="90d, 12h or a date; default: valid until revoked")
    add.add_argument("--redact", metavar="KINDS", help="not available yet")
    revoke = actions.add_parser("revoke", help="refuse a member's token from now on")
    for action in (add, revoke):
        action.add_argument("name", metavar="NAME")
    actions.add_parser("list", help="show all members and the state of their tokens")


def _run(options: argparse.Namespace) -> int:
    gc.disable()  # imports create no garbage; saves about 0.1 s at start
    settings, problem = _prepare()
    if options.command is None:
        return _serve(settings, problem, is_demo=options.demo)
    gc.enable()
    if options.command == "tour":
        from formant_mcp.commands.tour import run_tour

        return run_tour()
    if options.command == "token":
        return _run_token(options)
    from formant_mcp.commands.sync import run_sync

    return run_sync(_opening(is_demo=options.demo), options.since)


def _run_token(options: argparse.Namespace) -> int:
    from formant_mcp.commands.token import TokenOptions, run_token

    if options.demo:
        print("The sample account has no tokens, because it is kept nowhere. Leave --demo out.", file=sys.stderr)
        return 1
    given = {name: value for name, value in vars(options).items() if name not in ("command", "demo")}
    return run_token(TokenOptions(**given))


def _prepare() -> "tuple[Settings | None, str]":
    """The settings, or why they cannot be used; warns about unknown variables and starts the log on stderr."""
    from formant_mcp.errors import ConfigurationError
    from formant_mcp.settings import Settings, unknown_variables

    for warning in unknown_variables(os.environ):
        print(warning, file=sys.stderr)
    settings, problem = None, ""
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        problem = str(error)
    _log_to_stderr(settings.log_level if settings else "WARNING")
    return settings, problem


def _serve(settings: "Settings | None", problem: str, *, is_demo: bool) -> int:
    from formant_mcp.errors import ConfigurationError
    from formant_mcp.providers.registry import PROVIDERS
    from formant_mcp.server.instructions import instructions
    from formant_mcp.server.mcp_server import build_server
    from formant_mcp.server.stdio import serve

    gc.freeze()
    gc.enable()
    if settings and not is_demo:
        try:
            settings.key()
        except ConfigurationError as error:
            problem = str(error)
    if problem:
        # Hosts show a server that does not start as "failed" without a reason; so it starts, and every tool reports it.
        print(problem, file=sys.stderr)
    provider = PROVIDERS[settings.provider if settings else "formant"]
    call_seconds = settings.call_seconds if settings else 0.0  # without settings a call only reports the problem
    serve(build_server(_opening(is_demo=is_demo), instructions(settings, provider), provider), call_seconds)
    return 0


def _opening(*, is_demo: bool) -> "Callable[[], Awaitable[App]]":
    async def open_() -> "App":
        from formant_mcp.app import open_account, open_app, utc_now
        from formant_mcp.settings import Settings

        settings = Settings.load()
        if is_demo:
            from formant_mcp.demo.account import DEMO_KEY, open_demo

            settings = settings.for_demo()
            return await open_app(settings, open_demo(settings.provider, utc_now), DEMO_KEY)
        key = settings.key()
        provider = settings.open_provider(key)
        try:
            return await open_account(settings, provider, key)
        except BaseException:
            await provider.aclose()
            raise

    return open_


def _log_to_stderr(level: str) -> None:
    import logging

    logging.basicConfig(level=level, stream=sys.stderr, format="formant-mcp %(levelname)s %(name)s: %(message)s")
    # These would log addresses and what clients sent.
    for name in ("httpx", "httpcore", "mcp", "psycopg"):
        logging.getLogger(name).setLevel(logging.ERROR)
