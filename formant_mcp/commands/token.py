"""`formant-mcp token`: who may use the server over HTTP. A token is shown once; only its hash is stored."""

import asyncio
import re
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from formant_mcp.app import find_members, open_members, utc_now
from formant_mcp.commands.failures import report_failure
from formant_mcp.errors import FormantError, InvalidRequestError
from formant_mcp.members import Member
from formant_mcp.queries.dates import parse_until
from formant_mcp.redaction.kinds import parse_kinds
from formant_mcp.settings import Settings, store_text

_LONGEST_NAME = 60
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_COLUMNS = ("name", "agents", "hidden", "created", "expires", "last used", "state")
_ALL_AGENTS = "all agents"  # no id, as it has a blank
_LIKE_ALL = "all"
_NO_KEY_HINT = "Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE) as for the server."


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """The command line as typed; None and '' where nothing was."""

    action: Literal["add", "list", "revoke"]
    name: str = ""
    agents: str | None = None
    expires: str | None = None
    redact: str | None = None


def run_token(options: TokenOptions) -> int:
    """Adds, lists or revokes tokens; returns the exit status."""
    actions = {"add": _add, "list": _list, "revoke": _revoke}
    try:
        settings = Settings.load()
        settings.key(_NO_KEY_HINT)
        asyncio.run(actions[options.action](settings, options))
    except FormantError as error:
        return report_failure(error)
    return 0


async def _add(settings: Settings, options: TokenOptions) -> None:
    now = utc_now()
    member = Member(_parse_name(options.name), _parse_agents(options.agents), _parse_redact(options.redact))
    expires_at = None if options.expires is None else _parse_expiry(options.expires, now, settings.zone)
    async with open_members(settings) as members:
        is_only = not await members.all()
        token = await members.add(member, expires_at, now)
    if token is None:
        revoke = f"formant-mcp token revoke {shlex.quote(member.name)}"
        raise FormantError(f"{member.name} has an active token.", f"Revoke it first: `{revoke}`.")
    agents = f"only agents: {_agents_text(member)}" if member.agents else _ALL_AGENTS
    rights = f"{agents}{_hidden_text(member)}"
    until = f"until {_minute(expires_at, settings.zone)}" if expires_at else "until it is revoked"
    print(token)
    print(
        f"The token of {member.name} ({rights}), valid {until}. It is not shown again.\n"
        "Their assistant sends it in a header: `Authorization: Bearer fmcp_…`.",
        file=sys.stderr,
    )
    if _LIKE_ALL in member.agents:
        print(
            f"--agents limits {member.name} to the agent whose id is {_LIKE_ALL}. For all agents, revoke this token and"
            " leave --agents out.",
            file=sys.stderr,
        )
    if is_only and not settings.http_issuer:
        print(
            "This is the account's only token. A server that was started when there was none has no access control, and"
            " answers everybody on its machine until you restart it.",
            file=sys.stderr,
        )
    await _print_account(settings)


async def _list(settings: Settings, _: TokenOptions) -> None:
    now, zone = utc_now(), settings.zone
    async with open_members(settings) as members:
        everyone = await members.all()
    rows = [
        (
            stored.member.name,
            _agents_text(stored.member),
            ", ".join(sorted(stored.member.redacts)) or "-",
            *(_minute(moment, zone) for moment in (stored.created_at, stored.expires_at, stored.last_used_at)),
            stored.state(now),
        )
        for stored in everyone
    ]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for row in [_COLUMNS, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    await _print_account(settings)


async def _revoke(settings: Settings, options: TokenOptions) -> None:
    name = _parse_name(options.name)
    async with open_members(settings) as members:
        is_revoked = await members.revoke(name, utc_now())
    if not is_revoked:
        raise FormantError(f"{name} has no token to revoke.", "`formant-mcp token list` has the names.")
    print(f"The token of {name} is revoked. Running servers refuse it from now on.", file=sys.stderr)


async def _print_account(settings: Settings) -> None:
    """Prints whose members these are, because a mistyped key has members of its own."""
    where, is_checked = await find_members(settings)
    account = f"{settings.provider} at {settings.address}, with the key in {settings.key_variable}"
    unchecked = "" if is_checked else " No conversations are stored yet: run `formant-mcp sync`, which checks the key."
    print(f"Store: {store_text(where)}. Account: {account}.{unchecked}", file=sys.stderr)


def _parse_name(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise InvalidRequestError(f"NAME must be 1 to {_LONGEST_NAME} printable characters.", "For example: anna.")
    return name


def _parse_agents(text: str | None) -> frozenset[str]:
    """The ids of `--agents`. Empty only if the option is not given, because empty means all agents."""
    if text is None:
        return frozenset()
    agents = [agent.strip() for agent in text.split(",")]
    if not all(re.fullmatch(r"[^\s;]+", agent) and agent.isprintable() for agent in agents):
        raise InvalidRequestError(
            "--agents must be ids with commas, for example 123,456.", "Leave it out for all agents."
        )
    return frozenset(agents)


def _parse_redact(text: str | None) -> frozenset[str]:
    """The kinds of `--redact`. Empty only if the option is not given, because empty hides nothing."""
    if text is None:
        return frozenset()
    try:
        kinds = parse_kinds(text)
    except ValueError as error:
        raise InvalidRequestError(f"--redact {error}.", "For example: numbers,emails.") from None
    if not kinds:
        raise InvalidRequestError("--redact names nothing.", "Leave it out to hide nothing.")
    return kinds


def _parse_expiry(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """`90d` or `12h` from now, or a date, which is included, or a time."""
    span = re.fullmatch(r"(\d{1,5})([hdw])", text.strip(), re.ASCII)
    expires_at = None
    if span:
        expires_at = now + timedelta(**{_UNITS[span[2]]: int(span[1])})
    else:
        with suppress(InvalidRequestError):  # it would suggest dates in the past
            expires_at = parse_until(text, now, zone)
    if expires_at is None or expires_at <= now:
        raise InvalidRequestError(
            "--expires must be hours, days or weeks from now (24h, 90d, 4w), or a date or time in the future:"
            " 2027-12-31, 2027-12-31T18:00."
        )
    return expires_at


def _agents_text(member: Member) -> str:
    return ", ".join(sorted(member.agents)) or _ALL_AGENTS


def _hidden_text(member: Member) -> str:
    return f", hidden: {', '.join(sorted(member.redacts))}" if member.redacts else ""


def _minute(moment: datetime | None, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %z}" if moment else "-"
