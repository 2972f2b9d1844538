"""A PostgreSQL server for tests, in a temporary folder, reached by a socket in it; nothing of it is kept."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -int(folder.parent.name))
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "",
    "max_connections": "800",
}
_START_SECONDS = 30.0


def programs() -> Path | None:
    """The folder of the newest PostgreSQL's programs; None if there is none on this machine."""
    found = shutil.which("initdb")
    return _FOLDERS[0] if _FOLDERS else Path(found).parent if found else None


class PostgresServer:
    """A server with its data in a folder, which may have them already. `address`: `postgres` there, as a superuser."""

    def __init__(self, folder: Path, **settings: str) -> None:
        bin_folder = programs()
        assert bin_folder, "no PostgreSQL on this machine"
        self._programs, self._folder = bin_folder, folder
        self._user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        self._options = [f"-c{name}={value}" for name, value in (_SETTINGS | settings).items()]
        self._server: subprocess.Popen[bytes] | None = None
        self.data = folder / "data"
        self.address = f"postgresql://tests@/postgres?host={folder}"
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
        until = time.monotonic() + _START_SECONDS
        ready = [str(self._programs / "pg_isready"), "-h", str(self._folder), "-q"]
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < until, log_file.read_text()
            assert self._server.poll() is None, log_file.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it at once, with all connections."""
        if self._server:
            self._server.send_signal(signal.SIGINT)
            self._server.wait()
            self._server = None

    def reload(self) -> None:
        """Has it read its files of settings again."""
        assert self._server
        self._server.send_signal(signal.SIGHUP)


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
