"""The command `formant-mcp serve`: the server for a team, over HTTP."""

import asyncio
import gc
import sys
from pathlib import Path

from formant_mcp.app import LazyApp, find_members, open_members
from formant_mcp.commands.failures import status_of
from formant_mcp.errors import FormantError, InvalidRequestError
from formant_mcp.log import json_line
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.access import Access, new_verifier
from formant_mcp.server.http import MCP_PATH, check_access, http_server, is_loopback, listen
from formant_mcp.server.instructions import instructions
from formant_mcp.server.mcp_server import build_server
from formant_mcp.settings import Settings, store_text
from formant_mcp.startup import key_problem, opening, warn

_KEY_HINT = (
    "Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE); `formant-mcp serve --demo` serves the sample account without one."
)


def run_serve(host: str, port: int, *, is_demo: bool) -> int:
    """Serves until a signal arrives; returns the exit status: 1, or 2 for a wrong option, if it cannot start."""
    try:
        settings = Settings.load()
        if problem := key_problem(settings, _KEY_HINT, is_demo=is_demo):
            warn(problem, "ERROR")
            return 1
        _serve(settings, LazyApp(opening(is_demo=is_demo)), host, port, is_demo=is_demo)
    except FormantError as error:
        warn(str(error), "ERROR")
        return status_of(error)
    return 0


def _serve(settings: Settings, lazy_app: LazyApp, host: str, port: int, *, is_demo: bool) -> None:
    """The server itself.

    Raises:
        FormantError: it cannot start.
    """
    if is_demo and not is_loopback(host):
        raise InvalidRequestError(f"--demo is served on this machine only, not on {host}.", "Leave --host out.")
    where, has_members = (None, False) if is_demo else asyncio.run(_find_members(settings))
    check_access(host, settings.hosts, has_members=has_members)
    metrics = None
    if settings.http_metrics == "on":
        from formant_mcp.server.metrics import Metrics  # takes 0.1 s

        metrics = Metrics()
    with listen(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listener.getsockname()[1]}{MCP_PATH}"
        if not is_demo:
            _note(settings, f"Store: {store_text(where)}")
        if not settings.hosts and not is_loopback(host):
            names = f"requests that address the server by another name than {host} are refused (421)"
            _note(settings, f"FORMANT_HTTP_HOSTS is not set: {names}.")
        _announce(settings, address)
        provider = PROVIDERS[settings.provider]
        server = build_server(lazy_app, instructions(settings, provider), provider)
        access = None
        if has_members:
            resource_url = settings.public_address or address
            access = Access(new_verifier(settings, lazy_app.app), resource_url, settings.http_issuer)
        seconds, hosts = settings.call_seconds, settings.hosts
        http = http_server(server, lazy_app, listener, seconds, access=access, hosts=hosts, metrics=metrics)
        gc.freeze()  # else each full collection walks all modules: for 80 ms nobody is answered
        asyncio.run(http.serve([listener]))


def _announce(settings: Settings, address: str) -> None:
    text = f"MCP at {address}"
    print(json_line("INFO", text, address=address) if settings.log_format == "json" else text, flush=True)


def _note(settings: Settings, text: str) -> None:
    print(json_line("INFO", text) if settings.log_format == "json" else text, file=sys.stderr)


async def _find_members(settings: Settings) -> tuple[Path | str | None, bool]:
    """Where the store is, and whether the account has members. Revoked tokens count too: revoking the last one must not
    open the server to everybody."""
    if settings.http_issuer or settings.store == ":memory:":
        return settings.store_location(settings.key()), bool(settings.http_issuer)
    async with open_members(settings) as members:
        has_members = bool(await members.all())
    where, _ = await find_members(settings)
    return where, has_members
