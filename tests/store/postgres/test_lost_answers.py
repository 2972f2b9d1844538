"""Connections that are lost after a change was saved, before its answer: the change is said as it was made."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path

import pytest

from formant_mcp.members import Member
from tests.postgres_server import PostgresServer
from tests.store.oracle import NOW
from tests.store.postgres.recount import counts_are_right
from tests.store.postgres.stores import everything, open_at

pytestmark = pytest.mark.anyio

SOCKET = ".s.PGSQL.5432"
ANNA = Member("anna", frozenset({"7"}))


class Losing:
    """Passes everything on to the server, but loses the connection instead of an answer to COMMIT, where it shall.

    `next`: whether it loses the next answers, one for each COMMIT.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.next: Iterator[bool] = iter(())
        self.lost = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with await asyncio.start_unix_server(self._serve, self.folder / SOCKET):
            yield

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self.server / SOCKET)
        answers = asyncio.create_task(self._answer(server, to_client))
        while sent := await client.read(100_000):
            is_lost = b"COMMIT\0" in sent and next(self.next, False)
            if is_lost:
                answers.cancel()
                await asyncio.wait([answers])
            to_server.write(sent)
            if is_lost:
                self.lost += 1
                await server.read(1)  # the answer, which nobody gets
                break
        answers.cancel()
        for writer in (to_server, to_client):
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while answer := await server.read(100_000):
            to_client.write(answer)


@pytest.fixture
async def losing(server: PostgresServer, tmp_path: Path) -> AsyncGenerator[Losing]:
    losing = Losing(server.data.parent, tmp_path)
    async with losing.running():
        yield losing


@pytest.fixture
def address(database: str, tmp_path: Path, losing: Losing) -> str:
    return f"{database.partition('?')[0]}?host={tmp_path}"


async def test_a_member_whose_addition_was_saved_gets_the_token(address: str, losing: Losing) -> None:
    store = await open_at(address)
    losing.next = iter([True])
    token = await store.members.add(ANNA, None, NOW)
    assert losing.lost == 1
    assert token
    assert await store.members.use(token, NOW) == ANNA
    losing.next = iter([True])
    assert await store.members.add(Member("anna"), None, NOW) is None
    assert losing.lost == 2
    await store.close()


async def test_a_revocation_that_was_saved_is_said(address: str, losing: Losing) -> None:
    store = await open_at(address)
    await store.members.add(ANNA, None, NOW)
    losing.next = iter([True])
    assert await store.members.revoke("anna", NOW)
    assert losing.lost == 1
    losing.next = iter([True])
    assert not await store.members.revoke("anna", NOW)
    await store.close()


async def test_every_change_is_the_same_when_it_is_made_again(
    address: str, losing: Losing, new_database: Callable[[], str]
) -> None:
    expected = await everything(await open_at(new_database()))
    store = await open_at(address)
    losing.next = cycle([True, False])  # each is tried again
    assert await everything(store) == expected
    assert losing.lost > 20
    assert await counts_are_right(address.replace(str(losing.folder), str(losing.server)))
    await store.close()
