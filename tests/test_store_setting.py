"""The store's setting: a file, memory, or a database, whose password is shown nowhere."""

from pathlib import Path

import pytest

from formant_mcp.errors import ConfigurationError
from formant_mcp.settings import store_text
from tests.command import run_in_child
from tests.test_settings import KEY, SECRET, load, refused

pytestmark = pytest.mark.usefixtures("own_environment")


@pytest.mark.parametrize(
    "address", ["postgresql://calls@db.example.com/calls", "postgres:///calls?host=/run/postgresql"]
)
def test_a_store_may_be_a_database(address: str) -> None:
    settings = load(STORE=address)
    assert settings.store_location(KEY) == address
    assert settings.recordings_path() == load().recordings_path()


def test_a_store_in_another_kind_of_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="FORMANT_STORE: write a path, :memory:, or postgresql://"):
        load(STORE="mysql://calls:secret@db.example.com/calls")


@pytest.mark.parametrize(
    "value",
    [
        f"postgresql:/calls:{SECRET}@127.0.0.1/calls",
        f"postgres//calls:{SECRET}@127.0.0.1/calls",
        f"postgresql:calls:{SECRET}@127.0.0.1/calls",
        f"POSTGRESQL://calls:{SECRET}@127.0.0.1/calls",
        f"PostgreSQL:calls:{SECRET}@127.0.0.1/calls",
        f"host=127.0.0.1 password={SECRET} dbname=calls",
    ],
)
def test_a_mistyped_database_address_is_not_used_as_a_path(value: str) -> None:
    assert "postgresql://user:password@host/database" in refused(STORE=value)


@pytest.mark.parametrize("path", ["postgres/calls.sqlite", "postgresql.sqlite", "~/postgres/calls:1.sqlite"])
def test_a_path_may_begin_as_an_address_does(path: str) -> None:
    assert load(STORE=path).store_path(KEY) == Path(path).expanduser()


@pytest.mark.parametrize(
    "rest", [f"{SECRET}@x@127.0.0.1/calls", f"{SECRET}/x@127.0.0.1/calls", f"1/{SECRET}?x@127.0.0.1/calls", SECRET]
)
def test_an_address_whose_password_is_not_encoded_is_refused(rest: str) -> None:
    hint = refused(STORE=f"postgresql://calls:{rest}")
    assert "%40" in hint
    assert "PGPASSWORD" in hint


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"postgresql://calls:{SECRET}@db.example.com:5432/calls", "postgresql://calls@db.example.com:5432/calls"),
        (f"postgresql://calls:a:#?{SECRET}@db/calls?sslmode=require", "postgresql://calls@db/calls"),
        (f"postgres://[::1]:5/calls?password={SECRET}", "postgres://[::1]:5/calls"),
        ("postgresql://u@h1:1,h2:2/calls", "postgresql://u@h1:1,h2:2/calls"),
        ("postgresql://%2Frun%2Fpostgresql/calls", "postgresql://%2Frun%2Fpostgresql/calls"),
        ("postgres:///calls?host=/run/postgresql", "postgres:///calls"),
        ("postgresql://", "postgresql://"),
        (":memory:", "memory"),
        ("/data/calls.sqlite", "/data/calls.sqlite"),
        ("calls.sqlite", "{folder}/calls.sqlite"),
    ],
)
def test_a_store_is_shown_without_password_and_parameters(address: str, shown: str, tmp_path: Path) -> None:
    assert store_text(load(STORE=address).store_location(KEY)) == shown.format(folder=tmp_path)


def test_the_extra_for_a_database_is_named_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError\n")
    store = "postgresql://user@127.0.0.1:9/calls"
    done = run_in_child(tmp_path, "doctor", FORMANT_API_KEY=KEY, FORMANT_STORE=store, PYTHONPATH=str(tmp_path))
    assert "its extra: `uv tool install '.[postgres]'` in a copy of its repository." in done.out
