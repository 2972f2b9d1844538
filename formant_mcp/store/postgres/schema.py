"""The tables in PostgreSQL. Each key begins with the account, then the conversation's row where there is one.

Nothing spans accounts: no trigger, no sequence, no foreign key. Row numbers are counted by account. So a distributed
PostgreSQL may split each table by account, and a large account's conversations, turns and values by row. That a
conversation is stored once follows from the lock that every writer of an account takes, not from a constraint, which
would have to lie on one machine.

Texts compare by their bytes ("C"), as in SQLite. Times are milliseconds since 1970 UTC. The columns are those of the
SQLite store (formant_mcp.store.sqlite.schema), which explains them.
"""

from collections.abc import Iterator

import psycopg

from formant_mcp.errors import ConfigurationError, StoreError
from formant_mcp.text_search.spelling import phonetic_key

SCHEMA = "formant_mcp"
FUNCTIONS = "formant_mcp_functions"
_LOCK = 7_265_401_938  # any number, the same for all who create or migrate the schema

_WITH_SPELLINGS = 4

MIGRATIONS = (
    """
    -- Without the case of ASCII letters, as SQLite's NOCASE; an index entry has at most 2,700 bytes.
    CREATE FUNCTION formant_mcp_functions.fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT left(lower(value COLLATE "C"), 300) $$;
    CREATE TABLE accounts (
        account integer PRIMARY KEY,
        service text COLLATE "C" NOT NULL,
        last_row bigint NOT NULL DEFAULT 0      -- the last conversation's row
    );
    CREATE TABLE account_keys (
        key text COLLATE "C" PRIMARY KEY,
        account integer NOT NULL
    );
    CREATE TABLE meta (account integer, name text COLLATE "C", value text COLLATE "C", PRIMARY KEY (account, name));
    CREATE TABLE conversations (
        account integer,
        row_id bigint,
        conversation_id text COLLATE "C" NOT NULL,
        agent_id text COLLATE "C",
        agent_name text COLLATE "C",
        contact_number text COLLATE "C",
        contact_reversed text COLLATE "C",
        user_id text COLLATE "C",
        direction text COLLATE "C",
        status text COLLATE "C",
        outcome text COLLATE "C",
        ended smallint NOT NULL,
        failure_reason text COLLATE "C",
        failure_reason_known smallint NOT NULL,
        started_at bigint,
        ended_at bigint,
        duration_seconds double precision,
        trace_id text COLLATE "C",
        results text COLLATE "C",
        turn_count integer,
        detail_at bigint,
        detail_due_at bigint DEFAULT 0,
        missing_at bigint,
        failure text COLLATE "C",
        retry_at bigint,
        first_seen_at bigint NOT NULL,
        seen_at bigint NOT NULL,
        PRIMARY KEY (account, row_id)
    ) WITH (fillfactor = 70);  -- room to update seen_at in the same page, so without new entries in the indexes
    CREATE INDEX conversations_id ON conversations (account, conversation_id);
    CREATE INDEX conversations_started ON conversations (account, started_at NULLS FIRST, row_id);
    CREATE INDEX conversations_agent ON conversations (account, agent_id, started_at NULLS FIRST, row_id);
    CREATE INDEX conversations_status ON conversations (account, status, started_at NULLS FIRST, row_id);
    CREATE INDEX conversations_status_folded ON conversations (account, formant_mcp_functions.fold(status))
        WHERE status IS NOT NULL;
    CREATE INDEX conversations_contact ON conversations (account, contact_reversed);
    CREATE INDEX conversations_user ON conversations (account, user_id) WHERE user_id IS NOT NULL;
    CREATE INDEX conversations_direction ON conversations (account, formant_mcp_functions.fold(direction))
        WHERE direction IS NOT NULL;
    CREATE INDEX conversations_reason ON conversations (account, formant_mcp_functions.fold(failure_reason))
        WHERE failure_reason IS NOT NULL;
    CREATE INDEX conversations_running ON conversations (account, started_at) WHERE ended = 0;
    CREATE INDEX conversations_with_turns ON conversations (account, started_at NULLS FIRST, row_id)
        WHERE turn_count > 0;
    CREATE INDEX conversations_due ON conversations (account, detail_due_at) WHERE detail_due_at IS NOT NULL;
    CREATE INDEX conversations_missing ON conversations (account, missing_at) WHERE missing_at IS NOT NULL;
    CREATE INDEX conversations_retry ON conversations (account, retry_at) WHERE retry_at IS NOT NULL;
    CREATE TABLE turns (
        account integer,
        row_id bigint,
        turn_id bigint,
        role text COLLATE "C" NOT NULL,
        text text COLLATE "C" NOT NULL,
        seconds double precision,
        words tsvector NOT NULL,
        PRIMARY KEY (account, row_id, turn_id)
    );
    CREATE INDEX turns_words ON turns USING gin (words);
    CREATE TABLE words (
        account integer, word text COLLATE "C", stem text COLLATE "C" NOT NULL, PRIMARY KEY (account, word)
    );
    CREATE INDEX words_stem ON words (account, stem);
    CREATE TABLE labels (
        account integer, text text COLLATE "C", label text COLLATE "C" NOT NULL, PRIMARY KEY (account, text)
    );
    CREATE INDEX labels_label ON labels (account, label);
    CREATE TABLE result_values (
        account integer,
        row_id bigint,
        path text COLLATE "C",
        position integer,
        kind text COLLATE "C" NOT NULL,
        text text COLLATE "C" NOT NULL,
        folded text COLLATE "C" NOT NULL,
        number double precision,
        PRIMARY KEY (account, row_id, path, position)
    );
    -- All that conditions and figures of a field need.
    CREATE INDEX result_values_path
        ON result_values (account, path, kind, folded, text, number, row_id, position);
    CREATE STATISTICS result_values_kinds (mcv) ON account, path, kind FROM result_values;
    CREATE STATISTICS result_values_of_path (mcv) ON account, path, kind, folded FROM result_values;
    CREATE TABLE unreadable (
        account integer, row_id bigint, kind text COLLATE "C", count integer NOT NULL,
        PRIMARY KEY (account, row_id, kind)
    );
    CREATE INDEX unreadable_kind ON unreadable (account, kind);
    CREATE TABLE agents (
        account integer, agent_id text COLLATE "C", count bigint NOT NULL, PRIMARY KEY (account, agent_id)
    );
    CREATE TABLE zones (account integer, zone text COLLATE "C", PRIMARY KEY (account, zone));
    CREATE TABLE daily_counts (
        account integer,
        zone text COLLATE "C",
        agent_id text COLLATE "C",
        status text COLLATE "C",
        outcome text COLLATE "C",
        day integer,
        count bigint NOT NULL,
        PRIMARY KEY (account, zone, agent_id, day, status, outcome)
    );
    CREATE TABLE list_states (
        account integer,
        name text COLLATE "C",
        list_order text COLLATE "C",
        total bigint,
        expected_excess bigint NOT NULL DEFAULT 0,
        unreadable bigint NOT NULL DEFAULT 0,
        unlisted bigint NOT NULL DEFAULT 0,
        checked_at bigint,
        last_full_scan_at bigint,
        covered_from bigint,
        covered_until bigint,
        scan_started_at bigint,
        scan_position bigint NOT NULL DEFAULT 0,
        scan_total bigint,
        scan_rows bigint NOT NULL DEFAULT 0,
        scan_unreadable bigint NOT NULL DEFAULT 0,
        scan_cursor text COLLATE "C",
        coverage_started_at bigint,
        ends_early smallint NOT NULL DEFAULT 0,
        gone bigint NOT NULL DEFAULT 0,
        gone_at bigint,
        rescan_at bigint,
        PRIMARY KEY (account, name)
    );
    CREATE TABLE leases (
        account integer, name text COLLATE "C", owner text COLLATE "C" NOT NULL, expires_at bigint NOT NULL,
        PRIMARY KEY (account, name)
    );
    CREATE TABLE members (
        account integer,
        name text COLLATE "C",
        agents text COLLATE "C" NOT NULL,
        token_hash text COLLATE "C" NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint,
        last_used_at bigint,
        revoked_at bigint,
        PRIMARY KEY (account, name)
    );
    CREATE INDEX members_token ON members (account, token_hash);

    -- The same functions as formant_mcp.store.local_time and formant_mcp.values.instants.
    CREATE FUNCTION formant_mcp_functions.local_day(zone text, milliseconds bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN milliseconds IS NULL THEN -1000000
                    ELSE timezone(zone, to_timestamp(milliseconds / 1000.0))::date - date '1970-01-01' END
    $$;
    CREATE FUNCTION formant_mcp_functions.local_hour(zone text, milliseconds bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT (timezone(zone, to_timestamp(milliseconds / 1000.0))::date - date '1970-01-01') * 24
             + date_part('hour', timezone(zone, to_timestamp(milliseconds / 1000.0)))::integer
    $$;
    CREATE FUNCTION formant_mcp_functions.instant(normal text) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    BEGIN
        IF normal !~ '^[0-9-]{10}T\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?[+-]\\d\\d:\\d\\d$' THEN
            RETURN NULL;
        END IF;
        RETURN date_part('epoch', normal::timestamptz);
    EXCEPTION WHEN data_exception THEN
        RETURN NULL;
    END
    $$;
    """,
    """
    -- What formant_mcp.store.postgres.word_counts explains. A server of the version before, which does not count, finds
    -- no column of the old name: it can no longer save or search turns.
    ALTER TABLE turns RENAME COLUMN words TO lexemes;
    CREATE TABLE word_counts (
        account integer, level smallint, number bigint, counts jsonb NOT NULL, PRIMARY KEY (account, level, number)
    );
    INSERT INTO word_counts
    WITH said AS (  -- once for each turn and stem; words that are not among those stored are too long to be searched
        SELECT DISTINCT turns.account, row_id, turn_id, role, stem
        FROM turns, unnest(lexemes), words
        WHERE words.account = turns.account AND word = substr(lexeme, length(turns.account::text) + 2)
    ), conversations AS (
        SELECT account, stem,
               count(*) FILTER (WHERE role = 'agent') AS agent,
               count(*) FILTER (WHERE role = 'contact') AS contact,
               count(*) AS anybody
        FROM said GROUP BY account, stem, row_id
    ), numbers AS (
        SELECT account, stem, concat_ws(' ', sum(agent), sum(contact), sum(anybody - agent - contact),
               count(*) FILTER (WHERE agent > 0), count(*) FILTER (WHERE contact > 0), count(*)) AS numbers
        FROM conversations GROUP BY account, stem
    )
    SELECT account, 4, 1, jsonb_object_agg(stem, numbers) FROM numbers GROUP BY account;
    """,
    """
    CREATE TABLE signals (
        account integer,
        row_id bigint,
        is_due smallint NOT NULL DEFAULT 0,
        turn_count integer,
        agent_turns integer,
        contact_turns integer,
        agent_word_share double precision,
        longest_agent_turn_words integer,
        agent_repeats integer,
        longest_repeat_run integer,
        contact_repeats integer,
        unanswered_questions integer,
        reply_seconds_median double precision,
        reply_seconds_max double precision,
        longest_gap_seconds double precision,
        interruptions integer,
        asked_for_human integer,
        asked_if_robot integer,
        voicemail integer,
        wrong_person integer,
        abusive_words integer,
        opt_out integer,
        refusal integer,
        ended_by text COLLATE "C",
        early_end integer,
        tool_errors integer,
        recording_gap_seconds double precision,
        recording_silence_share double precision,
        PRIMARY KEY (account, row_id)
    );
    CREATE INDEX signals_due ON signals (account, row_id) WHERE is_due = 1;
    CREATE INDEX signals_measured ON signals (account, row_id)
        WHERE (turn_count IS NOT NULL OR tool_errors IS NOT NULL OR recording_gap_seconds IS NOT NULL);
    """,
    """
    -- NULL where a server of an older version, which still runs, saves a word.
    ALTER TABLE words ADD COLUMN spelling text COLLATE "C";
    CREATE INDEX words_spelling ON words (account, spelling);
    """,
    """
    CREATE TABLE phrases (
        account integer,
        row_id bigint,
        roles text COLLATE "C" NOT NULL,
        keys text COLLATE "C" NOT NULL,
        PRIMARY KEY (account, row_id)
    );
    ALTER TABLE phrases ALTER COLUMN keys SET STORAGE EXTERNAL;     -- keys are random: nothing to compress
    """,
    """
    CREATE INDEX conversations_failed ON conversations (account, started_at NULLS FIRST, row_id)
        WHERE outcome = 'failure' AND (duration_seconds > 0 OR turn_count > 0);
    """,
    """
    -- A search reads a word of every row, a save adds a row: compressing them takes longer than their pages save.
    ALTER TABLE word_counts ALTER COLUMN counts SET STORAGE EXTERNAL;
    """,
    """
    -- NULL where an earlier version measured the signals by times, which are not stored.
    ALTER TABLE signals ADD COLUMN reply_turn integer;
    ALTER TABLE signals ADD COLUMN gap_turn integer;
    ALTER TABLE signals ADD COLUMN interrupted_turn integer;
    """,
    """
    ALTER TABLE members ADD COLUMN redacts text COLLATE "C" NOT NULL DEFAULT '[]';
    """,
    """
    -- In kB. Each lookup of a word reads all entries that are not merged yet: 4 MB of them, the default, take 3 ms.
    ALTER INDEX turns_words SET (gin_pending_list_limit = 512);
    SELECT gin_clean_pending_list('turns_words');
    """,
)


def migrate(connection: psycopg.Connection) -> None:
    """Creates the tables, or migrates those of an older version; several servers may try at once.

    Raises:
        StoreError: they were written by a newer version. ConfigurationError: the role may not create them.
    """
    version = version_of(connection)
    if version == len(MIGRATIONS):
        return
    if version < len(MIGRATIONS):
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                version = version_of(connection)  # another server may have been first
                for statement in _statements(version):
                    connection.execute(statement)
                if version < _WITH_SPELLINGS:
                    _fill_spellings(connection)
        except psycopg.errors.InsufficientPrivilege:
            raise ConfigurationError(
                "The role of FORMANT_STORE may not create the tables.",
                "Grant it CREATE on the database for the first start and for upgrades.",
            ) from None
    if version > len(MIGRATIONS):
        raise StoreError(
            "The database was written by a newer version of formant-mcp.", "Update formant-mcp on this machine."
        )


def _fill_spellings(connection: psycopg.Connection) -> None:
    """Computes the phonetic keys of the stored words, some at once."""
    after: tuple[int, str] = (0, "")
    following = f"SELECT account, word FROM {SCHEMA}.words WHERE (account, word) > (%s, %s) ORDER BY 1, 2 LIMIT 10000"
    while rows := connection.execute(following, after).fetchall():
        keys = [phonetic_key(word) for _, word in rows]
        connection.execute(
            f"UPDATE {SCHEMA}.words SET spelling = new.spelling FROM unnest(%s::integer[], %s::text[], %s::text[])"
            " AS new (account, word, spelling) WHERE words.account = new.account AND words.word = new.word",
            [[account for account, _ in rows], [word for _, word in rows], keys],
        )
        after = rows[-1]


def version_of(connection: psycopg.Connection) -> int:
    """The version of the tables; 0 if there are none."""
    with connection.transaction():
        # Unlike to_regclass, which may remember that there was no table before another server created it.
        exists = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'version'"
        if not connection.execute(exists, [SCHEMA]).fetchone():
            return 0
        row = connection.execute(f"SELECT number FROM {SCHEMA}.version").fetchone()
    return int(row[0]) if row else 0


def _statements(version: int) -> Iterator[bytes]:
    if version >= len(MIGRATIONS):
        return
    if version == 0:
        yield f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode()
        yield f"CREATE SCHEMA IF NOT EXISTS {FUNCTIONS}".encode()
        yield f"CREATE TABLE {SCHEMA}.version (number integer NOT NULL)".encode()
        yield f"INSERT INTO {SCHEMA}.version VALUES (0)".encode()
    yield f"SET LOCAL search_path = {SCHEMA}".encode()
    for migration in MIGRATIONS[version:]:
        yield migration.encode()
    yield f"UPDATE {SCHEMA}.version SET number = {len(MIGRATIONS)}".encode()
