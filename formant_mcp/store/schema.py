"""The store's shape, as numbered migrations: a store at version N runs every migration after the Nth, once.

Times are milliseconds since 1970 UTC. A turn's key holds its conversation and its place (`row_id << 20 | index`), so
one range reads a transcript in order.
"""

import sqlite3

TURN_BITS = 20

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE conversations (
        row_id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation_id TEXT NOT NULL UNIQUE,
        agent_id TEXT,
        agent_name TEXT,
        contact_number TEXT,
        contact_reversed TEXT,              -- its digits, last first: "ends with" becomes "begins with"
        user_id TEXT,
        status TEXT COLLATE NOCASE,
        outcome TEXT,                       -- success, failure or NULL
        ended INTEGER NOT NULL,
        failure_reason TEXT COLLATE NOCASE,
        failure_reason_known INTEGER NOT NULL,
        started_at INTEGER,
        ended_at INTEGER,
        duration_seconds REAL,
        trace_id TEXT,
        results TEXT,                       -- JSON, NULL where there are none
        turn_count INTEGER,                 -- NULL where there is no transcript
        detail_at INTEGER,                  -- when transcript and results were last read
        detail_due_at INTEGER DEFAULT 0,    -- when to read them anew; NULL: they are final
        first_seen_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL            -- when the provider last showed it
    );
    CREATE INDEX conversations_started ON conversations (started_at, row_id);
    CREATE INDEX conversations_agent ON conversations (agent_id, started_at, row_id);
    CREATE INDEX conversations_status ON conversations (status, started_at, row_id);
    CREATE INDEX conversations_contact ON conversations (contact_reversed);
    CREATE INDEX conversations_running ON conversations (started_at) WHERE ended = 0;

    CREATE TABLE turns (
        turn_id INTEGER PRIMARY KEY,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        seconds REAL
    );

    CREATE TABLE result_values (
        row_id INTEGER NOT NULL,
        path TEXT NOT NULL,
        position INTEGER NOT NULL,          -- more than one where the field is a list
        kind TEXT NOT NULL,                 -- text, number or boolean
        text TEXT NOT NULL,
        folded TEXT NOT NULL,               -- text without case, to compare by
        number REAL,                        -- where the value is a number or reads as one
        PRIMARY KEY (row_id, path, position)
    ) WITHOUT ROWID;
    CREATE INDEX result_values_path ON result_values (path, row_id);

    CREATE TABLE scopes (
        scope TEXT PRIMARY KEY,             -- '' is the whole list, else one agent's
        list_order TEXT,                    -- newest, oldest, none; NULL where not yet known
        total INTEGER,                      -- as the provider last said
        excess INTEGER NOT NULL DEFAULT 0,  -- total less what the last full pass found
        unreadable INTEGER NOT NULL DEFAULT 0,
        shortfall INTEGER NOT NULL DEFAULT 0,
        checked_at INTEGER,
        complete_at INTEGER,                -- the last full pass that found everything
        covered_since INTEGER,              -- everything started from there ...
        covered_to INTEGER,                 -- ... to there is here
        pass_started_at INTEGER,            -- a full pass under way
        pass_offset INTEGER NOT NULL DEFAULT 0,
        pass_backward INTEGER NOT NULL DEFAULT 0,
        pass_total INTEGER,
        pass_rows INTEGER NOT NULL DEFAULT 0,
        pass_unreadable INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;

    CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
    """,
)


def migrate(database: sqlite3.Connection) -> None:
    """Brings a store of an older version, or an empty one, to this program's version.

    Raises:
        NewerVersionError: the store was written by a newer program.
    """
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise NewerVersionError
    if version == len(MIGRATIONS):
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have come first; the version read under the lock is the one that counts.
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in script.split(";\n"):
                if statement.strip():
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {number:d}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise


class NewerVersionError(Exception):
    """The store's version is higher than any this program knows."""
