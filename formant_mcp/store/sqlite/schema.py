"""The store's schema, as numbered migrations: a store at version N runs every migration after the Nth, once.

Times are milliseconds since 1970 UTC. A turn's key is its conversation's row and its index (`row_id << 20 | index`), so
one range of keys is a transcript in order.
"""

import sqlite3
from collections.abc import Iterator

from formant_mcp.errors import StoreError
from formant_mcp.store.engine import TO_ERASE
from formant_mcp.store.sqlite.conversion import convert
from formant_mcp.store.sqlite.file import APPLICATION_ID

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE conversations (
        row_id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation_id TEXT NOT NULL UNIQUE,
        agent_id TEXT,
        agent_name TEXT,
        contact_number TEXT,
        contact_reversed TEXT,              -- its last character first: "ends with" becomes "begins with"
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
        results TEXT,                       -- JSON, NULL if there are none
        turn_count INTEGER,                 -- NULL if there is no transcript
        detail_at INTEGER,                  -- when transcript and results were last fetched
        detail_due_at INTEGER DEFAULT 0,    -- when to fetch them again; NULL: they are final
        first_seen_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL            -- when the provider last returned it
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
        position INTEGER NOT NULL,          -- more than one if the field is a list
        kind TEXT NOT NULL,                 -- text, number or boolean
        text TEXT NOT NULL,
        folded TEXT NOT NULL,               -- text without case, for comparisons
        number REAL,                        -- if the value is a number or parses as one
        PRIMARY KEY (row_id, path, position)
    ) WITHOUT ROWID;
    CREATE INDEX result_values_path ON result_values (path, row_id);

    CREATE TABLE scopes (
        scope TEXT PRIMARY KEY,             -- '' is the whole list, else an agent's
        list_order TEXT,                    -- newest, oldest, none; NULL if not known yet
        total INTEGER,                      -- the provider's latest
        excess INTEGER NOT NULL DEFAULT 0,  -- total minus what the last full scan found
        unreadable INTEGER NOT NULL DEFAULT 0,
        shortfall INTEGER NOT NULL DEFAULT 0,
        checked_at INTEGER,
        complete_at INTEGER,                -- the last full scan that found everything
        covered_since INTEGER,              -- every call that started from here ...
        covered_to INTEGER,                 -- ... to here is stored
        pass_started_at INTEGER,            -- a full scan under way
        pass_offset INTEGER NOT NULL DEFAULT 0,
        pass_backward INTEGER NOT NULL DEFAULT 0,
        pass_total INTEGER,
        pass_rows INTEGER NOT NULL DEFAULT 0,
        pass_unreadable INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;

    CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
    """,
    """
    -- The words of every turn, in the column of its role; rowid is turn_id. Only turns has the texts.
    CREATE VIRTUAL TABLE spoken USING fts5 (agent, contact, other, content = '', tokenize = 'ascii');
    CREATE TABLE words (word TEXT PRIMARY KEY, stem TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX words_stem ON words (stem);
    CREATE INDEX conversations_due ON conversations (detail_due_at) WHERE detail_due_at IS NOT NULL;
    CREATE INDEX conversations_spoken ON conversations (started_at, row_id) WHERE turn_count > 0;

    -- How many calls each agent has ('' for calls without one): every answer needs it.
    CREATE TABLE agents (agent_id TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO agents SELECT coalesce(agent_id, ''), count(*) FROM conversations GROUP BY 1;

    -- How many calls each agent had with each status and outcome on each day, in each zone that was used.
    CREATE TABLE zones (zone TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE tallies (
        zone TEXT NOT NULL,
        agent_id TEXT NOT NULL,             -- '' if there is none; likewise status and outcome
        status TEXT NOT NULL,
        outcome TEXT NOT NULL,
        day INTEGER NOT NULL,               -- days since 1970 on the zone's calendar, -1000000 if not known
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
    -- Lists by cursor: where the scan under way continues, and since when the covered part is covered.
    ALTER TABLE scopes ADD COLUMN pass_cursor TEXT;
    ALTER TABLE scopes ADD COLUMN covered_at INTEGER;
    """,
    """
    -- From here on result_values.kind is numeral for a text that parses as a number and date for a date; folded is the
    -- normal form of formant_mcp.values, contact_reversed that of formant_mcp.contacts. Older rows are parsed again.
    CREATE INDEX conversations_reason ON conversations (failure_reason) WHERE failure_reason IS NOT NULL;
    DELETE FROM result_values WHERE trim(text) = '';
    -- Words with an apostrophe or a hyphen are indexed again (index_joined_words).
    -- How much of a call could not be understood: kind is transcripts, turns, results or speakers.
    CREATE TABLE unreadable (
        row_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (row_id, kind)
    ) WITHOUT ROWID;
    INSERT INTO unreadable SELECT turn_id >> 20, 'speakers', count(*) FROM turns
    WHERE text != '' AND role NOT IN ('agent', 'contact', 'tool', 'system') GROUP BY 1;
    ALTER TABLE scopes ADD COLUMN ends_early INTEGER NOT NULL DEFAULT 0;

    -- Earlier versions parsed fewer transcripts, and took a normal end of a call for a failure reason.
    UPDATE conversations SET detail_due_at = 0 WHERE detail_at IS NOT NULL AND (
        (turn_count IS NULL AND duration_seconds > 0) OR row_id IN (SELECT turn_id >> 20 FROM turns WHERE text = '')
    );
    UPDATE conversations SET failure_reason = NULL, failure_reason_known = 0, detail_due_at = 0
    WHERE failure_reason LIKE 'end_call%' OR failure_reason LIKE '%remote party%'
          OR failure_reason LIKE 'Client disconnected%';
    -- When the provider last answered that it has no such conversation. A full scan decides.
    ALTER TABLE conversations ADD COLUMN missing_at INTEGER;
    CREATE INDEX conversations_missing ON conversations (missing_at) WHERE missing_at IS NOT NULL;

    -- How many stored calls may be gone upstream, since when full scans miss many, and when a scan last began for that
    -- reason.
    ALTER TABLE scopes ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE scopes ADD COLUMN gone_at INTEGER;
    ALTER TABLE scopes ADD COLUMN rescan_at INTEGER;
    -- A full scan only goes from the front to the back.
    UPDATE scopes SET pass_started_at = NULL WHERE pass_backward = 1;
    """,
    """
    -- unreadable.kind may also be the name of a field of conversations.
    CREATE INDEX unreadable_kind ON unreadable (kind, row_id, count);
    -- Why the details of a call could not be fetched the last time, and when they may be fetched again.
    ALTER TABLE conversations ADD COLUMN failure TEXT;
    ALTER TABLE conversations ADD COLUMN retry_at INTEGER;
    CREATE INDEX conversations_retry ON conversations (retry_at) WHERE retry_at IS NOT NULL;
    ALTER TABLE conversations ADD COLUMN direction TEXT COLLATE NOCASE;
    CREATE INDEX conversations_direction ON conversations (direction) WHERE direction IS NOT NULL;
    """,
    """
    -- How far each list is stored; scan_*: the checkpoint of a scan under way.
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
    """
    ALTER TABLE spoken RENAME TO turns_fts;
    ALTER TABLE tallies RENAME TO daily_counts;
    DROP INDEX conversations_spoken;
    CREATE INDEX conversations_with_turns ON conversations (started_at, row_id) WHERE turn_count > 0;
    -- Positions in a list that is oldest first count from its end now.
    UPDATE list_states SET scan_started_at = NULL, scan_position = 0 WHERE list_order = 'oldest';
    """,
    """
    -- Whoever changes conversations updates the counts (formant_mcp.store.counts).
    DROP TRIGGER tally_insert;
    DROP TRIGGER tally_delete;
    DROP TRIGGER tally_update;
    -- The statuses, failure reasons and directions that conversations have or had, and each as labels compare.
    CREATE TABLE labels (text TEXT PRIMARY KEY, label TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX labels_label ON labels (label);
    -- Whose tokens the server accepts over HTTP. Only the SHA-256 of a token is stored.
    CREATE TABLE members (
        name TEXT PRIMARY KEY,
        agents TEXT NOT NULL,               -- a JSON list of ids; empty: all agents
        token_hash TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        last_used_at INTEGER,
        revoked_at INTEGER
    );
    """,
    """
    -- What formant_mcp.analysis.signals measures of each call whose details are loaded; NULL is not measured. Calls
    -- whose details an earlier version loaded get their rows by and by (formant_mcp.store.signals).
    CREATE TABLE signals (
        row_id INTEGER PRIMARY KEY,
        is_due INTEGER NOT NULL DEFAULT 0,  -- 1: to be measured from the stored transcript
        turn_count INTEGER,
        agent_turns INTEGER,
        contact_turns INTEGER,
        agent_word_share REAL,
        longest_agent_turn_words INTEGER,
        agent_repeats INTEGER,
        longest_repeat_run INTEGER,
        contact_repeats INTEGER,
        unanswered_questions INTEGER,
        reply_seconds_median REAL,
        reply_seconds_max REAL,
        longest_gap_seconds REAL,
        interruptions INTEGER,
        asked_for_human INTEGER,
        asked_if_robot INTEGER,
        voicemail INTEGER,
        wrong_person INTEGER,
        abusive_words INTEGER,
        opt_out INTEGER,
        refusal INTEGER,                    -- for reviews alone
        ended_by TEXT,
        early_end INTEGER,
        tool_errors INTEGER,
        recording_gap_seconds REAL,
        recording_silence_share REAL
    );
    CREATE INDEX signals_due ON signals (row_id) WHERE is_due = 1;
    -- The condition of formant_mcp.store.filter_sql.HAS_SIGNALS: calls that never connected have rows without a value.
    CREATE INDEX signals_measured ON signals (row_id)
        WHERE (turn_count IS NOT NULL OR tool_errors IS NOT NULL OR recording_gap_seconds IS NOT NULL);
    """,
    """
    -- The phonetic key of a word (formant_mcp.text_search.spelling); NULL where an older version saves it meanwhile.
    ALTER TABLE words ADD COLUMN spelling TEXT;
    CREATE INDEX words_spelling ON words (spelling);
    """,
    """
    -- The key of what each turn of a call says (formant_mcp.store.phrases). Calls whose details an earlier version
    -- loaded get theirs when they are measured.
    CREATE TABLE phrases (
        row_id INTEGER PRIMARY KEY,
        roles TEXT NOT NULL,                -- a letter for each turn
        keys TEXT NOT NULL                  -- 64 bits for each turn, in base64
    );
    """,
    """
    -- The condition of formant_mcp.store.review.FAILED: few of an account's calls.
    CREATE INDEX conversations_failed ON conversations (started_at, row_id)
        WHERE outcome = 'failure' AND (duration_seconds > 0 OR turn_count > 0);
    """,
    """
    -- The turns to listen to for signals by times, which are not stored: NULL where an earlier version measured them.
    ALTER TABLE signals ADD COLUMN reply_turn INTEGER;
    ALTER TABLE signals ADD COLUMN gap_turn INTEGER;
    ALTER TABLE signals ADD COLUMN interrupted_turn INTEGER;
    """,
    """
    ALTER TABLE members ADD COLUMN redacts TEXT NOT NULL DEFAULT '[]';  -- a JSON list of kinds of identifiers
    """,
    # From here on meta has TO_ERASE (formant_mcp.store.sqlite.erasing).
    f"PRAGMA application_id = {APPLICATION_ID};",
)


def migrate(database: sqlite3.Connection) -> None:
    """Migrates a store of an older version, or an empty one, to this version.

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
        # Another process may have migrated it meanwhile, so the version is read again under the lock.
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        for script in MIGRATIONS[version:]:
            for statement in _statements(script):
                database.execute(statement)
        convert(database, version)
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS):d}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk may have ended it already
            database.execute("ROLLBACK")
        raise


def has_to_erase(database: sqlite3.Connection) -> bool:
    """Whether something that was deleted can still be read in the file."""
    return database.execute("SELECT 1 FROM meta WHERE name = ?", [TO_ERASE]).fetchone() is not None


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; a trigger is one statement."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
