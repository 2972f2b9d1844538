"""The command `formant-mcp`. Imports are deferred until needed, so that `--help` and the server start fast."""

import argparse
import gc
import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from formant_mcp import __version__

if TYPE_CHECKING:
    from formant_mcp.app import App
    from formant_mcp.providers.base import AnyProvider
    from formant_mcp.server.mcp_server import FormantServer
    from formant_mcp.settings import Settings

_DESCRIPTION = "MCP server over a company's voice calls. Settings come from FORMANT_* variables."
_FILTERS = {
    "agent_id": "123",
    "status": "failed",
    "call_successful": "failure",
    "since": "30d",
    "until": "yesterday",
    "min_duration_seconds": "30",
    "max_duration_seconds": "600",
    "contact_number": "+919876543210",
    "failure_reason": "busy",
    "user_id": "anna",
    "hours": "9-18",
    "weekdays": "monday,tuesday",
    "direction": "outbound",
    "results": "intent=dispute",
}
_VALUES = {f"--{name.replace('_', '-')}": value for name, value in _FILTERS.items()} | {
    "--format": "jsonl",
    "--include": "results,signals",
    "--output": "calls.csv",
    "--host": "127.0.0.1",
    "--port": "8765",
    "--agents": "123,456",
    "--expires": "90d",
    "--redact": "numbers",
    "--store": "NAME",
    "ACTION": "add anna",
    "NAME": "anna",
}
"""A value of each option and argument, for the examples in messages."""
_NEEDED = {"ACTION": "an action", "NAME": "a name"}

_CLIENTS = ("claude-desktop", "claude-code", "cursor", "vscode")
_LAST_PORT = 65_535
_SERVE_HINT = (
    "Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE); `formant-mcp serve --demo` serves the sample account without one."
)
_INTERRUPTED = 130  # the exit status of a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options, unknown = build_parser().parse_known_args(arguments)
    if unknown:
        options.parser.refuse(unknown[0], options.parsers)
    try:
        return _run(options)
    except BrokenPipeError:  # the reader of the output has closed it; Python would complain again while flushing
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return _INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name what its command accepts, with an example of that command."""

    @property
    def command(self) -> str:
        """The command without the program's name: "", "export", "token add"."""
        return self.prog.partition(" ")[2]

    @property
    def options(self) -> list[str]:
        """The long names of its options, `--help` last."""
        names = [action.option_strings[-1] for action in self._actions if action.option_strings]
        return sorted(names, key="--help".__eq__)

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong with the command line, and exits."""
        if unknown := re.search("invalid choice: '([^']*)'", message):
            self._refuse(f"unknown {'action' if self.command else 'command or option'} {unknown[1]}", unknown[1])
        lacking = re.match(r"argument (?:-\w/)?(--\S+): (?:expected|invalid)|the following .+ required: (\w+)", message)
        if not lacking:
            self.exit(2, f"formant-mcp: {message}.\n")
        name = lacking[1] or lacking[2]
        value = f"a number from 0 to {_LAST_PORT}" if name == "--port" else "a value"
        needs = f"{self.command} needs {_NEEDED[name]}" if name in _NEEDED else f"{name} needs {value}"
        self.exit(2, f"formant-mcp: {needs}, for example {self.example(name)}.\n")

    def refuse(self, argument: str, parsers: "Sequence[_Parser]") -> NoReturn:
        """Prints that its command does not take the argument, and exits. `parsers`: of all commands."""
        name = argument.partition("=")[0]
        owner = next((parser for parser in parsers if name in _VALUES and name in parser.options), None)
        if owner:
            belongs = f"an option of {owner.command}, for example {owner.example(name)}"
            self.exit(2, f"formant-mcp: {name} is {belongs}, not of {self.command or 'the server'}.\n")
        kind = "unexpected" if not name.startswith("-") else "unknown option"
        self._refuse(f"{kind if self.command else 'unknown command or option'} {name}", name)

    def _refuse(self, what: str, name: str) -> NoReturn:
        import difflib

        choices = [str(choice) for action in self._actions for choice in action.choices or ()]
        near = difflib.get_close_matches(name, (*choices, *self.options), n=1, cutoff=0.75)
        meant = f" Did you mean {near[0]}?" if near else ""
        of_command = f" of {self.command}" if self.command else ""
        accepted = f"Options{of_command} are {_listed(self.options)}"
        if choices:
            kind = "Actions" if self.command else "Commands"
            accepted = f"{kind}{of_command} are {_listed(choices)}, options {_listed(self.options)}"
        example = f"; for example {self.example()}" if choices or _VALUES.keys() & self.options else ""
        self.exit(2, f"formant-mcp: {what}.{meant} {accepted}{example}.\n")

    def example(self, option: str = "") -> str:
        """The command with this option, else with its first one that has a value."""
        if not self.command:
            return "`formant-mcp sync --since 30d`"
        words = [_VALUES[action.metavar] for action in self._actions if action.metavar in ("ACTION", "NAME")]
        option = option or next((name for name in self.options if name in _VALUES), "")
        words += [option, _VALUES[option]] if option.startswith("--") else []
        return f"`{' '.join([self.prog, *words])}`"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def build_parser() -> _Parser:
    """The command line: options, and one entry per subcommand."""
    parser = _Parser(prog="formant-mcp", description=_DESCRIPTION)
    parser.add_argument("--demo", action="store_true", help="serve a built-in sample account: no key, no network")
    parser.add_argument("--version", action="version", version=f"formant-mcp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="")
    tour = commands.add_parser("tour", help="run a guided demo against the sample account")
    sync = commands.add_parser("sync", help="download all conversations; resumable")
    sync.add_argument("--since", default="", metavar="WHEN", help="only calls since then: 30d, 2026-11-01")
    export = commands.add_parser("export", help="write all calls that match to a file or to stdout")
    _add_export_options(export)
    serve = commands.add_parser("serve", help="serve a team over HTTP")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on: 127.0.0.1")
    serve.add_argument("--port", default=8765, type=_port, help="the port to listen on: 8765; 0 for any")
    token = commands.add_parser("token", help="who may use the server over HTTP: add, list, revoke")
    doctor = commands.add_parser("doctor", help="check key, connection, clock, store, folders and settings")
    purge = commands.add_parser("purge", help="delete everything stored for the account; asks first")
    purge.add_argument("--all", action="store_true", help="delete all other accounts' stores instead")
    purge.add_argument("--store", metavar="NAME", help="delete this store instead, by its name in doctor's list")
    purge.add_argument("--yes", action="store_true", help="do not ask")
    connect = commands.add_parser("connect", help="add this server to an assistant's configuration, or take it out")
    connect.add_argument("client", metavar="CLIENT", choices=_CLIENTS, help=", ".join(_CLIENTS))
    connect.add_argument("--print", action="store_true", help="print what to add instead")
    connect.add_argument("--remove", action="store_true", help="take it out again")
    connect.add_argument("--yes", action="store_true", help="do not ask")
    parsers = (tour, sync, export, serve, token, doctor, purge, connect, *_add_actions(token))
    for command in parsers:
        command.add_argument("--demo", action="store_true", default=argparse.SUPPRESS, help="use the sample account")
        command.set_defaults(parser=command)
    parser.set_defaults(parser=parser, parsers=parsers)
    return parser


def _add_export_options(export: argparse.ArgumentParser) -> None:
    export.add_argument("--format", default="csv", metavar="FORMAT", help="csv (for spreadsheets) or jsonl")
    export.add_argument("--include", default="", metavar="WHAT", help="of results, signals, transcript, with commas")
    export.add_argument("-o", "--output", default="", metavar="FILE", help="default: stdout")
    for name in _FILTERS:
        export.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help="filter, as in the tools")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _LAST_PORT:
        raise ValueError("no such port")
    return port


def _add_actions(token: _Parser) -> Sequence[_Parser]:
    actions = token.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a member's token, which is shown once")
    add.add_argument("--agents", metavar="IDS", help="the only agents they may see, with commas; default: all")
    add.add_argument("--expires", metavar="WHEN", help="90d, 12h or a date; default: valid until revoked")
    add.add_argument("--redact", metavar="KINDS", help="hidden from them, with commas: numbers, emails, ids")
    listing = actions.add_parser("list", help="show all members and the state of their tokens")
    revoke = actions.add_parser("revoke", help="refuse a member's token from now on")
    for action in (add, revoke):
        action.add_argument("name", metavar="NAME")
    return add, listing, revoke


def _run(options: argparse.Namespace) -> int:
    gc.disable()  # imports create no garbage; saves about 0.1 s at start
    if options.command is None:
        return _serve(is_demo=options.demo)
    settings, problem = _prepare()
    if options.command == "serve":
        return _serve_http(settings, problem, options)
    command = _command(options)
    gc.freeze()  # else each full collection walks all modules
    gc.enable()
    return command()


def _command(options: argparse.Namespace) -> Callable[[], int]:
    """The subcommand, imported."""
    if options.command == "tour":
        from formant_mcp.commands.tour import run_tour

        return run_tour
    if options.command == "token":
        if options.demo:
            return _refuse_token
        from formant_mcp.commands.token import TokenOptions, run_token

        given = {name: value for name, value in vars(options).items() if name in TokenOptions.__annotations__}
        return partial(run_token, TokenOptions(**given))
    if options.command == "export":
        from formant_mcp.commands.export import run_export

        given = {name: getattr(options, name) for name in (*_FILTERS, "format", "include")}
        return partial(run_export, _opening(is_demo=options.demo), given, options.output)
    if options.command == "purge":
        from formant_mcp.commands.purge import PurgeOptions, purge_demo, run_purge

        if options.demo:
            return purge_demo
        given = {name: getattr(options, name) for name in PurgeOptions.__annotations__}
        return partial(run_purge, PurgeOptions(**given))
    if options.command == "connect":
        from formant_mcp.commands.connect import ConnectOptions, run_connect

        return partial(run_connect, ConnectOptions(**{n: getattr(options, n) for n in ConnectOptions.__annotations__}))
    if options.command == "doctor":
        from formant_mcp.commands.doctor import run_doctor

        return partial(run_doctor, _sample if options.demo else None)
    from formant_mcp.commands.sync import run_sync

    return partial(run_sync, _opening(is_demo=options.demo), options.since)


def _sample(settings: "Settings") -> "AnyProvider":
    from formant_mcp.app import utc_now
    from formant_mcp.demo.account import open_demo

    return open_demo(settings.provider, utc_now)


def _refuse_token() -> int:
    print("The sample account has no tokens, because it is kept nowhere. Leave --demo out.", file=sys.stderr)
    return 1


def _prepare() -> "tuple[Settings | None, str]":
    """The settings, or why they cannot be used; warns about unknown variables and starts the log on stderr."""
    from formant_mcp.errors import ConfigurationError
    from formant_mcp.settings import Settings, unknown_variables

    settings, problem = None, ""
    _forbid_core_files()
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        problem = str(error)
    _log_to_stderr(settings)
    for warning in unknown_variables(os.environ):
        _warn(warning)
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        from formant_mcp.traces import start_traces

        if not start_traces():
            _warn("OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing here sends spans: install formant-mcp[traces].")
    return settings, problem


def _warn(text: str, level: str = "WARNING") -> None:
    """Prints a line to stderr, in the format of the log."""
    from formant_mcp.settings import wants_json_log

    if wants_json_log(os.environ):
        from formant_mcp.log import json_line

        text = json_line(level, text)
    print(text, file=sys.stderr)


def _serve(*, is_demo: bool) -> int:
    from formant_mcp.server.stdio import serve

    server, call_seconds = new_stdio_server(is_demo=is_demo)
    gc.freeze()
    gc.enable()
    serve(server, call_seconds)
    return 0


def new_stdio_server(*, is_demo: bool) -> "tuple[FormantServer, float]":
    """The server that `formant-mcp` runs on stdin and stdout in this environment, and the seconds of a call."""
    from formant_mcp.app import LazyApp
    from formant_mcp.providers.registry import PROVIDERS
    from formant_mcp.server.instructions import instructions
    from formant_mcp.server.mcp_server import build_server

    settings, problem = _prepare()
    problem = problem or _key_problem(settings, is_demo=is_demo)
    if problem:
        # Hosts show a server that does not start as "failed" without a reason; so it starts, and every tool reports it.
        _warn(problem)
    provider = PROVIDERS[settings.provider if settings else "formant"]
    call_seconds = settings.call_seconds if settings else 0.0  # without settings a call only reports the problem
    lazy_app = LazyApp(_opening(is_demo=is_demo))
    return build_server(lazy_app, instructions(settings, provider), provider), call_seconds


def _serve_http(settings: "Settings | None", problem: str, options: argparse.Namespace) -> int:
    problem = problem or _key_problem(settings, _SERVE_HINT, is_demo=options.demo)
    if settings is None or problem:
        _warn(problem, "ERROR")
        return 1
    from formant_mcp.app import LazyApp
    from formant_mcp.commands.serve import run_serve
    from formant_mcp.errors import FormantError

    gc.enable()
    lazy_app = LazyApp(_opening(is_demo=options.demo))
    try:
        run_serve(settings, lazy_app, options.host, options.port, is_demo=options.demo)
    except FormantError as error:
        _warn(str(error), "ERROR")
        return 1
    return 0


def _key_problem(settings: "Settings | None", hint: str = "", *, is_demo: bool) -> str:
    """Why there is no key to use, '' if there is one or none is needed."""
    from formant_mcp.errors import ConfigurationError

    try:
        if settings and not is_demo:
            settings.key(hint)
    except ConfigurationError as error:
        return str(error)
    return ""


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


def _log_to_stderr(settings: "Settings | None") -> None:
    from formant_mcp.log import start_log
    from formant_mcp.settings import wants_json_log

    start_log(settings.log_level if settings else "WARNING", is_json=wants_json_log(os.environ))


def _forbid_core_files() -> None:
    """A crash must not write the key, and what callers said, to a file."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
