"""How a command ends that fails."""

import sys

from formant_mcp.commands.shell_words import in_shell
from formant_mcp.errors import ConflictError, CursorRejectedError, FormantError, InvalidRequestError

FAILED, REFUSED = 1, 2


def report_failure(error: FormantError, *, is_demo: bool = False) -> int:
    """Prints what is wrong, and what to do; returns the exit status."""
    print(in_shell(str(error), is_demo=is_demo), file=sys.stderr)
    return status_of(error)


def status_of(error: FormantError) -> int:
    """The exit status: 2 for a value that is not accepted, else 1."""
    is_of_provider = isinstance(error, CursorRejectedError | ConflictError)
    return REFUSED if isinstance(error, InvalidRequestError) and not is_of_provider else FAILED
