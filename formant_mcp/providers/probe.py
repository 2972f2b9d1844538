"""One request that shows whether the provider answers and accepts the key, and if not, why not."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from formant_mcp.errors import (
    AuthenticationError,
    ConnectionFailedError,
    DamagedResponseError,
    FormantError,
    PermissionDeniedError,
    RequestTimeoutError,
    UnexpectedStatusError,
)
from formant_mcp.models import Page
from formant_mcp.providers.base import AnyProvider
from formant_mcp.providers.rest import RestProvider

Fault = Literal["", "address", "key", "service"]
_LONGEST_ID = 40
_MOST_SECONDS = 10.0  # for the answer, if nothing else is wanted
_OF_THE_SYSTEM = "the system's settings of proxies"
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OWN_CERTIFICATE = (
    "If a company's proxy or a virus scanner inspects connections, set SSL_CERT_FILE in the server's env to a PEM file"
    " with its certificate."
)


@dataclass(frozen=True, slots=True)
class Probe:
    """What one request showed. `fault`: what is wrong, '' if nothing; `message` and `hint` say it in sentences.

    `proxy`: the proxy that requests go through, '' for none. `ahead`: how far this machine's clock is before the
    provider's; None if that did not answer with its time. `agents`: the ids of those of the newest calls.
    """

    fault: Fault = ""
    message: str = ""
    hint: str = ""
    proxy: str = ""
    ahead: timedelta | None = None
    agents: tuple[str, ...] = ()


async def probe(
    open_provider: Callable[[], AnyProvider], address: str, now: Callable[[], datetime], seconds: float | None = None
) -> Probe:
    """Requests the first page of the list, once, the way that the server does; waits so many seconds for it.

    Raises:
        ConfigurationError: the provider has no address of its own, and none is set.
    """
    seconds = seconds or _MOST_SECONDS
    proxy = proxy_of(address)
    try:
        provider = open_provider()
    except (ValueError, ImportError):  # of the proxy: httpx knows no such scheme
        hint = "It must be http://host:port; if the provider is to be called without it, add its host to NO_PROXY."
        names = _set_proxies("http", "https", "all") or [_OF_THE_SYSTEM]
        says = "says" if len(names) == 1 else "say"
        return Probe("address", f"No proxy can be used as {' and '.join(names)} {says}.", hint, proxy)
    except OSError:  # of certificates, among them errors of ssl
        message = f"The certificates that {_certificate_named()} names cannot be read."
        return Probe("address", message, "Set it to a PEM file.", proxy)
    if not isinstance(provider, RestProvider):
        raise TypeError("A provider without HTTP.")
    http = provider.without_retries()
    fault: Fault = ""
    message = hint = ""
    agents: tuple[str, ...] = ()
    try:
        with anyio.fail_after(seconds):
            agents = _agents(await _first_page(provider))
    except (TimeoutError, RequestTimeoutError):
        fault, message, hint = _too_late(address, proxy, seconds, has_begun=bool(http.last_date))
    except FormantError as error:
        fault, message, hint = _explained(error, address, proxy)
    finally:
        await provider.aclose()
    return Probe(fault, message, hint, proxy, _ahead(http.last_date, now()), agents)


def proxy_of(address: str) -> str:
    """The proxy for an address, without user and password; '' if there is none."""
    parts, proxies = urlsplit(address), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or not parts.hostname or proxy_bypass(parts.hostname):
        return ""
    shown = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return f"{shown.scheme}://{shown.netloc.rpartition('@')[2]}"


async def _first_page(provider: AnyProvider) -> Page:
    if provider.pagination == "cursor":
        return (await provider.list_page("")).page
    return await provider.list_page(0)


def _agents(page: Page) -> tuple[str, ...]:
    return tuple(sorted({call.agent_id[:_LONGEST_ID] for call in page.conversations if call.agent_id}))


def _ahead(date: str, now: datetime) -> timedelta | None:
    try:
        sent_at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return now - (sent_at if sent_at.tzinfo else sent_at.replace(tzinfo=UTC))


def _explained(error: FormantError, address: str, proxy: str) -> tuple[Fault, str, str]:
    """What an error says is wrong, and the next step."""
    match error:
        case AuthenticationError() | PermissionDeniedError():
            return "key", error.message, error.hint
        case ConnectionFailedError():
            return "address", *_unconnected(_causes(error), address, proxy)
        case UnexpectedStatusError() | DamagedResponseError():
            return "address", error.message, error.hint
        case _:
            return "service", error.message, error.hint


def _too_late(address: str, proxy: str, seconds: float, *, has_begun: bool) -> tuple[Fault, str, str]:
    """What an answer that did not come in time says is wrong; `has_begun`: whether some of it came."""
    if has_begun:
        return "service", f"The API does not complete its response within {seconds:g} s.", "Retry later."
    host, way = _ends(address, proxy)
    hint = f"Check the network.{_bypass(proxy) or _needs_proxy(address)}"
    return "address", f"{host} does not answer within {seconds:g} s{way}.", hint


def _ends(address: str, proxy: str) -> tuple[str, str]:
    """The host that is called, and through what, in words."""
    return urlsplit(address).hostname or address, f" through the proxy {proxy}" if proxy else ""


def _bypass(proxy: str) -> str:
    return " If it is to be called without the proxy, add its host to NO_PROXY." if proxy else ""


def _needs_proxy(address: str) -> str:
    return f" If this network needs a proxy, set {urlsplit(address).scheme.upper()}_PROXY in the server's env."


def _proxy_setting(address: str) -> str:
    """What names the proxy for an address: one for its scheme comes before one for all."""
    return next(iter(_set_proxies(urlsplit(address).scheme, "all")), _OF_THE_SYSTEM)


def _set_proxies(*kinds: str) -> list[str]:
    """The variables that name proxies of these kinds, as they are spelled: in small letters they come first."""
    names = sorted((name for name, value in os.environ.items() if value), reverse=True)
    return [name for kind in kinds for name in names if name.lower() == f"{kind}_proxy"]


def _unconnected(causes: Iterator[BaseException], address: str, proxy: str) -> tuple[str, str]:
    """Why there was no connection, and the next step."""
    (host, way), bypass = _ends(address, proxy), _bypass(proxy)
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                reason = (cause.verify_message or "not trusted").rstrip(".")
                hint = (
                    f"{_certificate_named()} must hold the certificate that signs it." if _certificate_named() else ""
                )
                return f"The certificate of {host}{way} is not accepted: {reason}.", (hint or _OWN_CERTIFICATE) + bypass
            case ssl.SSLError():
                return f"No encrypted connection to {host}{way}.", _OWN_CERTIFICATE + bypass
            case socket.gaierror():
                name = f"of the proxy, {urlsplit(proxy).hostname}," if proxy else host
                return f"The name {name} does not resolve.", f"Check network, DNS and spelling.{bypass}"
            case httpx.ProxyError():
                hint = f"Check {_proxy_setting(address)}, with user and password if it needs them.{bypass}"
                return f"The proxy {proxy} refuses to connect to {host}.", hint
            case ConnectionRefusedError():
                hint = f"Check {_proxy_setting(address) if proxy else 'FORMANT_BASE_URL'} and the network.{bypass}"
                return f"Nothing answers at {proxy or address}.", hint
            case _:
                pass
    return f"{host} does not answer{way}.", f"Check the network.{bypass or _needs_proxy(address)}"


def _certificate_named() -> str:
    """The variables that name certificates, '' if none is set."""
    return " or ".join(name for name in _CERTIFICATES if os.environ.get(name))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors that led to this one, the first last."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
