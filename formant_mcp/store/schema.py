"""The store's shape, as numbered migrations: a store at version N runs every migration after the Nth, once.

Times are milliseconds since 1970 UTC. A turn's key holds its conversation and its place (`row_id << 20 | index`), so
one range reads a transcript in order.
"""

import sqlite3
from collections.abc import Iterator

from formant_mcp.errors import StoreError
from formant_mcp.store.result_values import read_again
from formant_mcp.store.turn_index import index_all, index_joined_words

_WITH_WORDS, _WITH_JOINED_WORDS, _WITH_MEANINGS = 2, 4, 4

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
    """
    -- The words of every turn, under its role; rowid is turn_id. The texts themselves stand in turns alone.
    CREATE VIRTUAL TABLE spoken USING fts5 (agent, contact, other, content = '', tokenize = 'ascii');
    CREATE TABLE words (word TEXT PRIMARY KEY, stem TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX words_stem ON words (stem);
    CREATE INDEX conversations_due ON conversations (detail_due_at) WHERE detail_due_at IS NOT NULL;
    CREATE INDEX conversations_spoken ON conversations (started_at, row_id) WHERE turn_count > 0;

    -- How many calls each agent has ('' where a call has none), and all of them: asked for by every answer.
    CREATE TABLE agents (agent_id TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO agents SELECT coalesce(agent_id, ''), count(*) FROM conversations GROUP BY 1;

    -- How many calls each agent had with each status and outcome on each day of each zone that is asked for.
    CREATE TABLE zones (zone TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE tallies (
        zone TEXT NOT NULL,
        agent_id TEXT NOT NULL,             -- '' where there is none; so with status and outcome
        status TEXT NOT NULL,
        outcome TEXT NOT NULL,
        day INTEGER NOT NULL,               -- days since 1970 on the zone's calendar, -1000000 where not known
        count INTEGER NOT NULL,
        PRIMARY KEY (zone, agent_id, day, status, outcome)
    ) WITHOUT ROWID;
    CREATE TRIGGER tally_insert AFTER INSERT ON conversations BEGIN
        INSERT INTO agents VALUES (coalesce(NEW.agent_id, ''), 1) ON CONFLICT DO UPDATE SET count = count + 1;
        INSERT INTO tallies
        SELECT zone, coalesce(NEW.agent_id, ''), coalesce(NEW.status, ''), coalesce(NEW.outcome, ''),
               local_day(zone, NEW.started_at), 1 FROM zones WHERE true
        ON CONFLICT DO UPDATE SET count = count + 1;
    END;
    CREATE TRIGGER tally_delete AFTER DELETE ON conversations BEGIN
        UPDATE agents SET count = count - 1 WHERE agent_id = coalesce(OLD.agent_id, '');
        UPDATE tallies SET count = count - 1
        WHERE agent_id = coalesce(OLD.agent_id, '') AND status = coalesce(OLD.status, '')
              AND outcome = coalesce(OLD.outcome, '') AND day = local_day(zone, OLD.started_at)
              AND zone IN (SELECT zone FROM zones);
    END;
    CREATE TRIGGER tally_update AFTER UPDATE OF agent_id, status, outcome, started_at ON conversations
    WHEN OLD.agent_id IS NOT NEW.agent_id OR OLD.status COLLATE BINARY IS NOT NEW.status
         OR OLD.outcome IS NOT NEW.outcome OR OLD.started_at IS NOT NEW.started_at
    BEGIN
        UPDATE agents SET count = count - 1 WHERE agent_id = coalesce(OLD.agent_id, '');
        INSERT INTO agents VALUES (coalesce(NEW.agent_id, ''), 1) ON CONFLICT DO UPDATE SET count = count + 1;
        UPDATE tallies SET count = count - 1
        WHERE agent_id = coalesce(OLD.agent_id, '') AND status = coalesce(OLD.status, '')
              AND outcome = coalesce(OLD.outcome, '') AND day = local_day(zone, OLD.started_at)
              AND zone IN (SELECT zone FROM zones);
        INSERT INTO tallies
        SELECT zone, coalesce(NEW.agent_id, ''), coalesce(NEW.status, ''), coalesce(NEW.outcome, ''),
               local_day(zone, NEW.started_at), 1 FROM zones WHERE true
        ON CONFLICT DO UPDATE SET count = count + 1;
    END;
    DROP INDEX result_values_path;
    CREATE INDEX result_values_path ON result_values (path, kind, folded, text, number);
    """,
    """
    -- A list that goes on from a cursor: where the full pass under way is, and since when what is covered is.
    ALTER TABLE scopes ADD COLUMN pass_cursor TEXT;
    ALTER TABLE scopes ADD COLUMN covered_at INTEGER;
    """,
    """
    -- From here on result_values.kind of a text that reads as a number is numeral, of a date date; folded is the normal
    -- form of formant_mcp.values, contact_reversed that of formant_mcp.contacts. What was written before is read again.
    CREATE INDEX conversations_reason ON conversations (failure_reason) WHERE failure_reason IS NOT NULL;
    DELETE FROM result_values WHERE trim(text) = '';
    -- Words with an apostrophe or a hyphen are indexed again (index_joined_words).
    -- What was sent of a call and could not be understood: kind is transcripts, turns, results or speakers.
    CREATE TABLE unreadable (
        row_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (row_id, kind)
    ) WITHOUT ROWID;
    INSERT INTO unreadable SELECT turn_id >> 20, 'speakers', count(*) FROM turns
    WHERE text != '' AND role NOT IN ('agent', 'contact', 'tool', 'system') GROUP BY 1;
    ALTER TABLE scopes ADD COLUMN ends_early INTEGER NOT NULL DEFAULT 0;

    -- Earlier versions understood fewer transcripts, and took the way a call normally ends for a failure reason.
    UPDATE conversations SET detail_due_at = 0 WHERE detail_at IS NOT NULL AND (
        (turn_count IS NULL AND duration_seconds > 0) OR row_id IN (SELECT turn_id >> 20 FROM turns WHERE text = '')
    );
    UPDATE conversations SET failure_reason = NULL, failure_reason_known = 0, detail_due_at = 0
    WHERE failure_reason LIKE 'end_call%' OR failure_reason LIKE '%remote party%'
          OR failure_reason LIKE 'Client disconnected%';
    -- When the provider, asked for it alone, last said that it has no such conversation. A full pass decides.
    ALTER TABLE conversations ADD COLUMN missing_at INTEGER;
    CREATE INDEX conversations_missing ON conversations (missing_at) WHERE missing_at IS NOT NULL;

    -- How many calls that are kept may be gone upstream, since when a full pass misses many, and when one last began
    -- for such a reason.
    ALTER TABLE scopes ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE scopes ADD COLUMN gone_at INTEGER;
    ALTER TABLE scopes ADD COLUMN rescan_at INTEGER;
    -- A full pass goes from the front to the back alone.
    UPDATE scopes SET pass_started_at = NULL WHERE pass_backward = 1;
    """,
    """
    -- unreadable.kind may also be the name of a field of conversations.
    CREATE INDEX unreadable_kind ON unreadable (kind, row_id, count);
    -- Why the details of a call could not be read when last asked for, and when a question may ask for them again.
    ALTER TABLE conversations ADD COLUMN failure TEXT;
    ALTER TABLE conversations ADD COLUMN retry_at INTEGER;
    CREATE INDEX conversations_retry ON conversations (retry_at) WHERE retry_at IS NOT NULL;
    ALTER TABLE conversations ADD COLUMN direction TEXT COLLATE NOCASE;
    CREATE INDEX conversations_direction ON conversations (direction) WHERE direction IS NOT NULL;
    """,
    """
    -- How far each list is stored; scan_*: the checkpoint of a scan under way. Lists are read forward alone by now.
    ALTER TABLE scopes RENAME TO list_states;
    ALTER TABLE list_states RENAME COLUMN scope TO name;
    ALTER TABLE list_states RENAME COLUMN excess TO expected_excess;
    ALTER TABLE list_states RENAME COLUMN shortfall TO unlisted;
    ALTER TABLE list_states RENAME COLUMN complete_at TO last_full_scan_at;
    ALTER TABLE list_states RENAME COLUMN covered_since TO covered_from;
    ALTER TABLE list_states RENAME COLUMN covered_to TO covered_until;
    ALTER TABLE list_states RENAME COLUMN covered_at TO coverage_started_at;
    ALTER TABLE list_states RENAME COLUMN pass_started_at TO scan_started_at;
    ALTER TABLE list_states RENAME COLUMN pass_offset TO scan_position;
    ALTER TABLE list_states RENAME COLUMN pass_total TO scan_total;
    ALTER TABLE list_states RENAME COLUMN pass_rows TO scan_rows;
    ALTER TABLE list_states RENAME COLUMN pass_unreadable TO scan_unreadable;
    ALTER TABLE list_states RENAME COLUMN pass_cursor TO scan_cursor;
    ALTER TABLE list_states DROP COLUMN pass_backward;
    """,
    "CREATE INDEX conversations_user ON conversations (user_id) WHERE user_id IS NOT NULL;",
)


def migrate(database: sqlite3.Connection) -> None:
    """Brings a store of an older version, or an empty one, to this program's version.

    Raises:
        StoreError: it was written by a newer version of this program, or by another program.
    """
    version, tables = database.execute(
        "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
    ).fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            "The local store was written by a newer version of formant-mcp.",
            "Update formant-mcp, or set FORMANT_STORE to another path.",
        )
    if tables and not version:
        raise StoreError("FORMANT_STORE names a database of another program.", "Set it to a path of its own.")
    if version == len(MIGRATIONS):
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have come first; the version read under the lock is the one that counts.
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in _statements(script):
                database.execute(statement)
            _convert(database, version, number)
            database.execute(f"PRAGMA user_version = {number:d}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk may have ended it already
            database.execute("ROLLBACK")
        raise


def _convert(database: sqlite3.Connection, from_version: int, to_version: int) -> None:
    """Brings what is stored into the form of a version, where SQL alone cannot."""
    if to_version == _WITH_WORDS:
        index_all(database)
    if to_version == _WITH_JOINED_WORDS and from_version >= _WITH_WORDS:
        index_joined_words(database)
    if to_version == _WITH_MEANINGS:
        read_again(database)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; a trigger is one, whatever stands in it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
