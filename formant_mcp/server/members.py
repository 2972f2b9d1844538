"""Who sends a request over HTTP: the member of a checked token."""

from mcp.server.auth.provider import AccessToken

from formant_mcp.members import Member


class MemberToken(AccessToken):
    """A checked token with the member it belongs to: what a verifier returns."""

    member: Member
