"""A PostgreSQL server for tests, in a temporary folder, reached by a socket in it; nothing of it is kept.

The variable POSTGRES_BIN names the folder of its programs; without it, it is the newest that this machine has.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -int(folder.parent.name))
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "800",
}
# For databases of a few rows: the more buffers there are, the longer takes the end of each connection.
SMALL = {"shared_buffers": "16MB", "wal_level": "minimal", "max_wal_senders": "0"}
_MOST_SECONDS = 30.0


def programs() -> Path | None:
    """The folder of the server's programs; None if there is none on this machine."""
    if chosen := os.environ.get("POSTGRES_BIN"):
        if not Path(chosen, "initdb").exists():
            raise pytest.UsageError(f"POSTGRES_BIN is {chosen}, where there is no initdb.")
        return Path(chosen)
    found = shutil.which("initdb")
    return _FOLDERS[0] if _FOLDERS else Path(found).parent if found else None


class PostgresServer:
    """A server with its data in a folder, which may have them already. `address`: `postgres` there, as a superuser."""

    def __init__(self, folder: Path, **settings: str) -> None:
        bin_folder = programs()
        assert bin_folder, "no PostgreSQL on this machine"
        self._programs, self._folder = bin_folder, folder
        self._user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        settings = _SETTINGS | settings
        self._options = [f"-c{name}={value}" for name, value in settings.items()]
        self.port = settings["port"]
        self._server: subprocess.Popen[bytes] | None = None
        self.data = folder / "data"
        self.address = f"postgresql://tests@/postgres?host={folder}&port={self.port}"
        if self._user:
            shutil.chown(folder, self._user)
        if not self.data.exists():
            initdb = [str(bin_folder / "initdb"), "-D", str(self.data), "-U", "tests", "-A", "trust", "-E", "UTF8"]
            subprocess.run([*initdb, "--no-sync"], check=True, capture_output=True, user=self._user, cwd=folder)

    def start(self) -> None:
        """Starts it and waits until it answers."""
        command = [str(self._programs / "postgres"), "-D", str(self.data), "-k", str(self._folder), *self._options]
        log_file = self._folder / "log"
        with log_file.open("ab") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd=self._folder)
        until = time.monotonic() + _MOST_SECONDS
        while not self._answers():
            assert time.monotonic() < until, log_file.read_text()
            assert self._server.poll() is None, log_file.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.address).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Ends it at once, with all connections."""
        if self._server:
            self._server.send_signal(signal.SIGINT)
            self._server.wait()
            self._server = None

    @property
    def version(self) -> int:
        """The number of the version that its data are of."""
        return int((self.data / "PG_VERSION").read_text())

    def reload(self) -> None:
        """Has it read its files of settings again, before any new connection."""
        assert self._server
        before, until = self._loaded_at(), time.monotonic() + _MOST_SECONDS
        self._server.send_signal(signal.SIGHUP)
        while self._loaded_at() == before:
            assert time.monotonic() < until, "the settings were not read"
            time.sleep(0.01)

    def write(self, name: str, text: str) -> None:
        """Writes a file among its data, as its own; it is private, as a key must be."""
        path = self.data / name
        path.touch(0o600)
        path.write_text(text)
        if self._user:
            shutil.chown(path, self._user)

    def _loaded_at(self) -> datetime:
        with psycopg.connect(self.address) as connection:
            row = connection.execute("SELECT pg_conf_load_time()").fetchone()
        assert row
        return row[0]


@contextmanager
def postgres_server(**settings: str) -> Generator[PostgresServer]:
    """A running server, in a folder of its own: each run of pytest closes pytest's folders to other users again."""
    with TemporaryDirectory(prefix="formant-mcp-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder), **settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
