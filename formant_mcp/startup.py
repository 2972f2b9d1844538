"""What the server and the commands start with: settings, log, warnings, and how the account is opened.

Imports are deferred until needed, so that the server starts fast.
"""

import gc
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from formant_mcp.app import App
    from formant_mcp.providers.base import AnyProvider
    from formant_mcp.server.mcp_server import FormantServer
    from formant_mcp.settings import Settings

_WAITS = (
    "This waits for an assistant, which starts it itself; end it with Ctrl-C. `formant-mcp{demo} connect` adds it to an"
    " assistant, `formant-mcp --help` lists what else there is."
)


def prepare() -> "tuple[Settings | None, str]":
    """The settings, or why they cannot be used; warns about unknown variables and starts the log on stderr."""
    from formant_mcp.errors import ConfigurationError, with_extra
    from formant_mcp.settings import Settings, unknown_variables

    settings, problem = None, ""
    _forbid_core_files()
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        problem = str(error)
    _log_to_stderr(settings)
    for warning in unknown_variables(os.environ):
        warn(warning)
    if collector := _collector_variable():
        from formant_mcp.traces import start_traces

        if not start_traces():
            warn(f"{collector} is set, but what sends spans is not installed. {with_extra('traces')}")
    return settings, problem


def _collector_variable() -> str:
    """The variable that names where spans are sent; '' if none are to be."""
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if is_off or "otlp" not in exporter:  # such as none
        return ""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return next((name for name in names if os.environ.get(name)), "")


def warn(text: str, level: str = "WARNING") -> None:
    """Prints a line to stderr, in the format of the log."""
    from formant_mcp.settings import wants_json_log

    if wants_json_log(os.environ):
        from formant_mcp.log import json_line

        text = json_line(level, text)
    print(text, file=sys.stderr)


def serve_stdio(*, is_demo: bool) -> int:
    """Serves MCP on stdin and stdout; returns the exit status."""
    from formant_mcp.server.stdio import serve

    server, call_seconds = new_stdio_server(is_demo=is_demo)
    if sys.stdin and sys.stdin.isatty():
        print(_WAITS.format(demo=" --demo" if is_demo else ""), file=sys.stderr)
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

    settings, problem = prepare()
    problem = problem or key_problem(settings, is_demo=is_demo)
    if problem:
        # Hosts show a server that does not start as "failed" without a reason; so it starts, and every tool reports it.
        warn(problem)
    provider = PROVIDERS[settings.provider if settings else "formant"]
    call_seconds = settings.call_seconds if settings else 0.0  # without settings a call only reports the problem
    lazy_app = LazyApp(opening(is_demo=is_demo))
    return build_server(lazy_app, instructions(settings, provider), provider), call_seconds


def key_problem(settings: "Settings | None", hint: str = "", *, is_demo: bool) -> str:
    """Why there is no key to use, '' if there is one or none is needed."""
    from formant_mcp.errors import ConfigurationError

    try:
        if settings and not is_demo:
            settings.key(hint)
    except ConfigurationError as error:
        return str(error)
    return ""


def opening(key_hint: str = "", *, is_demo: bool) -> "Callable[[], Awaitable[App]]":
    """What opens the account of the settings, or the sample account; `key_hint`: what to do if there is no key."""

    async def open_() -> "App":
        from formant_mcp.app import open_account, open_app, utc_now
        from formant_mcp.settings import Settings

        settings = Settings.load()
        if is_demo:
            from formant_mcp.demo.account import DEMO_KEY, open_demo

            settings = settings.for_demo()
            return await open_app(settings, open_demo(settings.provider, utc_now), DEMO_KEY)
        key = settings.key(key_hint)
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


def skip_command_of_httpx() -> None:
    """Keeps httpx from importing its own command, with rich and pygments: a tenth of the start, for nothing.

    It does without where they are not installed; a module that is None in `sys.modules` counts as missing.
    """
    cast(dict[str, object], sys.modules).setdefault("httpx._main", None)


def _forbid_core_files() -> None:
    """A crash must not write the key, and what callers said, to a file."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def open_sample(settings: "Settings") -> "AnyProvider":
    """The sample account as the API of the settings' provider."""
    from formant_mcp.app import utc_now
    from formant_mcp.demo.account import open_demo

    return open_demo(settings.provider, utc_now)
