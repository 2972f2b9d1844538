"""Access over HTTP: whom the server lets in, and that all others get one and the same refusal."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import httpx2
import pytest
from mcp.client.auth.utils import extract_resource_metadata_from_www_auth, handle_protected_resource_response
from mcp.server.auth.middleware.auth_context import get_access_token
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from formant_mcp.app import App, open_app
from formant_mcp.errors import ConfigurationError
from formant_mcp.members import Member
from formant_mcp.server.access import members_only, metadata_routes, new_verifier
from formant_mcp.server.members import MemberToken
from formant_mcp.settings import Settings
from tests.fake_http import Reply
from tests.fake_issuer import AUDIENCE, DISCOVERY_PATH, FakeIssuer, new_key, sign
from tests.server_harness import KEY, NOW

pytestmark = pytest.mark.anyio

ANNA = Member("anna", frozenset({"7"}))
METADATA = "https://calls.example.com/.well-known/oauth-protected-resource/mcp"


async def whoami(scope: Scope, receive: Receive, send: Send) -> None:
    """In the MCP server's place: answers who the SDK says has sent the request."""
    token = get_access_token()
    assert isinstance(token, MemberToken)
    assert token == Request(scope).user.access_token
    said = {"name": token.member.name, "agents": sorted(token.member.agents), "token": token.token}
    await JSONResponse(said)(scope, receive, send)


@dataclass
class Team:
    """A server that a team shares, and what its members send."""

    app: App
    now: datetime
    issuer: FakeIssuer
    client: httpx.AsyncClient
    can_open: bool = True

    async def ask(self, token: str | None, method: str = "POST", path: str = "/mcp") -> httpx.Response:
        headers = [] if token is None else [(b"Authorization", f"Bearer {token}".encode("latin-1"))]
        return await self.client.request(method, path, headers=headers)

    async def token(self, member: Member = ANNA, expires_at: datetime | None = None) -> str:
        token = await self.app.members.add(member, expires_at, self.now)
        assert token
        return token


@pytest.fixture(params=["tokens and issuer"])
async def team(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Team]:
    async with FakeIssuer() as issuer:
        login = {"http_issuer": issuer.url, "http_audience": AUDIENCE} if "issuer" in request.param else {}
        settings = Settings.model_validate({"api_key": KEY, "store": str(tmp_path / "store.sqlite"), **login})
        app = await open_app(settings, settings.open_provider(KEY), KEY)

        async def open_() -> App:
            if not team.can_open:
                raise ConfigurationError("The store is away.")
            return replace(app, now=lambda: team.now)

        guarded = members_only(whoami, new_verifier(settings, open_), AUDIENCE, settings.http_issuer)
        routes = [Route("/mcp", guarded), *metadata_routes(AUDIENCE, settings.http_issuer)]
        transport = httpx.ASGITransport(Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="https://calls.example.com") as client:
            team = Team(app, NOW, issuer, client)
            yield team
        await app.aclose()


tokens_only = pytest.mark.parametrize("team", ["tokens"], indirect=True)


async def test_a_members_token_lets_them_in_with_their_agents(team: Team) -> None:
    token = await team.token()
    for method in ("POST", "GET", "DELETE"):
        answer = await team.ask(token, method)
        assert (answer.status_code, answer.json()) == (200, {"name": "anna", "agents": ["7"], "token": ""})
    assert team.issuer.requests == []


async def test_a_login_at_the_issuer_lets_them_in_beside_tokens(team: Team) -> None:
    answer = await team.ask(team.issuer.token(preferred_username="bob", formant_agents="8 9"))
    assert (answer.status_code, answer.json()) == (200, {"name": "bob", "agents": ["8", "9"], "token": ""})


async def test_whatever_is_wrong_gets_the_same_refusal_which_says_how_to_log_in(team: Team) -> None:
    revoked, expired = await team.token(Member("r")), await team.token(Member("e"), NOW + timedelta(hours=1))
    await team.app.members.revoke("r", NOW)
    team.now += timedelta(hours=1)
    issuer = team.issuer
    wrong: list[str | None] = [
        None, "", "fmcp_", "fmcp_" + "A" * 43, revoked, expired, KEY, "a.b.c", "é", "fmcp_é",
        issuer.token(aud="another"), issuer.token(iss="https://other.example.com"),
        issuer.token(exp=int(time.time()) - 90), issuer.token(formant_agents=[]),
        sign(issuer.claims(), new_key()), issuer.token()[:-4] + "AAAA",
    ]  # fmt: skip
    answers = [await team.ask(token) for token in wrong]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {f'Bearer resource_metadata="{METADATA}"'}
    (body,) = {answer.content for answer in answers}
    assert body.decode() == (
        '{"error":"invalid_token","error_description":"Send a token as `Authorization: Bearer TOKEN`: whoever runs this'
        f' server makes one by `formant-mcp token add`, or log in at {issuer.url}."}}'
    )


async def test_other_kinds_of_credentials_are_refused(team: Team) -> None:
    token = await team.token()
    for header in (token, f"Basic {token}", f"Bearer{token}", f"Bearer {token} {token}", f"Bearer {token},"):
        assert (await team.client.post("/mcp", headers={"Authorization": header})).status_code == 401
    assert (await team.client.post("/mcp", params={"access_token": token})).status_code == 401


async def test_a_revoked_token_is_refused_in_the_next_request(team: Team) -> None:
    token = await team.token()
    assert (await team.ask(token)).status_code == 200
    await team.app.members.revoke("anna", NOW)
    assert (await team.ask(token)).status_code == 401


async def test_a_token_that_cannot_be_checked_now_is_neither_accepted_nor_called_wrong(team: Team) -> None:
    token = await team.token()
    team.issuer.replies[DISCOVERY_PATH] = Reply(503)
    team.can_open = False
    answers = [await team.ask(token), await team.ask(team.issuer.token())]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["Retry-After"] == "60"
    assert "WWW-Authenticate" not in answers[0].headers
    assert (await team.ask("neither")).status_code == 401
    team.can_open = True
    assert (await team.ask(token)).status_code == 200


@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"])
async def test_clients_find_the_issuer_without_a_token(team: Team, path: str) -> None:
    answer = await team.ask(None, "GET", path)
    assert answer.status_code == 200
    assert answer.json() == {
        "resource": AUDIENCE, "authorization_servers": [team.issuer.url], "bearer_methods_supported": ["header"]
    }  # fmt: skip
    from_a_page = {"Origin": "https://inspector.example.com", "Access-Control-Request-Method": "GET"}
    assert (await team.client.options(path, headers=from_a_page)).headers["Access-Control-Allow-Origin"] == "*"


async def test_the_sdks_client_finds_the_issuer_from_a_refusal(team: Team) -> None:
    def of_sdk(answer: httpx.Response) -> httpx2.Response:
        return httpx2.Response(answer.status_code, headers=answer.headers.multi_items(), content=answer.content)

    address = extract_resource_metadata_from_www_auth(of_sdk(await team.ask(None)))
    assert address == METADATA
    metadata = await handle_protected_resource_response(of_sdk(await team.client.get(address)))
    assert metadata
    assert [str(server) for server in metadata.authorization_servers] == [team.issuer.url]
    assert str(metadata.resource) == AUDIENCE


@tokens_only
async def test_without_an_issuer_only_tokens_are_accepted_and_no_login_is_offered(team: Team) -> None:
    assert (await team.ask(await team.token())).status_code == 200
    refused = await team.ask(team.issuer.token())
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="formant-mcp"'
    assert "log in" not in refused.text
    assert (await team.ask(None, "GET", "/.well-known/oauth-protected-resource")).status_code == 404
    assert team.issuer.requests == []


async def test_members_who_ask_at_the_same_time_are_not_mixed_up(team: Team) -> None:
    members = [Member(f"member-{n}", frozenset({str(n)})) for n in range(10)]
    tokens = [await team.token(member) for member in members]
    answers = await asyncio.gather(*(team.ask(token) for token in tokens * 5))
    assert [answer.json()["name"] for answer in answers] == [member.name for member in members] * 5


async def test_nothing_of_a_token_is_logged(team: Team, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="formant_mcp")
    token, login = await team.token(), team.issuer.token(exp=1)
    for sent in (token, token + "A", login):
        await team.ask(sent)
    team.can_open = False
    await team.ask(token)
    assert "A token cannot be checked: The store is away." in caplog.text
    assert "ExpiredSignatureError" in caplog.text
    for part in (token.removeprefix("fmcp_"), *login.split(".")):
        assert part not in caplog.text
