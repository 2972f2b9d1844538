"""Links to files of this server: each works once, within ten minutes, for the member it was made for."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from formant_mcp.audio import KINDS, UNKNOWN
from formant_mcp.exports import MEDIA_TYPES
from formant_mcp.server.members import sender_of

FILES_PATH = "/files"
_LINK_SECONDS = 600.0
_MOST_LINKS = 1_000
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class _Link:
    digest: bytes
    sender: str
    path: Path
    ends_at: float


class Downloads:
    """The links that may still be used. Only hashes of their secrets are kept, in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._links: list[_Link] = []

    def publish(self, request: Request, path: Path) -> str:
        """A link to a file, at the address that the request was sent to, for its sender."""
        secret = secrets.token_urlsafe(32)
        link = _Link(_digest(secret), sender_of(request.scope), path, self._clock() + _LINK_SECONDS)
        self._links = [*self._current()[1 - _MOST_LINKS :], link]
        return f"{str(request.base_url).rstrip('/')}{FILES_PATH}/{secret}"

    async def download(self, request: Request) -> Response:
        """The file of a link, which then no longer works; 404 if there is no such link for the sender."""
        link = self._find(sender_of(request.scope), request.path_params["secret"])
        if link is None or not link.path.is_file():
            return PlainTextResponse("No such file, or no longer: a link works once, within ten minutes.", 404)
        if request.method == "GET":
            self._links.remove(link)
        media_type = MEDIA_TYPES.get(link.path.suffix) or KINDS.get(link.path.suffix, UNKNOWN).media_type
        return FileResponse(link.path, headers=_HEADERS, media_type=media_type, filename=link.path.name)

    def _find(self, sender: str, secret: str) -> _Link | None:
        digest = _digest(secret)
        own = (link for link in self._current() if link.sender == sender)
        return next((link for link in own if hmac.compare_digest(link.digest, digest)), None)

    def _current(self) -> list[_Link]:
        now = self._clock()
        return [link for link in self._links if link.ends_at > now]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
