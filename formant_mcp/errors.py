"""Everything that can go wrong, in our own words. What to do about an error is decided by its class alone.

    FormantError                      message · hint (the next step)
    ├─ ConfigurationError             a setting; names the variable
    ├─ InvalidRequestError            an argument; names it and what it accepts
    │  └─ CursorRejectedError         the provider does not accept a cursor, or no longer
    ├─ AuthenticationError            401: the key is missing, wrong or revoked
    ├─ PermissionDeniedError          403: the key may not do this
    ├─ NotFoundError                  404: no such conversation or recording
    ├─ UnavailableError               the provider cannot answer now; a later question may be answered
    │  ├─ UnexpectedStatusError       a status that no API documents, or a gateway's answer
    │  └─ RetryableError              another try at once may be answered, after retry_after_seconds where it says so
    │     ├─ RateLimitError           429
    │     ├─ ServiceError             5xx
    │     ├─ ConnectionFailedError    the service cannot be reached
    │     │  └─ RequestTimeoutError   it was reached, or not, but too slowly
    │     └─ DamagedResponseError     what came was damaged on its way; also an InvalidResponseError
    ├─ InvalidResponseError           the answer breaks the API's own form; names the field, never the body
    └─ StoreError                     full disk, locked, damaged, from a newer version

A message never holds a key, a response body or what anybody said on a call.
"""

ASK_AGAIN = "Ask again; if it stays so, tell the provider."
CHECK_ADDRESS = "Check FORMANT_BASE_URL: another service may be answering."


class FormantError(Exception):
    """The base of the tree: `message` says what is wrong, `hint` the next step."""

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


class AuthenticationError(FormantError):
    """The key was refused (401)."""


class PermissionDeniedError(FormantError):
    """The key is good but may not do this (403)."""


class NotFoundError(FormantError):
    """The conversation or recording does not exist, or belongs to another account (404)."""


class UnavailableError(FormantError):
    """The provider cannot answer now; a later question may be answered."""


class UnexpectedStatusError(UnavailableError):
    """A status that the provider's API does not document, such as a gateway's."""


class RetryableError(UnavailableError):
    """Another try at once may be answered; after so many seconds where the provider says so."""

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class RateLimitError(RetryableError):
    """The allowance is used up (429)."""


class ServiceError(RetryableError):
    """The service failed (5xx)."""


class ConnectionFailedError(RetryableError):
    """The service could not be reached, or hung up in the middle of an answer."""


class RequestTimeoutError(ConnectionFailedError):
    """The service did not answer in time."""


class InvalidResponseError(FormantError):
    """The answer is not what the API promises."""


class DamagedResponseError(RetryableError, InvalidResponseError):
    """The answer was damaged on its way: cut off, empty, a web page."""


class StoreError(FormantError):
    """The local store cannot be used."""
