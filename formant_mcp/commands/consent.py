"""Asks before something is changed."""

import sys

_NOBODY = 2


def consent(question: str, done: str, *, is_given: bool) -> int:
    """0 if `--yes` was given or somebody agrees; else the exit status, after a line that nothing was `done`: 1, or 2 if
    nobody could answer."""
    if is_given:
        return 0
    if not sys.stdin.isatty():
        print(
            f"Nothing was {done}: there is no terminal to confirm it in. Add --yes to do it without asking.",
            file=sys.stderr,
        )
        return _NOBODY
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return 0
    print(f"Nothing was {done}.", file=sys.stderr)
    return 1
