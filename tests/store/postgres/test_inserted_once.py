"""Words and labels are inserted once by each connection, which are nearly all of those in a new transcript."""

import pytest

from formant_mcp.store.engine import Connection
from tests.store.postgres.stores import ask, open_at

pytestmark = pytest.mark.anyio

WORDS = [("calling", "call"), ("called", "call")]
STORED = "SELECT word FROM formant_mcp.words ORDER BY word"


def insert(connection: Connection) -> None:
    connection.insert("words", ("word", "stem"), WORDS, key=("word",))


async def test_a_connection_inserts_a_word_once(database: str) -> None:
    store, other = await open_at(database), await open_at(database)
    await store.database.write(insert)
    assert await ask(database, STORED) == [("called",), ("calling",)]
    await ask(database, "DELETE FROM formant_mcp.words WHERE word = 'called'")
    await store.database.write(insert)
    assert await ask(database, STORED) == [("calling",)]
    await other.database.write(insert)
    assert await ask(database, STORED) == [("called",), ("calling",)]
    await store.close()
    await other.close()


async def test_a_word_is_inserted_again_where_the_transaction_before_was_rolled_back(database: str) -> None:
    store = await open_at(database)

    def insert_and_fail(connection: Connection) -> None:
        insert(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await store.database.write(insert_and_fail)
    assert await ask(database, STORED) == []
    await store.database.write(insert)
    assert await ask(database, STORED) == [("called",), ("calling",)]
    await store.close()
