"""Everything that can go wrong, in our own words.

    FormantError                     message · hint (the next step) · retryable
    ├─ ConfigurationError            a setting; names the variable
    ├─ InvalidRequestError           an argument; names it and what it accepts
    │  └─ CursorRejectedError        the provider does not accept a cursor, or no longer
    ├─ AuthenticationError           401: the key is missing, wrong or revoked
    ├─ PermissionDeniedError         403: the key may not do this
    ├─ NotFoundError                 404: no such conversation or recording
    ├─ RateLimitError                429: retry_after_seconds to wait
    ├─ ServiceError                  5xx and anything else unexpected
    ├─ ConnectionFailed              the service cannot be reached
    │  └─ RequestTimedOut            it was reached, or not, but too slowly
    ├─ InvalidResponseError          the answer breaks the API's own form; names the field, never the body
    └─ StoreError                    full disk, locked, damaged, from a newer version

A message never holds a key, a response body or what anybody said on a call.
"""

ASK_AGAIN = "Ask again; if it stays so, tell the provider."
CHECK_ADDRESS = "Check FORMANT_BASE_URL: another service may be answering."


class FormantError(Exception):
    """The base of the tree: `message` says what is wrong, `hint` the next step."""

    retryable = False

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


class RateLimitError(FormantError):
    """The allowance is used up (429)."""

    retryable = True

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class ServiceError(FormantError):
    """The service failed (5xx), or answered with a status it does not document."""

    retryable = True


class ConnectionFailed(FormantError):
    """The service could not be reached, or hung up in the middle of an answer."""

    retryable = True


class RequestTimedOut(ConnectionFailed):
    """The service did not answer in time."""


class InvalidResponseError(FormantError):
    """The answer is not what the API promises."""


class StoreError(FormantError):
    """The local store cannot be used."""
