"""A connection that another thread can end while its own waits for a database that does not answer."""

import socket
import time
from contextlib import suppress
from dataclasses import dataclass

import psycopg

_MOST_KEPT = 50_000  # rows in memory, a few MB


class StoppableConnection(psycopg.Connection):
    """A connection that knows when the database answered last.

    `inserted`: rows of tables where nothing is changed or deleted, each after its table's name, which it has inserted
    for good; `pieces`: the texts whose words are among them. `prepared`: names of prepared statements, by statement
    and types; `last_prepared`: how many names it gave.
    """

    answered_at = 0.0
    last_prepared = 0
    last_deletion = ""
    _socket: socket.socket | None = None  # a second handle: libpq may close its own at any moment

    def make_stoppable(self) -> None:
        """Called once the connection is made."""
        self.inserted, self.pieces = set[tuple[object, ...]](), set[str]()
        self.prepared = dict[tuple[bytes, tuple[int, ...]], bytes]()
        self._socket = socket.fromfd(self.pgconn.socket, -1, -1, -1)

    def keep_memory_since(self, deletion: str) -> None:
        """Drops the memory of what was inserted before that deletion of such rows, the account's last; '': none."""
        if deletion != self.last_deletion:
            self.inserted.clear()
            self.pieces.clear()
            self.last_deletion = deletion

    def note_inserted(self, rows: set[tuple[object, ...]], pieces: set[str]) -> None:
        """These rows are saved, with the words of these pieces."""
        if len(self.inserted) > _MOST_KEPT:
            self.inserted.clear()
        if len(self.pieces) > _MOST_KEPT:
            self.pieces.clear()
        self.inserted |= rows
        self.pieces |= pieces

    def note_answer(self) -> None:
        """The database has answered, or has been sent the first statement."""
        self.answered_at = time.monotonic()

    def stop(self) -> None:
        """Ends the connection: whoever waits for an answer gets an error. No database need answer for that."""
        with suppress(OSError):
            if self._socket:
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the connection."""
        super().close()
        if self._socket:
            self._socket.close()


@dataclass(slots=True)
class Use:
    """A job's use of a connection, which it has now or not. `is_over`: nobody waits for the job any more."""

    connection: StoppableConnection | None = None
    is_over: bool = False

    def seconds_of_silence(self) -> float:
        """How long the database has not answered; 0 without a connection."""
        connection = self.connection
        return time.monotonic() - connection.answered_at if connection else 0.0
