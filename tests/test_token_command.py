"""`formant-mcp token`: what it prints and refuses, and that running servers follow it at once."""

import re
import shlex
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from formant_mcp.app import open_app, utc_now
from formant_mcp.members import Member
from formant_mcp.settings import Settings
from tests import command
from tests.calls import conversation
from tests.command import Done
from tests.fake_formant import FakeFormant
from tests.server_harness import KEY

ZONE = ZoneInfo("Asia/Kolkata")  # of the command's environment


Run = Callable[..., Done]


def variables(folder: Path) -> dict[str, str]:
    store = str(folder / "store.sqlite")
    return {"FORMANT_API_KEY": KEY, "FORMANT_STORE": store, "FORMANT_BASE_URL": "http://127.0.0.1:9"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `formant-mcp token` with these arguments; there is no network, and the address answers nobody."""

    def run_command(*arguments: str, **others: str) -> Done:
        return command.run(tmp_path, "token", *arguments, **variables(tmp_path) | others)

    return run_command


def settings_of(folder: Path) -> Settings:
    given = {"api_key": KEY, "store": str(folder / "store.sqlite"), "base_url": "http://127.0.0.1:9"}
    return Settings.model_validate(given)


def test_add_prints_the_token_alone_on_stdout_and_list_never_shows_it(run: Run) -> None:
    began = datetime.now(ZONE)
    added = run("add", "anna", "--agents", "123, agent_4", "--redact", "numbers,ids", "--expires", "90d")
    assert added.status == 0
    assert re.fullmatch(r"fmcp_[\w-]{43}\n", added.out)
    assert added.out.strip() not in added.error
    assert "The token of anna (only agents: 123, agent_4, hidden: ids, numbers), valid until 20" in added.error
    listed = run("list")
    header, row = listed.out.splitlines()
    assert header.split() == ["name", "agents", "hidden", "created", "expires", "last", "used", "state"]
    name, agents, hidden, created, expires, used, state = re.split(r"  +", row)
    assert (name, agents, hidden, used, state) == ("anna", "123, agent_4", "ids, numbers", "-", "active")
    assert datetime.fromisoformat(expires) - datetime.fromisoformat(created) == timedelta(days=90)
    assert began.replace(second=0, microsecond=0) <= datetime.fromisoformat(created) <= datetime.now(ZONE)
    assert added.out.strip() not in listed.out + listed.error


def test_an_agent_with_the_id_all_is_not_shown_as_all_agents(run: Run) -> None:
    every, one = run("add", "anna"), run("add", "bob", "--agents", "all")
    assert "The token of anna (all agents)" in every.error
    assert "The token of bob (only agents: all)" in one.error
    hint = "--agents limits bob to the agent whose id is all. For all agents, revoke this token and leave --agents out."
    assert hint in one.error
    assert hint not in every.error + run("add", "eve", "--agents", "allan,7").error
    _, *rows = run("list").out.splitlines()
    assert [re.split(r"  +", row)[1] for row in rows] == ["all agents", "all", "7, allan"]


def test_a_token_after_a_purge_says_nothing_false_of_servers_that_were_started_with_members(
    run: Run, tmp_path: Path
) -> None:
    first = run("add", "anna").error
    assert command.run(tmp_path, "purge", "--yes", **variables(tmp_path)).status == 0
    warning = (
        "This is the account's only token. A server that was started when there was none has no access control, and"
        " answers everybody on its machine until you restart it."
    )
    for said in (first, run("add", "anna").error):
        assert warning in said


def test_the_first_add_alone_says_that_a_running_server_still_answers_everybody(run: Run) -> None:
    warning = "A server that was started when there was none has no access control"
    assert warning in run("add", "anna").error
    assert warning not in run("add", "bob").error
    run("revoke", "anna")
    run("revoke", "bob")
    assert warning not in run("add", "anna").error


def test_where_members_also_log_in_at_an_issuer_a_running_server_has_access_control(run: Run) -> None:
    issuer = {"FORMANT_HTTP_ISSUER": "https://login.example.com", "FORMANT_HTTP_AUDIENCE": "formant"}
    added = run("add", "anna", **issuer)
    assert added.status == 0
    assert "no access control" not in added.error


@pytest.mark.parametrize("name", ["anna", "Anna D'Souza"])
def test_a_name_that_has_a_token_must_be_revoked_first_by_the_command_that_is_said(run: Run, name: str) -> None:
    assert run("add", name).status == 0
    again = run("add", name)
    assert (again.status, again.out) == (1, "")
    said = re.fullmatch(rf"{name} has an active token. Revoke it first: `formant-mcp token (.+)`.\n", again.error)
    assert said
    assert run(*shlex.split(said[1])).status == 0
    assert "revoked" in run("list").out
    assert run("add", name).status == 0


@pytest.mark.anyio
async def test_a_running_server_accepts_a_new_token_and_refuses_it_once_it_is_revoked(tmp_path: Path) -> None:
    def run(*arguments: str) -> Done:
        return command.run_in_child(tmp_path, "token", *arguments, **variables(tmp_path))

    settings = settings_of(tmp_path)
    app = await open_app(settings, settings.open_provider(KEY), KEY)
    token = run("add", "anna", "--agents", "7").out.strip()
    assert await app.members.use(token, utc_now()) == Member("anna", frozenset({"7"}))
    assert run("revoke", "anna").status == 0
    assert await app.members.use(token, utc_now()) is None
    await app.aclose()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", ""], "NAME must be 1 to 60 printable characters"),
        (["add", "a" * 61], "NAME must be 1 to 60 printable characters"),
        (["add", "an\x1bna"], "NAME must be 1 to 60 printable characters"),
        (["add", "an\u202ena"], "NAME must be 1 to 60 printable characters"),
        (["add", "anna", "--agents", ""], "--agents must be ids with commas"),
        (["add", "anna", "--agents", " , "], "--agents must be ids with commas"),
        (["add", "anna", "--agents", "123,,4"], "--agents must be ids with commas"),
        (["add", "anna", "--agents", "123 456"], "--agents must be ids with commas"),
        (["add", "anna", "--agents", "123; 456"], "--agents must be ids with commas"),
        (["add", "anna", "--agents", "123;456"], "--agents must be ids with commas"),
        *(
            (["add", "anna", "--expires", text], "--expires must be hours, days or weeks from now (24h, 90d, 4w)")
            for text in ("", "0d", "2020-01-01", "7 days", "1m", "30s", "90", "9" * 30 + "d")
        ),
        (["add", "anna", "--redact", "number"], "--redact takes numbers, emails, ids, with commas between them."),
        (["add", "anna", "--redact", ""], "--redact names nothing."),
        (["revoke", ""], "NAME must be 1 to 60 printable characters"),
    ],
)
def test_a_value_that_is_not_accepted_is_refused_and_changes_nothing(
    run: Run, tmp_path: Path, arguments: list[str], words: str
) -> None:
    refused = run(*arguments)
    assert (refused.status, refused.out) == (2, "")
    assert refused.error.startswith(words)
    assert len(run("list").out.splitlines()) == 1


def test_a_member_who_has_no_token_cannot_lose_it(run: Run) -> None:
    refused = run("revoke", "bob")
    assert (refused.status, refused.out) == (1, "")
    assert refused.error == "bob has no token to revoke. `formant-mcp token list` has the names.\n"


@pytest.mark.parametrize(
    ("expires", "valid_until"),
    [
        ("2999-12-31", "2999-12-31 23:59 +0530"),
        ("2999-12-31T18:00", "2999-12-31 18:00 +0530"),
        ("2999-12", "2999-12-31 23:59 +0530"),
    ],
)
def test_a_date_to_expire_is_included_in_the_users_zone(run: Run, expires: str, valid_until: str) -> None:
    assert f"valid until {valid_until}" in run("add", "anna", "--expires", expires).error


def test_add_and_list_say_which_store_and_account_they_use_and_how_to_check_the_key(run: Run, tmp_path: Path) -> None:
    account = "formant at http://127.0.0.1:9, with the key in FORMANT_API_KEY"
    for done in (run("add", "anna"), run("list")):
        assert f"Store: {tmp_path / 'store.sqlite'}. Account: {account}" in done.error
        assert "No conversations are stored yet: run `formant-mcp sync`, which checks the key." in done.error
        assert KEY not in done.error + done.out
    (tmp_path / "key").write_text(KEY)
    listed = run("list", FORMANT_API_KEY="", FORMANT_API_KEY_FILE=str(tmp_path / "key"))
    assert "with the key in FORMANT_API_KEY_FILE" in listed.error


def test_a_key_whose_conversations_are_stored_needs_no_check(run: Run, tmp_path: Path) -> None:
    with FakeFormant.in_thread() as api:
        api.add(conversation(1, utc_now() - timedelta(days=1)))
        assert command.run(tmp_path, "sync", **variables(tmp_path) | {"FORMANT_BASE_URL": api.url}).status == 0
        assert "checks the key" not in run("list", FORMANT_BASE_URL=api.url).error


def test_without_a_key_or_a_file_the_command_says_what_to_set(run: Run) -> None:
    without_key = run("list", FORMANT_API_KEY="").error
    assert without_key == "No API key is set. Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE) as for the server.\n"
    memory = run("add", "anna", FORMANT_STORE=":memory:")
    assert (memory.status, memory.out) == (1, "")
    assert "FORMANT_STORE is :memory:, which keeps no tokens." in memory.error


def test_the_sample_account_has_no_tokens(tmp_path: Path) -> None:
    done = command.run(tmp_path, "--demo", "token", "list")
    assert done.status == 1
    assert "The sample account has no tokens" in done.error
