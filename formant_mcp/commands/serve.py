"""The command `formant-mcp serve`: the server for a team, over HTTP."""

import asyncio
import sys

from formant_mcp.app import LazyApp, open_members
from formant_mcp.errors import FormantError
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.access import Access, new_verifier
from formant_mcp.server.http import MCP_PATH, check_access, http_server, listen
from formant_mcp.server.instructions import instructions
from formant_mcp.server.mcp_server import build_server
from formant_mcp.settings import Settings


def run_serve(settings: Settings, lazy_app: LazyApp, host: str, port: int, *, is_demo: bool) -> int:
    """Serves until a signal arrives; returns the exit status."""
    try:
        has_members = not is_demo and (bool(settings.http_issuer) or asyncio.run(_has_tokens(settings)))
        check_access(host, has_members=has_members)
        listener = listen(host, port)
    except FormantError as error:
        print(error, file=sys.stderr)
        return 1
    with listener:
        name = f"[{host}]" if ":" in host else host
        print(f"MCP at http://{name}:{listener.getsockname()[1]}{MCP_PATH}", flush=True)
        provider = PROVIDERS[settings.provider]
        server = build_server(lazy_app, instructions(settings, provider), provider)
        access = None
        if has_members:
            address = settings.public_address or f"http://{name}:{listener.getsockname()[1]}{MCP_PATH}"
            access = Access(new_verifier(settings, lazy_app.app), address, settings.http_issuer)
        http = http_server(server, lazy_app, listener, settings.call_seconds, access=access, hosts=settings.hosts)
        asyncio.run(http.serve([listener]))
    return 0


async def _has_tokens(settings: Settings) -> bool:
    """Whether there are tokens, revoked ones too: revoking the last one must not open the server to everybody."""
    if settings.store == ":memory:":
        return False
    async with open_members(settings) as members:
        return bool(await members.all())
