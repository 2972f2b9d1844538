"""The members of a team, and their tokens. Only the hash of a token is stored, so it cannot be shown again."""

import asyncio
import hashlib
import hmac
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from formant_mcp.errors import StoreError
from formant_mcp.members import TOKEN_PREFIX, Member
from formant_mcp.store.engine import Connection, OnDatabase, Value, on_writer, one_query
from formant_mcp.store.filter_sql import milliseconds
from formant_mcp.store.rows import moment

_TOKEN_BYTES = 32
_ANSWER_SECONDS = 10.0
_NOTE_USE_EVERY = timedelta(hours=1)
_COLUMNS = ("name", "agents", "redacts", "token_hash", "created_at", "expires_at", "last_used_at", "revoked_at")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM $members"

TokenState = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class StoredMember:
    """A member and what is stored of their token. `last_used_at` is up to an hour old."""

    member: Member
    token_hash: str
    created_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> TokenState:
        """Whether the token is accepted."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now else "active"


class Members(OnDatabase):
    """The members of the team that shares the account. Each has one token."""

    async def add(self, member: Member, expires_at: datetime | None, now: datetime) -> str | None:
        """Adds a member and returns their new token, or None if that name has an active one."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        return token if await self._add(member, _hash(token), expires_at, now) else None

    async def revoke(self, name: str, now: datetime) -> bool:
        """Revokes a member's token; False if there is none that is not revoked yet."""
        changed: list[int] = []  # by each try: a change may have been saved though its connection was lost

        def change(connection: Connection) -> None:
            condition = "name = ? AND revoked_at IS NULL"
            changed.append(len(connection.rows(f"SELECT 1 FROM $members WHERE {condition}", [name])))
            connection.update("members", "revoked_at = ?", condition, [(milliseconds(now), name)])

        await self.database.write(change)
        return any(changed)

    @one_query
    def all(self, connection: Connection) -> list[StoredMember]:
        """Every member, by name."""
        return [_parse(row) for row in connection.rows(f"{_SELECT} ORDER BY name")]

    async def use(self, token: str, now: datetime) -> Member | None:
        """The member with this token; None if it is unknown, revoked or expired."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):  # nothing else limits a request whose sender is not known yet
                stored = await self._find(_hash(token))
        except TimeoutError:
            raise StoreError("The store does not answer.", "Retry in a moment.") from None
        if stored is None or stored.state(now) != "active":
            return None
        if stored.last_used_at is None or now - stored.last_used_at >= _NOTE_USE_EVERY:
            with suppress(StoreError, TimeoutError):  # a full disk must not lock members out
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._note_use(stored.token_hash, now)
        return stored.member

    @on_writer
    def _add(
        self, connection: Connection, member: Member, token_hash: str, expires_at: datetime | None, now: datetime
    ) -> bool:
        """Whether the member has this token now: a try before may have saved it though its connection was lost."""
        lists = (json.dumps(sorted(member.agents)), json.dumps(sorted(member.redacts)))
        row = (member.name, *lists, token_hash, milliseconds(now))
        connection.insert(
            "members",
            _COLUMNS,
            [(*row, expires_at and milliseconds(expires_at), None, None)],
            key=("name",),
            update=f"{', '.join(f'{name} = excluded.{name}' for name in _COLUMNS)}"
            " WHERE (members.revoked_at IS NOT NULL OR members.expires_at <= excluded.created_at)"
            " AND members.token_hash <> excluded.token_hash",
        )
        return bool(connection.rows("SELECT 1 FROM $members WHERE token_hash = ?", [token_hash]))

    @one_query
    def _find(self, connection: Connection, token_hash: str) -> StoredMember | None:
        rows = connection.rows(f"{_SELECT} WHERE token_hash = ?", [token_hash])
        return next(
            (stored for stored in map(_parse, rows) if hmac.compare_digest(stored.token_hash, token_hash)), None
        )

    @on_writer
    def _note_use(self, connection: Connection, token_hash: str, now: datetime) -> None:
        connection.update("members", "last_used_at = ?", "token_hash = ?", [(milliseconds(now), token_hash)])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _parse(row: tuple[Value, ...]) -> StoredMember:
    name, agents, redacts, token_hash, *times = row
    member = Member(str(name), *(frozenset(json.loads(str(names))) for names in (agents, redacts)))
    return StoredMember(member, str(token_hash), *map(moment, times))
