"""Who may use the server over HTTP: members with a token of `formant-mcp token add`, or with a login at the issuer."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp.server.auth.handlers.metadata import ProtectedResourceMetadataHandler
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, BearerAuthBackend
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, cors_middleware
from mcp.shared.auth import ProtectedResourceMetadata
from pydantic import AnyHttpUrl
from starlette.authentication import AuthCredentials, AuthenticationError
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from formant_mcp.app import App
from formant_mcp.errors import FormantError
from formant_mcp.members import TOKEN_PREFIX
from formant_mcp.server.issuer import Issuer
from formant_mcp.server.members import MemberToken
from formant_mcp.settings import Settings

_log = logging.getLogger(__name__)

_METADATA_PATH = "/.well-known/oauth-protected-resource"
_RETRY_SECONDS = 60


class Verifier(TokenVerifier):
    """Finds the member that a token belongs to. Tokens with our prefix are in the store, all others the issuer's."""

    def __init__(self, open_app: Callable[[], Awaitable[App]], issuer: Issuer | None = None) -> None:
        self._open_app = open_app
        self._issuer = issuer

    async def verify_token(self, token: str) -> MemberToken | None:
        """The member's token, itself left out so that nothing can log it; None if it is not accepted.

        Raises:
            FormantError: it cannot be checked now.
        """
        if token.startswith(TOKEN_PREFIX):
            app = await self._open_app()
            member = await app.members.use(token, app.now())
            return member and MemberToken(token="", client_id=_id_of(token), scopes=[], member=member)
        if self._issuer is None:
            return None
        login = await self._issuer.verify(token)
        return login and MemberToken(
            token="",
            client_id=login.subject,  # not the name, which may be that of another member
            scopes=[],
            subject=login.subject,
            claims={"iss": self._issuer.address},
            member=login.member,
        )


def _id_of(token: str) -> str:
    """The id of a token, unlike that of any other, also of an earlier one of the same member."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_verifier(settings: Settings, open_app: Callable[[], Awaitable[App]]) -> Verifier:
    """The verifier for the settings; `open_app` opens the account, whose store has the tokens."""
    issuer = Issuer(settings.http_issuer, settings.http_audience) if settings.http_issuer else None
    return Verifier(open_app, issuer)


@dataclass(frozen=True, slots=True)
class Access:
    """How members are let in. `resource_url`: the public address of MCP; `issuer`: where members log in, if they do."""

    verifier: TokenVerifier
    resource_url: str
    issuer: str = ""

    def guard(self, app: ASGIApp) -> ASGIApp:
        """The same app, for members alone."""
        return members_only(app, self.verifier, self.resource_url, self.issuer)

    def routes(self) -> list[Route]:
        """Where clients find the login by themselves."""
        return metadata_routes(self.resource_url, self.issuer)


def members_only(app: ASGIApp, verifier: TokenVerifier, resource_url: str, issuer: str = "") -> ASGIApp:
    """The same app, for members alone.

    `resource_url`: the public address of MCP. With an `issuer`, a refusal points to the `metadata_routes`.
    """
    challenge = 'Bearer realm="formant-mcp"'  # RFC 6750, 3: at least one parameter
    if issuer:
        challenge = f'Bearer resource_metadata="{build_resource_metadata_url(AnyHttpUrl(resource_url))}"'
    checked = AuthContextMiddleware(_MembersOnly(app, _refusal(challenge, issuer)))
    return AuthenticationMiddleware(checked, _Backend(verifier), on_error=_unavailable)


def metadata_routes(resource_url: str, issuer: str) -> list[Route]:
    """Where clients find the issuer's login by themselves (RFC 9728), at both addresses that they try."""
    if not issuer:
        return []
    # Validated from text, because AnyHttpUrl would add a slash to the issuer, whose name is compared exactly.
    metadata = ProtectedResourceMetadata.model_validate({"resource": resource_url, "authorization_servers": [issuer]})
    methods = ["GET", "OPTIONS"]
    endpoint = cors_middleware(ProtectedResourceMetadataHandler(metadata).handle, methods)
    paths = dict.fromkeys([_METADATA_PATH + urlsplit(resource_url).path.rstrip("/"), _METADATA_PATH])
    return [Route(path, endpoint=endpoint, methods=methods) for path in paths]


class _Backend(BearerAuthBackend):
    """The SDK's, but it keeps a token that cannot be checked now apart from one that is refused."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, AuthenticatedUser] | None:
        try:
            return await super().authenticate(conn)
        except FormantError as error:
            _log.warning("A token cannot be checked: %s", error)
            raise AuthenticationError from None


class _MembersOnly:
    """Passes requests of members on, and answers all others with the same refusal."""

    def __init__(self, app: ASGIApp, refusal: ASGIApp) -> None:
        self._app = app
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_member = isinstance(scope["user"], AuthenticatedUser)
        await (self._app if is_member else self._refusal)(scope, receive, send)


def _refusal(challenge: str, issuer: str) -> JSONResponse:
    """How to log in, and nothing about what is wrong."""
    login = f", or log in at {issuer}" if issuer else ""
    description = (
        "Send a token as `Authorization: Bearer TOKEN`: whoever runs this server makes one by"
        f" `formant-mcp token add`{login}."
    )
    return _error("invalid_token", description, 401, {"WWW-Authenticate": challenge})


def _unavailable(_: HTTPConnection, __: AuthenticationError) -> JSONResponse:
    description = f"Tokens cannot be checked now. Retry in {_RETRY_SECONDS} seconds."
    return _error("temporarily_unavailable", description, 503, {"Retry-After": str(_RETRY_SECONDS)})


def _error(error: str, description: str, status: int, headers: Mapping[str, str]) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status, headers)
