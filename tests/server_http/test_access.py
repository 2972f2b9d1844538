"""Who is let in: hosts, origins, tokens, and where the server listens without any."""

import json
import re
from typing import Any

import httpx
import pytest
from mcp.server.auth.provider import AccessToken
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from formant_mcp.app import LazyApp
from formant_mcp.errors import ConfigurationError, StoreError
from formant_mcp.members import Member
from formant_mcp.server.http import check_access
from formant_mcp.server.members import MemberToken, member_of
from tests.http_process import PING, Tokens, bearing, headers_of, in_thread, initialize, post, posted, session_of
from tests.server_harness import MOST_SECONDS, Account, in_both_eras


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example.com"}, 421),
        ({"Host": "127.0.0.1.evil.example.com:80"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "localhost"}, 200),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "[::1]:1234"}, 200),
        ({"Host": "calls.example.com"}, 200),
        ({"Host": "calls.example.com:8443"}, 200),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:6274"}, 200),
        ({"Origin": "https://calls.example.com"}, 200),
    ],
)
def test_requests_for_other_hosts_and_of_other_origins_are_refused(
    account: Account, headers: dict[str, str], status: int
) -> None:
    with in_thread(account, hosts=["calls.example.com"]) as server:
        assert post(server.url, "tools/list", headers).status_code == status
        assert httpx.get(f"{server.url}/files/any", headers=headers).status_code == (404 if status == 200 else status)
        assert initialize(server.url, headers).status_code == status


def test_the_address_may_end_in_a_slash_and_none_redirects(account: Account) -> None:
    with in_thread(account) as server:
        assert (
            httpx.post(f"{server.url}/mcp/", json=posted("tools/list"), headers=headers_of("tools/list")).status_code
            == 200
        )
        assert httpx.get(f"{server.url}/readyz/", headers={"Host": "evil.example.com"}).status_code == 404


@pytest.mark.parametrize("condition", ["a\ud800=1", "intent=a\ud800"])
def test_half_a_character_is_no_internal_error(account: Account, condition: str) -> None:
    request = posted("tools/call", name="list_conversations", arguments={"results": [condition]})
    headers = {**headers_of("tools/call", "list_conversations"), "Content-Type": "application/json"}
    with in_thread(account) as server:
        answer = httpx.post(f"{server.url}/mcp", content=json.dumps(request), headers=headers, timeout=MOST_SECONDS)
    assert answer.status_code == 200
    assert "coverage" in answer.text
    assert "Internal error" not in answer.text


def test_a_token_is_needed_except_to_see_how_the_server_is(account: Account) -> None:
    with in_thread(account, verifier=Tokens("anna")) as server:
        for headers in ({}, bearing("bert"), {"Authorization": "Basic YTpi"}):
            refused = post(server.url, "tools/list", headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer ")
            assert httpx.get(f"{server.url}/files/any", headers=headers).status_code == 401
        assert post(server.url, "tools/list", bearing("anna")).status_code == 200
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_refusal_of_a_host_or_an_origin_says_what_to_do(account: Account) -> None:
    with in_thread(account, hosts=["calls.example.com"]) as server:
        for headers in ({"Host": "evil.example.com"}, {"Origin": "https://evil.example.com"}):
            text = post(server.url, "tools/list", headers).text
            assert "FORMANT_HTTP_HOSTS" in text
            assert "evil" not in text


def test_a_wrong_host_is_refused_before_its_token_is_checked(account: Account) -> None:
    with in_thread(account, verifier=Tokens("anna")) as server:
        assert post(server.url, "tools/list", {"Host": "evil.example.com"}).status_code == 421


def test_a_session_belongs_to_the_member_who_opened_it(account: Account) -> None:
    with in_thread(account, verifier=Tokens("anna", "bert")) as server:
        session = session_of(initialize(server.url, bearing("anna")))
        statuses = [
            httpx.post(f"{server.url}/mcp", json=PING, headers=session | bearing(name)).status_code
            for name in ("bert", "anna")
        ]
    assert statuses == [404, 200]


OTHER_HOSTS = ["0.0.0.0", "::", "192.168.1.5", "calls.example.com", "127.0.0.1.example.com"]  # noqa: S104


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_without_members_the_server_listens_only_on_this_machine(host: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_access(host, has_members=False)
    assert "token add NAME" in str(refused.value)
    assert "FORMANT_HTTP_ISSUER" in str(refused.value)
    check_access(host, has_members=True)


@pytest.mark.parametrize(
    "hosts", [["calls.example.com"], ["localhost", "calls.example.com:8443"], ["[calls.example.com"]]
)
def test_without_members_a_proxy_cannot_let_other_machines_in(hosts: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"not for \[?calls\.example\.com.*FORMANT_HTTP_HOSTS"):
        check_access("127.0.0.1", hosts, has_members=False)
    check_access("127.0.0.1", hosts, has_members=True)


@pytest.mark.parametrize("name", ["localhost", "localhost:8765", "127.0.0.1:80", "[::1]:80"])
def test_without_members_names_of_this_machine_may_be_set(name: str) -> None:
    check_access("127.0.0.1", [name], has_members=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_this_machine_the_server_listens_without_members(host: str) -> None:
    check_access(host, has_members=False)


@in_both_eras
@pytest.mark.anyio
async def test_the_member_of_a_request_is_there_where_a_tool_runs(account: Account, mode: str) -> None:
    members: list[Member | None] = []

    async def note(ctx: ServerRequestContext[LazyApp, Any], call_next: CallNext) -> HandlerResult:
        members.append(member_of(ctx))
        return await call_next(ctx)

    with in_thread(account, verifier=Tokens("anna")) as server:
        server.server.middleware.append(note)
        async with server.connect(mode, **bearing("anna")) as assistant:
            await assistant.ask("list_conversations")
    assert set(members) == {Member("anna")}


def test_a_token_without_a_member_opens_nothing(account: Account) -> None:
    class Memberless(Tokens):
        async def verify_token(self, token: str) -> AccessToken | None:
            return AccessToken(token=token, client_id="anna", scopes=[])

    with in_thread(account, verifier=Memberless()) as server:
        assert post(server.url, "tools/list", bearing("anna")).status_code == 500
        assert httpx.get(f"{server.url}/files/any", headers=bearing("anna")).status_code == 500


def test_tokens_that_cannot_be_checked_now_open_nothing(account: Account) -> None:
    class Failing(Tokens):
        async def verify_token(self, token: str) -> AccessToken | None:
            raise StoreError("The store is locked.")

    with in_thread(account, verifier=Failing()) as server:
        refused = post(server.url, "tools/list", bearing("anna"))
    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")


@pytest.mark.anyio
@in_both_eras
async def test_a_member_with_agents_sees_their_calls_alone(mode: str, account: Account) -> None:
    class OfOneAgent(Tokens):
        async def verify_token(self, token: str) -> AccessToken | None:
            return MemberToken(token=token, client_id="anna", scopes=[], member=Member("anna", frozenset({"789"})))

    with in_thread(account, verifier=OfOneAgent("anna"), is_sample=True) as server:
        async with server.connect(mode, **bearing("anna")) as assistant:
            everything = await assistant.ask("list_conversations", limit=100)
            others = await assistant.ask("list_conversations", agent_id="123")
    assert set(re.findall(r'"agent_id": ?"(\d+)"', json.dumps(everything.structure))) == {"789"}
    assert others.coverage["matched"] == 0
    assert others.coverage["known"] == everything.coverage["matched"]
