"""Verifies the JWTs of an OpenID Connect issuer with the keys that it publishes.

What is wrong with a token is only in the log, and there as the name of an error: nobody learns it from an answer.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import httpx
import jwt
from pydantic import JsonValue

from formant_mcp.errors import ConnectionFailedError
from formant_mcp.members import Member
from formant_mcp.models import clean
from formant_mcp.redaction.kinds import KINDS
from formant_mcp.settings import is_secure

_log = logging.getLogger(__name__)

LEEWAY_SECONDS = 60
FETCH_EVERY_SECONDS = 60.0
KEYS_LAST_SECONDS = 3600.0  # so that a key that the issuer withdraws is refused within the hour
MOST_BYTES = 262_144
_DISCOVERY = "/.well-known/openid-configuration"
# RFC 8725, 3.1 and 3.2: a fixed list, without `none`, and without the symmetric ones, for which a public key would do.
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS = (*_RSA, "ES256", "ES384", "ES512", "EdDSA")
_NAME_CLAIMS = ("preferred_username", "email", "sub")
_AGENTS_CLAIM = "formant_agents"
_REDACT_CLAIM = "formant_redact"
_LONGEST_NAME = 60

JsonObject = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Login:
    """Who a valid JWT is about. `subject` is unique at its issuer; the name is not, and people may choose it."""

    member: Member
    subject: str


@dataclass(frozen=True, slots=True)
class _Key:
    key_id: str | None
    key: jwt.PyJWK
    algorithms: Sequence[str]


class Issuer:
    """An OpenID Connect issuer, whose tokens for `audience` are accepted.

    Its keys are fetched when they are needed, and again for an unknown key: at most once a minute, and within
    `most_seconds`.
    """

    def __init__(
        self, address: str, audience: str, monotonic: Callable[[], float] = time.monotonic, most_seconds: float = 10
    ) -> None:
        self.address = address
        self._audience = audience
        self._monotonic = monotonic
        self._most_seconds = most_seconds
        self._keys: list[_Key] = []
        self._fetched_at = self._tried_at = -math.inf
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> Login | None:
        """Who the token is about; None if it is not valid.

        Raises:
            ConnectionFailedError: it cannot be verified now, because the issuer's keys cannot be fetched.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in _ALGORITHMS:
                return None
            key = await self._key(header.get("kid"))
            claims = key and self._claims(token, key)
        except jwt.PyJWTError as error:
            _log.debug("a JWT is refused: %s", type(error).__name__)
            return None
        return _login(claims) if claims else None

    def _claims(self, token: str, key: _Key) -> JsonObject:
        return jwt.decode(
            token,
            key.key.key,
            key.algorithms,
            audience=self._audience,
            issuer=self.address,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
        )

    async def _key(self, key_id: str | None) -> _Key | None:
        """The key of that id; a token without an id is of the only key."""
        key = self._find(key_id)
        if key is None:
            async with self._lock:  # one fetches, the others wait for it
                if self._monotonic() - self._tried_at >= FETCH_EVERY_SECONDS:
                    self._tried_at = self._monotonic()
                    await self._fetch()
            key = self._find(key_id)
        if key is None and not self._is_fresh():
            raise ConnectionFailedError("The issuer's keys cannot be fetched.", "Retry in a minute.")
        return key

    def _find(self, key_id: str | None) -> _Key | None:
        if not self._is_fresh():
            return None
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == key_id), None)

    def _is_fresh(self) -> bool:
        return self._monotonic() - self._fetched_at < KEYS_LAST_SECONDS

    async def _fetch(self) -> None:
        """Replaces the keys by those that the issuer has now; keeps them if that fails."""
        try:
            async with asyncio.timeout(self._most_seconds), httpx.AsyncClient(follow_redirects=False) as client:
                document = await _get_json(client, self.address.rstrip("/") + _DISCOVERY)
                if document.get("issuer") != self.address:
                    raise ValueError("its discovery document names another issuer")
                keys_address = document.get("jwks_uri")
                if not isinstance(keys_address, str) or not is_secure(keys_address):
                    raise ValueError("the address of its keys is not https")
                key_set = await _get_json(client, keys_address)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            reason = str(error) if type(error) is ValueError else type(error).__name__
            _log.warning("The keys of FORMANT_HTTP_ISSUER could not be fetched: %s", reason)
            return
        self._keys, self._fetched_at = _parse_keys(key_set.get("keys")), self._monotonic()


async def _get_json(client: httpx.AsyncClient, address: str) -> JsonObject:
    """The JSON object at that address.

    Raises:
        httpx.HTTPError, httpx.InvalidURL: it cannot be fetched. ValueError: it is not one, or too large.
    """
    body = bytearray()
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client.stream("GET", address, headers=headers) as response:
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}")
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES} bytes")
    try:
        document = json.loads(bytes(body))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return cast(JsonObject, document)


def _parse_keys(key_set: JsonValue) -> list[_Key]:
    """The public keys for signatures of a JWK set, those that can be used (RFC 7517)."""
    keys = list[_Key]()
    for data in key_set if isinstance(key_set, list) else []:
        if not isinstance(data, dict) or data.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(data)
        except (jwt.PyJWTError, TypeError):  # TypeError: a field of another kind, such as a list for `alg`
            continue
        # An RSA key is for all of RSA's algorithms unless it names one; the curve of others decides.
        can_be_any = data.get("kty") == "RSA" and not data.get("alg")
        algorithms = _RSA if can_be_any else [name for name in _ALGORITHMS if name == key.algorithm_name]
        if algorithms:
            keys.append(_Key(key.key_id, key, algorithms))
    return keys


def _login(claims: JsonObject) -> Login | None:
    """Who the claims are about; None if they name nobody, or limit the agents in a form that is not understood."""
    names = [clean(name) for name in map(claims.get, _NAME_CLAIMS) if isinstance(name, str)]
    name, subject = next(filter(None, names), "")[:_LONGEST_NAME], claims.get("sub")
    if not isinstance(subject, str) or not subject.strip() or not subject.isprintable():
        _log.info("A login is refused: its subject cannot be read.")
        return None
    agents, redacts = _parse_list(claims, _AGENTS_CLAIM), _parse_list(claims, _REDACT_CLAIM)
    if not name or agents is None or redacts is None or not redacts.issubset(KINDS):
        wrong = _AGENTS_CLAIM if agents is None else _REDACT_CLAIM
        _log.info("A login is refused: %s.", "it names nobody" if not name else f"{wrong} cannot be read")
        return None
    return Login(Member(name, agents, redacts), subject)


def _parse_list(claims: JsonObject, claim: str) -> frozenset[str] | None:
    """What a claim lists; an empty set without that claim.

    None if it is empty or of another form, which must never mean all agents, or that nothing is hidden.
    """
    if claim not in claims:
        return frozenset()
    sent = claims[claim]
    names = [name for item in (sent if isinstance(sent, list) else [sent]) for name in _split(_name_in(item))]
    return frozenset(names) if names and all(names) else None


def _name_in(item: JsonValue) -> str:
    """The text, or the digits of a whole number; "" for anything else."""
    if isinstance(item, int) and not isinstance(item, bool) and item >= 0:
        return str(item)
    return item if isinstance(item, str) and item.strip() else ""


def _split(text: str) -> list[str]:
    """The names in a text, with commas or blanks between them; "" among them where one is missing beside a comma."""
    return [name for part in text.split(",") for name in part.split() or [""]]
