"""All errors. Code decides by an error's class, never by its message.

    FormantError                      message · hint (the next step)
    ├─ ConfigurationError             a setting; names the variable
    ├─ InvalidRequestError            an argument; names it and what it accepts
    │  ├─ CursorRejectedError         the provider does not accept a cursor, or no longer
    │  └─ ConflictError               409: the request conflicts with another
    ├─ AuthenticationError            401: the key is missing, wrong or revoked
    ├─ PermissionDeniedError          403: the key may not do this
    ├─ NotFoundError                  404: no such conversation or recording
    │  └─ NotKeptError                a conversation that is too old to be kept here
    ├─ UnavailableError               the provider cannot answer now; a later question may be answered
    │  ├─ UnexpectedStatusError       a status that no API documents, or a gateway's response
    │  └─ RetryableError              a retry may succeed, after retry_after_seconds if set
    │     ├─ RateLimitError           429
    │     ├─ ServiceError             5xx
    │     ├─ ConnectionFailedError    no connection to the service
    │     │  └─ RequestTimeoutError   no response in time
    │     └─ DamagedResponseError     damaged in transit; also an InvalidResponseError
    ├─ InvalidResponseError           the response breaks the API's own format; names the field, never the body
    └─ StoreError                     full disk, locked, damaged, from a newer version

A message never holds a key, a response body or what anybody said on a call.
"""

ASK_AGAIN = "Retry; if it persists, report it to the provider."
CHECK_ADDRESS = "Check FORMANT_BASE_URL."


def with_extra(extra: str) -> str:
    """What to do where the packages of one of the program's extras are missing."""
    return f"Install the program again with its extra: `uv tool install '.[{extra}]'` in a copy of its repository."


class FormantError(Exception):
    """The base class: `message` says what is wrong, `hint` the next step."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigurationError(FormantError):
    """A setting is missing or unusable."""


class InvalidRequestError(FormantError):
    """An argument is outside what is accepted."""


class CursorRejectedError(InvalidRequestError):
    """The provider does not accept this cursor, or no longer; the list can be read again from its first page."""

    def __init__(self) -> None:
        super().__init__("cursor: rejected by the provider.", "Start again from the first page.")


class ConflictError(InvalidRequestError):
    """The request conflicts with another (409)."""


class AuthenticationError(FormantError):
    """The key was refused (401)."""


class PermissionDeniedError(FormantError):
    """The key is good but may not do this (403)."""


class NotFoundError(FormantError):
    """The conversation or recording does not exist, or belongs to another account (404)."""


class NotKeptError(NotFoundError):
    """The conversation started longer ago than calls are kept here."""


class UnavailableError(FormantError):
    """The provider cannot answer now; a later question may be answered."""


class UnexpectedStatusError(UnavailableError):
    """A status that the provider's API does not document, such as a gateway's."""


class RetryableError(UnavailableError):
    """A retry may succeed; after `retry_after_seconds`, if the provider says so."""

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class RateLimitError(RetryableError):
    """The rate limit is exceeded (429)."""


class ServiceError(RetryableError):
    """The service failed (5xx)."""


class ConnectionFailedError(RetryableError):
    """There was no connection to the service, or it broke off during a response."""


class RequestTimeoutError(ConnectionFailedError):
    """The service did not respond in time."""


class InvalidResponseError(FormantError):
    """The response is not what the API promises."""


class DamagedResponseError(RetryableError, InvalidResponseError):
    """The response was damaged in transit: truncated, empty, a web page."""


class StoreError(FormantError):
    """The local store cannot be used."""
