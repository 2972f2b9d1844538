"""JWTs of an OpenID Connect issuer: which are accepted, for whom, and what happens when its keys cannot be fetched."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import logging
import time
import warnings
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey, RSAKey

from formant_mcp.errors import ConnectionFailedError
from formant_mcp.members import Member
from formant_mcp.server.issuer import FETCH_EVERY_SECONDS, KEYS_LAST_SECONDS, MOST_BYTES, Issuer, Login
from tests.fake_http import Reply
from tests.fake_issuer import AUDIENCE, DISCOVERY_PATH, KEYS_PATH, Clock, FakeIssuer, json_reply, new_key, sign

pytestmark = pytest.mark.anyio

FETCH = [DISCOVERY_PATH, KEYS_PATH]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api() -> AsyncGenerator[FakeIssuer]:
    async with FakeIssuer() as api:
        yield api


@pytest.fixture
def issuer(api: FakeIssuer, clock: Clock) -> Issuer:
    return Issuer(api.url, AUDIENCE, clock)


def encoded(*parts: bytes | dict[str, Any]) -> str:
    """The parts of a JWT, put together."""
    raw = (json.dumps(part).encode() if isinstance(part, dict) else part for part in parts)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in raw)


def fetches(api: FakeIssuer) -> list[str]:
    return [request.path for request in api.requests]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the issuer uses what its own libraries deprecate
async def test_a_login_at_a_strangers_issuer_is_accepted() -> None:
    with warnings.catch_warnings(record=True):
        import oidc_provider_mock  # pyright: ignore[reportMissingTypeStubs]

    claims: dict[str, object] = {"preferred_username": "anna", "formant_agents": ["7", "8"]}
    user = oidc_provider_mock.User(sub="u-1", claims=claims)
    with oidc_provider_mock.run_server_in_thread(user_claims=[user]) as server:
        address = f"http://localhost:{server.server_port}"
        token = await asyncio.to_thread(log_in, address)
        login = await Issuer(address, "a-client").verify(token)
        other = await Issuer(address, "another-client").verify(token)
    assert login == Login(Member("anna", frozenset({"7", "8"})), "u-1")
    assert other is None


def log_in(address: str) -> str:
    """The ID token that the issuer gives to a client of that name, after the form for users was sent."""
    query = {"client_id": "a-client", "redirect_uri": "http://localhost/back", "response_type": "code"}
    query |= {"scope": "openid profile", "state": "s"}
    with httpx.Client(base_url=address) as browser:
        sent = browser.post("/oauth2/authorize", params=query, data={"sub": "u-1"})
        code = httpx.URL(sent.headers["location"]).params["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": query["redirect_uri"]}
        answer = browser.post("/oauth2/token", data=form, auth=("a-client", "any"))
        return answer.raise_for_status().json()["id_token"]


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # by RFC 9864, but in wide use
async def test_every_asymmetric_algorithm_is_accepted_with_its_key(
    api: FakeIssuer, issuer: Issuer, algorithm: str
) -> None:
    api.keys = [new_key(algorithm), new_key(key_id="second")]
    assert await issuer.verify(sign(api.claims(), api.keys[0], algorithm)) == Login(Member("u-1"), "u-1")


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "anna", "email": "a@example.com"}, "anna"),
        ({"email": "a@example.com"}, "a@example.com"),
        ({"preferred_username": " ", "email": 5}, "u-1"),
        ({"preferred_username": "an\nna\x1b[2J\u202e"}, "an na[2J"),
        ({"preferred_username": "a" * 500}, "a" * 60),
    ],
)
async def test_a_member_is_named_by_the_first_claim_with_a_name(
    api: FakeIssuer, issuer: Issuer, claims: dict[str, Any], name: str
) -> None:
    assert await issuer.verify(api.token(**claims)) == Login(Member(name), "u-1")


@pytest.mark.parametrize(
    ("claim", "agents"),
    [
        (["7", "agent-8"], {"7", "agent-8"}),
        (["100,101"], {"100", "101"}),
        ([" 100 ", "101 102", "103, 104", 105], {"100", "101", "102", "103", "104", "105"}),
        ("7  agent-8 ", {"7", "agent-8"}),
        ("123,456", {"123", "456"}),
        (" 123, 456", {"123", "456"}),
        (["7", "7"], {"7"}),
        ("7", {"7"}),
        (7, {"7"}),
        ([123, "456", 0], {"123", "456", "0"}),
    ],
)
async def test_a_claim_limits_the_agents(api: FakeIssuer, issuer: Issuer, claim: object, agents: set[str]) -> None:
    login = await issuer.verify(api.token(formant_agents=claim))
    assert login
    assert login.member.agents == agents


@pytest.mark.parametrize(
    "claim",
    [
        *([], "", " ", ",", "7,", ",7", "7,,8", True, {}, {"7": 1}, -7, 0.5, 7.0),
        *([True], [-7], [7.0], ["7", None], ["7", ""], [["7"]], ["7", {}], [7, " "], ["7,"], ["7,,8"], [","]),
    ],
)
async def test_agents_of_another_form_are_refused_and_never_mean_all(
    api: FakeIssuer, issuer: Issuer, claim: object
) -> None:
    assert await issuer.verify(api.token(formant_agents=claim)) is None


@pytest.mark.parametrize("claim", [[" ids ", "numbers"], ["ids,numbers"], " ids numbers", "ids,numbers"])
async def test_a_claim_hides_kinds_of_identifiers(api: FakeIssuer, issuer: Issuer, claim: object) -> None:
    login = await issuer.verify(api.token(formant_redact=claim))
    assert login
    assert login.member.redacts == {"numbers", "ids"}


@pytest.mark.parametrize("claim", [[], "", " ", ",", True, {}, ["all"], "number", ["numbers", "phones"], [1], 1])
async def test_kinds_that_are_not_understood_are_refused_and_never_mean_none(
    api: FakeIssuer, issuer: Issuer, claim: object
) -> None:
    assert await issuer.verify(api.token(formant_redact=claim)) is None


async def test_null_as_agents_is_refused(api: FakeIssuer, issuer: Issuer) -> None:
    assert await issuer.verify(sign(api.claims() | {"formant_agents": None}, api.keys[0])) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://calls.example.com"},
        {"aud": ["another"]},
        {"aud": None},
        {"iss": "https://login.example.com"},
        {"iss": None},
        {"exp": None},
        {"exp": "later"},
        {"sub": None},
        {"sub": None, "preferred_username": "anna"},
        {"sub": "", "preferred_username": "anna"},
        {"sub": " ", "preferred_username": "anna"},
        {"sub": "a\n", "preferred_username": "anna"},
        {"sub": 5, "preferred_username": "anna"},
    ],
)
async def test_claims_for_another_audience_or_issuer_or_without_an_end_or_a_subject_are_refused(
    api: FakeIssuer, issuer: Issuer, changed: dict[str, Any]
) -> None:
    assert await issuer.verify(api.token(**changed)) is None


@pytest.mark.parametrize(
    ("claim", "seconds", "is_accepted"),
    [
        ("exp", -30, True), ("exp", -90, False),
        ("nbf", 30, True), ("nbf", 90, False),
        ("iat", 30, True), ("iat", 90, False),
    ],
)  # fmt: skip
async def test_clocks_may_differ_by_a_minute(
    api: FakeIssuer, issuer: Issuer, claim: str, seconds: int, is_accepted: bool
) -> None:
    login = await issuer.verify(api.token(**{claim: int(time.time()) + seconds}))
    assert (login is not None) == is_accepted


async def test_a_token_for_several_audiences_is_accepted_if_this_is_one(api: FakeIssuer, issuer: Issuer) -> None:
    assert await issuer.verify(api.token(aud=["another", AUDIENCE]))


async def test_an_unsigned_token_is_refused(api: FakeIssuer, issuer: Issuer) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        assert await issuer.verify(encoded({"alg": algorithm, "kid": "first"}, api.claims(), b"")) is None
    assert await issuer.verify(encoded({"kid": "first"}, api.claims(), b"")) is None


@pytest.mark.parametrize("form", ["PEM", "DER", "modulus"])
async def test_a_token_signed_symmetrically_with_the_public_key_is_refused(
    api: FakeIssuer, issuer: Issuer, form: str
) -> None:
    key = api.keys[0]
    assert isinstance(key, RSAKey)
    secrets = {"PEM": key.as_pem(private=False), "DER": key.as_der(private=False)}
    secret = secrets.get(form, str(key.as_dict(private=False)["n"]).encode())
    unsigned = encoded({"alg": "HS256", "kid": "first"}, api.claims())
    token = f"{unsigned}.{encoded(hmac.digest(secret, unsigned.encode(), hashlib.sha256))}"
    assert await issuer.verify(token) is None


async def test_a_symmetric_key_that_the_issuer_publishes_by_mistake_is_not_used(
    api: FakeIssuer, issuer: Issuer
) -> None:
    secret = OctKey.generate_key(256, {"kid": "shared", "alg": "HS256"})
    published = [secret.as_dict(), {**secret.as_dict(), "kid": "named", "alg": "RS256"}]
    api.replies[KEYS_PATH] = json_reply({"keys": [*published, api.keys[0].as_dict(private=False)]})
    for key_id in ("shared", "named"):
        assert await issuer.verify(sign(api.claims(), secret, "HS256", kid=key_id)) is None
    assert await issuer.verify(sign(api.claims(), api.keys[0], kid=None))  # it is the only one for signatures


async def test_a_signature_by_another_key_or_over_other_claims_is_refused(api: FakeIssuer, issuer: Issuer) -> None:
    assert await issuer.verify(sign(api.claims(), new_key(), kid="first")) is None
    header, _, signature = api.token().split(".")
    assert await issuer.verify(f"{header}.{encoded(api.claims(preferred_username='root'))}.{signature}") is None
    assert await issuer.verify(f"{header}.{encoded(api.claims())}.") is None


async def test_a_key_for_one_algorithm_or_for_encryption_verifies_nothing_else(api: FakeIssuer, issuer: Issuer) -> None:
    one, two = new_key(), new_key(key_id="second")
    published = [one.as_dict(private=False, alg="RS256"), two.as_dict(private=False, use="enc")]
    api.replies[KEYS_PATH] = json_reply({"keys": published})
    assert await issuer.verify(sign(api.claims(), one, "RS256"))
    assert await issuer.verify(sign(api.claims(), one, "PS256")) is None
    assert await issuer.verify(sign(api.claims(), two, "RS256")) is None


async def test_a_short_key_and_one_that_cannot_be_read_are_not_used(api: FakeIssuer, issuer: Issuer) -> None:
    with pytest.warns(match="2048"):
        short = RSAKey.generate_key(1024, {"kid": "short"})
    broken: list[object] = [
        {"kty": "RSA", "kid": "b"},
        {"kty": "LWE"},
        {},
        "text",
        None,
        {"kty": "RSA", "n": "!", "e": 3, "alg": []},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": ["RS256"]},
    ]
    published = [*broken, short.as_dict(private=False), api.keys[0].as_dict(private=False)]
    api.replies[KEYS_PATH] = json_reply({"keys": published})
    assert await issuer.verify(api.token())
    assert await issuer.verify(sign(api.claims(), short)) is None


async def test_a_token_without_a_key_id_is_of_the_only_key(api: FakeIssuer, issuer: Issuer, clock: Clock) -> None:
    assert await issuer.verify(sign(api.claims(), api.keys[0], kid=None))
    api.keys.append(new_key(key_id="second"))
    clock.seconds += KEYS_LAST_SECONDS
    assert await issuer.verify(sign(api.claims(), api.keys[0], kid=None)) is None


async def test_keys_are_fetched_once(api: FakeIssuer, issuer: Issuer) -> None:
    logins = await asyncio.gather(*(issuer.verify(api.token()) for _ in range(10)))
    assert all(logins)
    assert fetches(api) == FETCH


async def test_a_new_key_is_fetched_when_a_token_names_it_but_at_most_once_a_minute(
    api: FakeIssuer, issuer: Issuer, clock: Clock
) -> None:
    old = api.token()
    assert await issuer.verify(old)
    api.keys = [new_key(key_id="second")]
    clock.seconds += FETCH_EVERY_SECONDS - 1
    assert await issuer.verify(api.token()) is None
    assert fetches(api) == FETCH
    clock.seconds += 1
    assert await issuer.verify(api.token())
    assert await issuer.verify(old) is None  # its key was withdrawn
    for _ in range(5):
        assert await issuer.verify(sign(api.claims(), new_key(key_id="unknown"))) is None
    assert fetches(api) == FETCH * 2


async def test_a_withdrawn_key_is_refused_within_the_hour(api: FakeIssuer, issuer: Issuer, clock: Clock) -> None:
    old = api.token()
    assert await issuer.verify(old)
    api.keys = [new_key(key_id="second")]
    clock.seconds += KEYS_LAST_SECONDS - 1
    assert await issuer.verify(old)
    clock.seconds += 1
    assert await issuer.verify(old) is None


def discovery(**fields: str) -> bytes:
    """A discovery document; SELF is the issuer's address."""
    return json.dumps({"issuer": "SELF", "jwks_uri": "SELF/keys"} | fields).encode()


WRONG: dict[str, tuple[str, Reply, str]] = {
    "hangs up": (DISCOVERY_PATH, Reply(hang_up=True), "RemoteProtocolError"),
    "cut off": (KEYS_PATH, Reply(body=b'{"keys": []}', send_only=5), "RemoteProtocolError"),
    "fails": (DISCOVERY_PATH, Reply(503, body=discovery()), "status 503"),
    "redirects": (DISCOVERY_PATH, Reply(302, discovery(), headers={"Location": "/other"}), "status 302"),
    "redirects its keys": (KEYS_PATH, Reply(307, headers={"Location": KEYS_PATH + "2"}), "status 307"),
    "a web page": (KEYS_PATH, Reply(body=b"<html>"), "no JSON object"),
    "a list": (KEYS_PATH, Reply(body=b"[]"), "no JSON object"),
    "too deep": (KEYS_PATH, Reply(body=b"[" * 100_000), "no JSON object"),
    "huge": (KEYS_PATH, Reply(body=b'{"keys": []' + b" " * MOST_BYTES + b"}"), f"more than {MOST_BYTES} bytes"),
    "compressed": (
        DISCOVERY_PATH, Reply(body=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}), "no JSON object"
    ),
    "another issuer's": (DISCOVERY_PATH, Reply(body=discovery(issuer="https://a.com")), "names another issuer"),
    "without keys": (DISCOVERY_PATH, Reply(body=b'{"issuer": "SELF"}'), "address of its keys is not https"),
    "keys over http": (DISCOVERY_PATH, Reply(body=discovery(jwks_uri="http://a.com/k")), "keys is not https"),
    "keys nowhere": (DISCOVERY_PATH, Reply(body=discovery(jwks_uri="https://[::1/k")), "could not be fetched"),
    "keys in a file": (DISCOVERY_PATH, Reply(body=discovery(jwks_uri="file:///etc/passwd")), "keys is not https"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_while_keys_cannot_be_fetched_no_token_is_accepted_and_the_next_try_is_a_minute_later(
    api: FakeIssuer, issuer: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path, reply, reason = WRONG[name]
    api.replies[path] = replace(reply, body=reply.body.replace(b"SELF", api.url.encode()))
    token = api.token()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(ConnectionFailedError):
                await issuer.verify(token)
    assert len(caplog.records) == 1
    assert "The keys of FORMANT_HTTP_ISSUER could not be fetched" in caplog.text
    assert reason in caplog.text
    assert len(api.requests) <= 2
    api.replies.clear()
    clock.seconds += FETCH_EVERY_SECONDS
    assert await issuer.verify(token)


async def test_an_issuer_that_is_too_slow_is_not_waited_for(
    api: FakeIssuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer(api.url, AUDIENCE, clock, most_seconds=0.05)
    api.gate.shut()
    with pytest.raises(ConnectionFailedError):
        await issuer.verify(api.token())
    api.gate.open()
    assert "could not be fetched: TimeoutError" in caplog.text


async def test_keys_are_used_until_the_hour_is_over_while_the_issuer_is_down(
    api: FakeIssuer, issuer: Issuer, clock: Clock
) -> None:
    assert await issuer.verify(api.token())
    api.replies[DISCOVERY_PATH] = Reply(503)
    clock.seconds += KEYS_LAST_SECONDS - 1
    assert await issuer.verify(sign(api.claims(), new_key(key_id="unknown"))) is None
    assert await issuer.verify(api.token())
    clock.seconds += 1
    with pytest.raises(ConnectionFailedError):
        await issuer.verify(api.token())


async def test_nothing_is_fetched_for_what_is_no_token(api: FakeIssuer, issuer: Issuer) -> None:
    deep = encoded(b"[" * 20_000, b"{}", b"")
    unreadable = (encoded({"alg": "RS256", "kid": 5}, {}, b""), encoded({"alg": []}, b"", b""))
    for text in ("", ".", "..", "a.b.c", deep, *unreadable):
        assert await issuer.verify(text) is None
    assert api.requests == []


PARTS = st.lists(st.binary(max_size=60), max_size=4)


@given(st.text(st.characters(codec="latin-1"), max_size=300) | PARTS.map(lambda parts: encoded(*parts)))
def test_any_text_is_refused_without_an_error(text: str) -> None:
    async def verify() -> None:
        assert await Issuer("http://127.0.0.1:9", AUDIENCE).verify(text) is None

    asyncio.run(verify())
