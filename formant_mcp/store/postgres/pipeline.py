"""Statements sent in a row, without waiting for the answer to each, in libpq's pipeline mode.

psycopg has pipelines too, but sends each statement alone. The database then wakes up for each, which takes it longer
than most of them do (https://www.postgresql.org/docs/current/libpq-pipeline-mode.html).
"""

from collections import deque
from collections.abc import Sequence

from psycopg import errors
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

from formant_mcp.store.engine import Parameter, Value
from formant_mcp.store.postgres.stoppable import StoppableConnection


class Sent:
    """A statement that was sent, and its result when it has come."""

    __slots__ = ("result",)

    def __init__(self) -> None:
        self.result: PGresult | None = None


class Pipeline:
    """A connection in pipeline mode. After an error in a statement, the database runs none of those after it.

    Raises (from methods that wait):
        psycopg.Error: a statement sent before has failed, or the connection is lost.
    """

    def __init__(self, connection: StoppableConnection) -> None:
        self._connection, self._pgconn = connection, connection.pgconn
        self._transformer = Transformer(connection)
        self._unanswered = deque[Sent]()
        self._error: errors.Error | None = None  # the first
        self._just_prepared: list[tuple[bytes, tuple[int, ...]]] = []
        self._pgconn.enter_pipeline_mode()

    def send(self, statement: bytes, parameters: Sequence[Parameter] = (), *, is_prepared: bool = True) -> Sent:
        """Sends a statement, with others at once. `is_prepared`: it is parsed once, and planned a few times."""
        adapt, prepared = self._transformer, self._connection.prepared
        values = adapt.dump_sequence(parameters, [PyFormat.TEXT] * len(parameters))
        types = tuple(adapt.types or ())
        if is_prepared:
            if (statement, types) not in prepared:
                self._connection.last_prepared += 1
                name = prepared[statement, types] = b"formant_%d" % self._connection.last_prepared
                self._just_prepared.append((statement, types))
                self._pgconn.send_prepare(name, statement, types)
                self._unanswered.append(Sent())
            self._pgconn.send_query_prepared(prepared[statement, types], values)
        else:
            self._pgconn.send_query_params(statement, values, types)
        self._unanswered.append(sent := Sent())
        return sent

    def start(self) -> None:
        """Lets the database begin with what was sent."""
        self._pgconn.flush()

    def fetch(self, sent: Sent) -> list[tuple[Value, ...]]:
        """Waits for the rows of a statement."""
        if sent.result is None:
            self._synchronize()
        if sent.result is None:
            raise errors.OperationalError("the pipeline has ended")
        self._transformer.set_pgresult(sent.result)
        return self._transformer.load_rows(0, sent.result.ntuples, tuple)

    def close(self) -> None:
        """Waits for all answers, and leaves the mode."""
        try:
            self._synchronize()
        finally:
            self._pgconn.exit_pipeline_mode()

    def _synchronize(self) -> None:
        self._pgconn.pipeline_sync()
        self._unanswered.append(Sent())
        self._connection.wait(self._receive())
        self._just_prepared.clear()
        if self._error:
            raise self._error

    def _receive(self) -> PQGen[None]:
        """Sends all, and receives all answers."""
        pgconn = self._pgconn
        while pgconn.flush():
            if (yield Wait.RW) & Ready.R:  # else neither side might go on, as each waits for the other to read
                pgconn.consume_input()
        while self._unanswered:
            while pgconn.is_busy():
                yield Wait.R
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                if pgconn.status != ConnStatus.OK:
                    raise errors.OperationalError("the connection is lost")
                continue  # the end of a statement's results
            answered = self._unanswered.popleft()
            if result.status == ExecStatus.FATAL_ERROR:
                self._error = self._error or errors.error_from_result(result)
                for key in self._just_prepared:  # of those after it, none was
                    self._connection.prepared.pop(key, None)
            elif result.status != ExecStatus.PIPELINE_ABORTED:
                answered.result = result
