"""An OpenID Connect issuer on loopback whose keys rotate and whose documents can be wrong; joserfc signs its tokens."""

import json
import time
from functools import cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from formant_mcp.demo.apis.api import Request
from tests.fake_http import LoopbackServer, Reply

AUDIENCE = "https://calls.example.com/mcp"
KEYS_PATH = "/keys"
DISCOVERY_PATH = "/.well-known/openid-configuration"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def new_key(algorithm: str = "RS256", key_id: str = "first") -> Key:
    """A private key for that algorithm."""
    match algorithm:
        case "ES256" | "ES384" | "ES512":
            curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm]
            return ECKey.generate_key(curve, {"kid": key_id})
        case "EdDSA":
            return OKPKey.generate_key("Ed25519", {"kid": key_id})
        case _:
            return RSAKey.generate_key(2048, {"kid": key_id})


@cache
def _first_key() -> Key:
    """The key that issuers begin with: to make one takes 0.1 s."""
    return new_key()


def sign(claims: dict[str, Any], key: Key, algorithm: str = "RS256", **header: Any) -> str:
    """A JWT with that header beside `alg` and the key's `kid`; None leaves one out."""
    fields = {"alg": algorithm, "kid": key.kid, **header}
    sent = {name: value for name, value in fields.items() if value is not None}
    return jwt.encode(sent, claims, key, algorithms=[algorithm])


class FakeIssuer(LoopbackServer):
    """Publishes `keys`. `replies` replace the answer at a path."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = [_first_key()]
        self.replies: dict[str, Reply] = {}

    def answer(self, request: Request) -> Reply:
        """The discovery document and the keys, or what is set instead."""
        if request.path in self.replies:
            return self.replies[request.path]
        if request.path == DISCOVERY_PATH:
            return json_reply({"issuer": self.url, "jwks_uri": self.url + KEYS_PATH})
        if request.path == KEYS_PATH:
            return json_reply({"keys": [key.as_dict(private=False) for key in self.keys]})
        return Reply(404)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Claims of a token that is valid for an hour; None leaves one out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "u-1", "iat": now, "exp": now + 3600}
        return {name: value for name, value in (usual | changed).items() if value is not None}

    def token(self, **claims: Any) -> str:
        """A token by the first key with these claims."""
        return sign(self.claims(**claims), self.keys[0])


def json_reply(document: object) -> Reply:
    """A JSON document."""
    return Reply(body=json.dumps(document).encode())
