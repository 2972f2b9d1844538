"""`formant-mcp doctor`: a line for each thing that must be right, and what to do where one is not."""

import asyncio
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

from mcp import Client
from mcp_types import Tool

from formant_mcp import __version__
from formant_mcp.app import App, LazyApp
from formant_mcp.commands.checks import (
    Check,
    of_folder,
    of_settings,
    of_stores,
    of_zone,
    others_may,
    without_key,
    wrong,
)
from formant_mcp.errors import ConfigurationError
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.probe import Probe, probe
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.instructions import instructions
from formant_mcp.server.mcp_server import build_server
from formant_mcp.settings import Settings

_MOST_AHEAD = timedelta(minutes=1)
_MOST_AGENTS = 5
_CLOCK_HINT = (
    "Set this machine's clock, best by NTP: else `today` and `7d` mean other times than you think, running calls are"
    " taken for old ones, and logins and tokens end too early or too late."
)
_KEY_HINT = (
    "Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE) in this shell: a key given to `formant-mcp connect` is only in the"
    " assistant's configuration. `formant-mcp --demo doctor` checks the sample account, which needs no key."
)


def run_doctor(demo: Callable[[Settings], AnyProvider] | None) -> int:
    """Prints all checks; returns the exit status: 1 if anything is wrong. `demo`: opens the sample account instead."""
    is_right = True
    for check in _checks(demo):
        is_right &= check.is_right
        print(
            f"{'ok   ' if check.is_right else 'WRONG'} {check.name:<12} {check.text} {check.hint}".rstrip(), flush=True
        )
    if not is_right:
        print("Something is wrong: see the lines above.", file=sys.stderr)
    return 0 if is_right else 1


def _checks(demo: Callable[[Settings], AnyProvider] | None) -> Iterator[Check]:
    yield Check("version", f"formant-mcp {__version__}, Python {platform.python_version()}, {platform.system()}")
    yield from of_settings([name for name, value in os.environ.items() if value])
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        yield wrong("settings", error.message, error.hint or "Then run this again: the rest could not be checked.")
        return
    key = ""
    if demo:
        settings = settings.for_demo()
        shown = asyncio.run(probe(partial(demo, settings), settings.address, lambda: datetime.now(UTC)))
        yield Check("sample", f"the sample account answers without key and network; {_agents_text(shown.agents)}")
    else:
        key, check = _of_key(settings)
        yield check
        if key:
            yield from _of_provider(settings, key)
    for check in _of_machine(settings, key):
        yield Check(check.name, without_key(check.text, key), without_key(check.hint, key), check.is_right)


def _of_machine(settings: Settings, key: str) -> Iterator[Check]:
    yield from of_stores(settings, key)
    yield of_folder("recordings", settings.recordings_path(), "FORMANT_RECORDINGS_DIR")
    yield of_folder("exports", settings.exports_path(), "FORMANT_EXPORTS_DIR")
    yield of_zone(settings, datetime.now(UTC))
    hidden = settings.redact or "nothing is hidden from the assistant (FORMANT_REDACT is not set)"
    yield Check("redaction", f"{hidden}")
    days = settings.retention_days
    kept = f"calls that started more than {days} days ago are not kept" if days else "calls are kept until a purge"
    yield Check("retention", f"{kept}{'' if days else ' (FORMANT_RETENTION_DAYS is not set)'}")
    yield Check("tools", asyncio.run(_surface(settings)))


def _of_key(settings: Settings) -> tuple[str, Check]:
    """The key, and whether there is one that can be."""
    try:
        key = settings.key(_KEY_HINT)
    except ConfigurationError as error:
        return "", wrong("key", error.message, error.hint)
    if key[0] in "\"'" or key[-1] in "\"'":
        hint = f"Remove them from {settings.key_variable}: they are part of its value."
        return key, wrong("key", f"The key in {settings.key_variable} has quotation marks.", hint)
    if settings.key_file and (what := others_may(settings.key_file)):
        return key, wrong(
            "key", f"{settings.key_file} may be {what} by others.", f"Run `chmod 600 {settings.key_file}`."
        )
    return key, Check("key", f"from {settings.key_variable}, {len(key)} characters")


def _of_provider(settings: Settings, key: str) -> Iterator[Check]:
    """What one request to the provider shows."""
    try:
        PROVIDERS[settings.provider].check_address(settings.address)
    except ConfigurationError as error:
        yield wrong("address", error.message, error.hint)
        return
    began = monotonic()
    shown = asyncio.run(probe(partial(settings.open_provider, key), settings.address, lambda: datetime.now(UTC)))
    yield from of_probe(shown, settings, monotonic() - began)


def of_probe(shown: Probe, settings: Settings, seconds: float) -> Iterator[Check]:
    """The lines of one request's outcome."""
    if shown.fault == "address":
        yield wrong("address", shown.message, shown.hint)
        return
    through = f" through the proxy {shown.proxy}" if shown.proxy else ""
    yield Check("address", f"{settings.address} answers{through} in {seconds * 1000:.0f} ms")
    match shown.fault:
        case "key":
            yield wrong("provider", shown.message, shown.hint)
        case "service":
            yield wrong("provider", shown.message, shown.hint or "Retry later.")
        case _:
            yield Check("provider", f"{settings.provider} accepts the key; {_agents_text(shown.agents)}")
    if shown.ahead is None:
        yield Check("clock", "not compared: the provider does not send its time")
    elif abs(shown.ahead) > _MOST_AHEAD:
        side = "fast" if shown.ahead > timedelta() else "slow"
        yield wrong("clock", f"{_span(abs(shown.ahead))} {side}, by the provider's.", _CLOCK_HINT)
    else:
        yield Check("clock", "agrees with the provider's")


def _agents_text(agents: Sequence[str]) -> str:
    if not agents:
        return "it has no calls yet, or none with an agent"
    more = f" and {len(agents) - _MOST_AGENTS:,} more" if len(agents) > _MOST_AGENTS else ""
    return f"its newest calls are of agents {', '.join(agents[:_MOST_AGENTS])}{more}"


def _span(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def surface_hash(tools: Sequence[Tool]) -> str:
    """A hash of all that assistants see of the tools, by which a change of it can be noticed."""
    sent = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    return hashlib.sha256(json.dumps(sent, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


async def _surface(settings: Settings) -> str:
    async def never() -> App:
        raise ConfigurationError("Nothing is opened to list tools.")

    provider = PROVIDERS[settings.provider]
    async with Client(build_server(LazyApp(never), instructions(settings, provider), provider)) as client:
        tools = (await client.list_tools()).tools
    return f"{len(tools)}, as served with this provider: sha256 {surface_hash(tools)}"
