"""The driver's errors as ours."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from formant_mcp.errors import StoreError
from formant_mcp.store.postgres.schema import FUNCTIONS, SCHEMA

# Beginnings of the codes of https://www.postgresql.org/docs/current/errcodes-appendix.html.
_LOST = ("08", "57P", "25P03", "25P04")


class ConnectionLostError(StoreError):
    """The connection ended; another one may work."""


class QueryEndedError(StoreError):
    """The query was ended from outside, perhaps by a cancellation that came after its own query."""


@contextmanager
def translate_errors() -> Generator[None]:
    """Turns the driver's errors into ours, which quote neither the address nor any value."""
    try:
        yield
    except psycopg.Error as error:
        raise _to_store_error(error) from None


def _to_store_error(error: psycopg.Error) -> StoreError:
    match error:
        case errors.DiskFull():
            return StoreError("The database's disk is full; what was stored before is safe.", "Free some space there.")
        case errors.ReadOnlySqlTransaction():
            return StoreError(
                "The database only accepts reads now.", "Set FORMANT_STORE to the primary server, or retry later."
            )
        case errors.InsufficientPrivilege():
            return StoreError(
                "The role of FORMANT_STORE has too few rights in the database.",
                f"Grant it USAGE on the schemas {SCHEMA}… and all rights on their tables: `formant-mcp doctor` names"
                " those that are missing.",
            )
        case errors.UndefinedFunction():  # a schema that the role may not use is left out of the search path
            return StoreError(
                "The role of FORMANT_STORE has too few rights for the functions in the database.",
                f"Grant it USAGE on the schema {FUNCTIONS}, and connect without a pooler. If `formant-mcp doctor` finds"
                " nothing wrong, start the newest version of formant-mcp on every server.",
            )
        case errors.UndefinedTable() | errors.UndefinedColumn():
            return StoreError(
                "The database has another version's tables.", "Start the newest version of formant-mcp on every server."
            )
        case errors.LockNotAvailable() | errors.DeadlockDetected() | errors.SerializationFailure():
            return StoreError("The database is busy.", "Retry in a few seconds.")
        case errors.QueryCanceled():
            return QueryEndedError("The database ended a query.", "Retry, or narrow the question.")
        case psycopg.Error(sqlstate=None) if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return connection_lost()
        case psycopg.Error(sqlstate=str(code)) if code.startswith(_LOST):
            return connection_lost()
        case _:
            return StoreError(
                f"The database cannot be used: {type(error).__name__} ({error.sqlstate}).",
                "Check the log of the database.",
            )


def connection_lost() -> ConnectionLostError:
    """The error for a database that does not answer."""
    return ConnectionLostError(
        "The database does not answer.", "Check that it runs, and the address in FORMANT_STORE; then retry."
    )
