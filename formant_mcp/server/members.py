"""Who sends a request over HTTP: the member of a checked token, or the peer where no tokens are needed."""

from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from starlette.types import Scope

from formant_mcp.members import Member


class MemberToken(AccessToken):
    """A checked token with the member it belongs to: what a verifier returns."""

    member: Member


def member_of(request: ServerRequestContext[Any]) -> Member | None:
    """The member who sent a request; None on stdio, and over HTTP without access control."""
    return _member_in(request.request.scope) if request.request else None


def sender_of(scope: Scope) -> str:
    """The name of whoever sent an HTTP request: the member's, or the peer's address."""
    member = _member_in(scope)
    if member:
        return member.name
    return scope["client"][0] if scope.get("client") else "unknown"


def _member_in(scope: Scope) -> Member | None:
    user = scope.get("user")
    if user is None:
        return None
    # A token without a member must not count as a request without access control, to which everything is open.
    if not isinstance(user, AuthenticatedUser) or not isinstance(user.access_token, MemberToken):
        raise TypeError("the verifier returned a token without a member")
    return user.access_token.member
