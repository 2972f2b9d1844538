"""Links to files of this server: each works once, within ten minutes, for the member it was made for."""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from formant_mcp.audio import KINDS, UNKNOWN
from formant_mcp.exports import MEDIA_TYPES
from formant_mcp.server.members import sender_of

_log = logging.getLogger(__name__)

FILES_PATH = "/files"
_LINK_SECONDS = 600.0
_MOST_LINKS_OF_ONE = 1_000
_MOST_LINKS = 10_000
_HEADERS = {"Accept-Ranges": "none", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _call_later(seconds: float, action: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, action)


@dataclass(frozen=True, slots=True)
class _Link:
    path: Path
    is_temporary: bool

    def end(self) -> None:
        """Deletes the file if it is only for this link."""
        if self.is_temporary:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:
                _log.warning("An export could not be deleted: %s", type(error).__name__)


class _File(FileResponse):
    """The file of a link, which ends with the response, whatever becomes of that; except for a response to HEAD.

    It is the whole file, also where a part is wanted (RFC 9110, 14.2: Range may be ignored): the rest could not follow.
    """

    def __init__(self, link: _Link) -> None:
        path = link.path
        media_type = MEDIA_TYPES.get(path.suffix) or KINDS.get(path.suffix, UNKNOWN).media_type
        super().__init__(path, headers=_HEADERS, media_type=media_type, filename=path.name)
        self._link = link

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0] not in (b"range", b"if-range")]
        try:
            await super().__call__({**scope, "headers": headers}, receive, send)
        finally:
            if scope["method"] == "GET":
                self._link.end()


class Downloads:
    """The links that may still be used, of each sender by the hash of its secret: secrets are not kept.

    Each sender's are limited, and of too many of all senders, the sender with the most loses the oldest.
    """

    def __init__(self, call_later: Callable[[float, Callable[[], None]], None] = _call_later) -> None:
        self._call_later = call_later
        self._links: dict[str, dict[bytes, _Link]] = {}
        self._count = 0

    def publish(self, request: Request, path: Path, *, is_temporary: bool = False) -> str:
        """A link to a file, at the address that the request was sent to, for its sender.

        A temporary file is deleted when the link has been used or has ended.
        """
        sender, secret = sender_of(request.scope), secrets.token_urlsafe(32)
        digest = _digest(secret)
        links = self._links.setdefault(sender, {})
        if len(links) >= _MOST_LINKS_OF_ONE:
            self._end(sender, next(iter(links)))
        elif self._count >= _MOST_LINKS:
            largest = max(self._links, key=lambda sender: len(self._links[sender]))
            self._end(largest, next(iter(self._links[largest])))
        self._links.setdefault(sender, {})[digest] = _Link(path, is_temporary)
        self._count += 1
        self._call_later(_LINK_SECONDS, lambda: self._end(sender, digest))
        return f"{str(request.base_url).rstrip('/')}{FILES_PATH}/{secret}"

    async def download(self, request: Request) -> Response:
        """The file of a link, which then no longer works; 404 if there is no such link for the sender."""
        sender, digest = sender_of(request.scope), _digest(request.path_params["secret"])
        link = self._links.get(sender, {}).get(digest)
        if link is None or not link.path.is_file():
            return PlainTextResponse("No such file, or no longer: a link works once, within ten minutes.", 404)
        if request.method == "GET":
            self._remove(sender, digest)
        return _File(link)

    def close(self) -> None:
        """Ends all links."""
        for sender, links in list(self._links.items()):
            for digest in list(links):
                self._end(sender, digest)

    def _end(self, sender: str, digest: bytes) -> None:
        link = self._remove(sender, digest)
        if link:
            link.end()

    def _remove(self, sender: str, digest: bytes) -> _Link | None:
        links = self._links.get(sender, {})
        link = links.pop(digest, None)
        self._count -= link is not None
        if not links:
            self._links.pop(sender, None)
        return link


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
