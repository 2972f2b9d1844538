"""Who sends a request over HTTP: the member of a checked token, or the peer where no tokens are needed."""

import hashlib
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken, principal_components
from mcp.server.context import ServerRequestContext
from starlette.types import Scope

from formant_mcp.members import Member

_LOGIN_DIGITS = 12


class MemberToken(AccessToken):
    """A checked token with the member it belongs to: what a verifier returns.

    `client_id` is the hash of a token, not its name, which the next token may have. A login has its subject there, and
    its issuer in `claims`. The name is nowhere but in `member`.
    """

    member: Member


def member_of(request: ServerRequestContext[Any]) -> Member | None:
    """The member who sent a request; None on stdio, and over HTTP without access control."""
    token = _token_in(request.request.scope) if request.request else None
    return token and token.member


def name_of_sender(scope: Scope) -> str:
    """The name of whoever sent an HTTP request: the member's, or the peer's address."""
    token = _token_in(scope)
    if token:
        return token.member.name
    return peer_of(scope)


def peer_of(scope: Scope) -> str:
    """The address that an HTTP request comes from."""
    return scope["client"][0] if scope.get("client") else "unknown"


def login_of_sender(scope: Scope) -> str:
    """The first digits of the SHA-256 of the subject whose login sent an HTTP request; "" for any other sender."""
    token = _token_in(scope)
    return hashlib.sha256(token.subject.encode()).hexdigest()[:_LOGIN_DIGITS] if token and token.subject else ""


def sender_of(scope: Scope) -> str:
    """Who sent an HTTP request, apart from all others: a token, or issuer and subject of a login.

    Sessions belong to the same. No name is in it: people may log in with any, and a revoked token's may be given again.
    """
    token = _token_in(scope)
    return repr(principal_components(token)) if token else peer_of(scope)


def _token_in(scope: Scope) -> MemberToken | None:
    user = scope.get("user")
    if user is None:
        return None
    # A token without a member must not count as a request without access control, to which everything is open.
    if not isinstance(user, AuthenticatedUser) or not isinstance(user.access_token, MemberToken):
        raise TypeError("the verifier returned a token without a member")
    return user.access_token
