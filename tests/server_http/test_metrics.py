"""`/metrics`: figures in Prometheus' text format, read by the parser of Prometheus' own library; off unless set."""

import logging
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from formant_mcp.server.limits import Limits
from formant_mcp.server.metrics import Metrics
from formant_mcp.settings import Settings
from tests.calls import many
from tests.http_process import Tokens, bearing, in_child, in_thread, initialize, post
from tests.server_harness import NOW, Account

Figures = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture
def account(account: Account) -> Account:
    """Five calls, some days old."""
    account.api.conversations = many(5, NOW - timedelta(days=2), timedelta(days=10))
    return account


def figures(url: str, headers: dict[str, str] | None = None) -> Figures:
    """Each figure of the server by its name and the values of its labels."""
    answer = httpx.get(f"{url}/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def refusals(shown: Figures) -> dict[tuple[str, ...], float]:
    """How many requests were refused, by status."""
    return {labels: value for (name, labels), value in shown.items() if name == "formant_mcp_refused_requests_total"}


def call(url: str, tool: str, headers: dict[str, str] | None = None, **arguments: str | int) -> int:
    """Calls a tool and returns the HTTP status."""
    return post(url, "tools/call", headers, name=tool, arguments=dict(arguments)).status_code


def test_calls_are_counted_by_tool_and_outcome_with_their_seconds(account: Account) -> None:
    with in_thread(account, metrics=Metrics()) as server:
        for limit in (1, 2, 0):  # the last one is not accepted
            call(server.url, "list_conversations", limit=limit)
        call(server.url, "secret_tool")
        post(server.url, "tools/list")
        shown = figures(server.url)
    name = "formant_mcp_call_seconds"
    assert {labels: value for (sample, labels), value in shown.items() if sample == f"{name}_count"} == {
        ("list_conversations", "complete"): 2,
        ("list_conversations", "error"): 1,
        ("tools/call", "error"): 1,
        ("tools/list", "complete"): 1,
    }
    assert shown[f"{name}_bucket", ("list_conversations", "+Inf", "complete")] == 2
    assert 0 < shown[f"{name}_sum", ("list_conversations", "complete")] < 60


def test_sessions_and_requests_under_way_are_those_of_now(account: Account) -> None:
    with in_thread(account, metrics=Metrics()) as server:
        before = figures(server.url)
        initialize(server.url)
        after = figures(server.url)
    assert [shown["formant_mcp_sessions", ()] for shown in (before, after)] == [0, 1]
    assert before["formant_mcp_running_requests", ()] == 0
    assert after["process_resident_memory_bytes", ()] > 0


def test_refusals_are_counted_by_status(account: Account) -> None:
    limits = Limits(body_bytes=2_000, requests_per_minute=2)
    with in_thread(account, verifier=Tokens("anna"), limits=limits, metrics=Metrics()) as server:
        anna = bearing("anna")
        statuses = [
            call(server.url, "list_conversations", headers, contact_number=text)
            for headers, text in ((bearing("bert"), ""), (anna, "9" * 5_000), (anna, ""), (anna, ""))
        ]
        shown = figures(server.url, anna)
    assert statuses == [401, 413, 200, 429]
    assert refusals(shown) == {("401",): 1, ("413",): 1, ("429",): 1}


def test_they_need_a_members_token_and_name_no_member(account: Account) -> None:
    with in_thread(account, verifier=Tokens("anna"), metrics=Metrics()) as server:
        call(server.url, "list_conversations", bearing("anna"), contact_number="+919876543210")
        assert httpx.get(f"{server.url}/metrics").status_code == 401
        assert httpx.get(f"{server.url}/metrics", headers={"Host": "evil.example.com"}).status_code == 421
        text = httpx.get(f"{server.url}/metrics", headers=bearing("anna")).text
    assert "list_conversations" in text
    assert "anna" not in text
    assert "9876543210" not in text


def test_who_reads_them_without_a_token_is_logged_and_counted(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "formant_mcp.audit")
    with in_thread(account, verifier=Tokens("anna"), metrics=Metrics()) as server:
        for headers in ({}, bearing("bert"), {"Host": "evil.example.com"}):
            httpx.get(f"{server.url}/metrics", headers=headers)
        shown = figures(server.url, bearing("anna"))
    lines = [record.__dict__["fields"] for record in caplog.records if record.name == "formant_mcp.audit"]
    assert [(line["member"], line["call"], line["outcome"]) for line in lines] == [
        ("127.0.0.1", "metrics", f"status {status}") for status in (401, 401, 421)
    ]
    assert refusals(shown) == {("401",): 2, ("421",): 1}


def test_they_are_off_unless_set(tmp_path: Path) -> None:
    """That an unset value is off on the wire too is in test_command, beside what else the sample account answers."""
    assert Settings.model_fields["http_metrics"].default == Settings(http_metrics="off").http_metrics
    with in_child(tmp_path, "--demo", FORMANT_HTTP_METRICS="on") as (_, url):
        assert httpx.get(f"{url}/metrics").status_code == 200


def test_while_they_are_off_nothing_is_imported_for_them() -> None:
    program = "import sys, formant_mcp.cli, formant_mcp.commands.serve; print('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
