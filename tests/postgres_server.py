"""A PostgreSQL server for tests, in a temporary folder, reached by a socket in it; nothing of it is kept."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def postgres_server(folder: Path, **settings: str) -> Generator[str]:
    """The address of a running server's database, its data below that folder, where they may be already."""
    bin_folder = programs()
    assert bin_folder, "no PostgreSQL on this machine"
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        for parent in folder.parents:
            if parent.owner() == "root" and parent.stat().st_mode & 0o011 == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
    data = folder / "data"
    if not data.exists():
        initdb = [str(bin_folder / "initdb"), "-D", str(data), "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    options = [f"-c{name}={value}" for name, value in (_SETTINGS | settings).items()]
    command = [str(bin_folder / "postgres"), "-D", str(data), "-k", str(folder), *options]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
    try:
        until = time.monotonic() + _START_SECONDS
        ready = [str(bin_folder / "pg_isready"), "-h", str(folder), "-q"]
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < until, (folder / "log").read_text()
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"postgresql://tests@/postgres?host={folder}"
    finally:
        server.terminate()
        server.wait()
