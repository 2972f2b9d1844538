"""The law of statements: each table in one is reduced to the rows of one account, before anything else is done to it.

While a test runs, every statement of a PostgresConnection is checked (`checked`).
"""

import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Self

import psycopg
import pytest
import regex
from psycopg import Copy, RawCursor
from psycopg.abc import Params, Query, QueryNoTemplate
from psycopg.copy import Writer

from formant_mcp.store.engine import Parameter
from formant_mcp.store.postgres.pipeline import Pipeline, Sent
from formant_mcp.store.postgres.schema import SCHEMA

_TABLE = rf"{SCHEMA}\.\w+"
_REDUCED = (
    rf"\(SELECT \* FROM {_TABLE} WHERE account = (\d+)\)",
    # The same for a reader who may see only some agents; (?&p) is anything in parentheses.
    rf"\(SELECT \* FROM {_TABLE} WHERE account = (\d+) AND (?:(?! OR )[^()]|(?<p>\((?:[^()]|(?&p))*\)))+\)",
    rf"^UPDATE {_TABLE} SET (?:(?!{SCHEMA}\.)[^;])+? WHERE account = (\d+)(?: AND \(|$| RETURNING)",
    rf"^DELETE FROM {_TABLE} WHERE account = (\d+) AND \(",
    rf"^COPY {_TABLE} \((account), ",
)
_INSERT = re.compile(
    rf"^INSERT INTO {_TABLE} AS \w+ \(account, ([\w, ]+)\) SELECT (\d+), \1 FROM new(?: ON CONFLICT \((.*?)\).*)?$"
)
_NEW_ROWS = re.compile(
    rf"json_populate_recordset\(NULL::{_TABLE}, \$1\)"  # has the table's type, not its rows
    r"|unnest\((?:\$\d::[\w ]+\[\](?:, )?)+\) AS new \([\w, ]+\)"
)
_PARENTHESES = re.compile(r"\([^()]*\)")


def offence(statement: str) -> str:
    """What is wrong with a statement; '' if nothing is."""
    if statement.startswith("ANALYZE "):  # only counts
        return ""
    rest, accounts = _NEW_ROWS.sub("new", statement), set[str]()
    if insert := _INSERT.match(rest):
        _, account, key = insert.groups()
        accounts.add(account)
        if key is not None and not key.startswith("account, "):
            return f"clashes with other accounts: {statement}"
        rest = rest.removeprefix(f"INSERT INTO {SCHEMA}.")
    for form in _REDUCED:
        accounts |= {match[1] for match in regex.finditer(form, rest)} - {"account"}
        rest = regex.sub(form, "", rest)
    if SCHEMA + "." in rest.replace(f"{SCHEMA}_functions.", ""):
        return f"a table without its account: {statement}"
    if len(accounts) > 1 or not all(account.isdigit() for account in accounts):
        return f"of several accounts: {statement}"
    is_change, outside = statement.startswith(("UPDATE", "DELETE")), statement
    while outside != (outside := _PARENTHESES.sub("", outside)):
        pass
    return f"OR outside parentheses: {statement}" if is_change and " OR " in outside else ""


@contextmanager
def checked(monkeypatch: pytest.MonkeyPatch) -> Generator[set[str]]:
    """The statements sent meanwhile, which are checked at the end."""
    sent = set[str]()

    class RecordingCursor(RawCursor[tuple[object, ...]]):
        """Notes each statement."""

        def execute(  # pyright: ignore[reportIncompatibleMethodOverride]  # it also takes Python 3.14's templates
            self,
            query: QueryNoTemplate,
            params: Params | None = None,
            *,
            prepare: bool | None = None,
            binary: bool | None = None,
        ) -> Self:
            sent.add(_text(query))
            return super().execute(query, params, prepare=prepare, binary=binary)

        def executemany(self, query: Query, params_seq: Iterable[Params], *, returning: bool = False) -> None:
            sent.add(_text(query))
            super().executemany(query, params_seq, returning=returning)

        @contextmanager
        def copy(
            self, statement: Query, params: Params | None = None, *, writer: Writer | None = None
        ) -> Generator[Copy]:
            sent.add(_text(statement))
            with super().copy(statement, params, writer=writer) as copy:
                yield copy

    send = Pipeline.send

    def record(
        pipeline: Pipeline, statement: bytes, parameters: Sequence[Parameter] = (), *, is_prepared: bool = True
    ) -> Sent:
        sent.add(statement.decode())
        return send(pipeline, statement, parameters, is_prepared=is_prepared)

    monkeypatch.setattr(psycopg, "RawCursor", RecordingCursor)
    monkeypatch.setattr(Pipeline, "send", record)
    yield sent
    assert [wrong for statement in sorted(sent) if (wrong := offence(statement))] == []


def _text(query: Query) -> str:
    assert isinstance(query, bytes)
    return query.decode()
