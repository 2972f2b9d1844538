"""The command `formant-mcp serve`: the server for a team, over HTTP."""

import asyncio
import gc

from formant_mcp.app import LazyApp, open_members
from formant_mcp.json_log import json_line
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.access import Access, new_verifier
from formant_mcp.server.http import MCP_PATH, check_access, http_server, listen
from formant_mcp.server.instructions import instructions
from formant_mcp.server.mcp_server import build_server
from formant_mcp.settings import Settings


def run_serve(settings: Settings, lazy_app: LazyApp, host: str, port: int, *, is_demo: bool) -> None:
    """Serves until a signal arrives.

    Raises:
        FormantError: it cannot start.
    """
    has_members = not is_demo and (bool(settings.http_issuer) or asyncio.run(_has_tokens(settings)))
    check_access(host, settings.hosts, has_members=has_members)
    metrics = None
    if settings.http_metrics == "on":
        from formant_mcp.server.metrics import Metrics  # takes 0.1 s

        metrics = Metrics()
    with listen(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listener.getsockname()[1]}{MCP_PATH}"
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


async def _has_tokens(settings: Settings) -> bool:
    """Whether there are tokens, revoked ones too: revoking the last one must not open the server to everybody."""
    if settings.store == ":memory:":
        return False
    async with open_members(settings) as members:
        return bool(await members.all())
