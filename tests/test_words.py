"""Plain words in the package's code, comments, docstrings and texts, and in the names of tests (see CONTRIBUTING)."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "formant_mcp"
FOLDERS = sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")})

BANNED = re.compile(
    r"\b(?:look(?:s|ed|ing)?|glanc(?:e|es|ed)|reach(?:es|ed|ing)?|br(?:ing|ings|inging|ought)|gather(?:s|ed|ing)?"
    r"|tells?|telling|told|asked|reckon(?:s|ed|ing)?|anew|behind|stands?|stood|mend(?:s|ed)?|seldom|of no account"
    r"|troubles?)\b",
    re.IGNORECASE,
)
TEST = re.compile(r"\s*(?:async )?def (test_\w+)")
VAGUE_NAMES = frozenset({"asked", "each", "found", "known", "told", "trouble"})
ALLOWED = {
    ("providers/elevenlabs_json.py", "reached"): "quotes termination reasons: `Silence timeout reached`",
    ("providers/rate_limit.py", "reached"): "`Rate limit reached.` is what every API calls it",
    ("queries/coverage.py", "known"): "a field of the public contract",
    ("queries/profile.py", "gather"): "asyncio.gather",
    ("queries/transcripts.py", "gather"): "`asyncio.gather`",
    ("recordings/wav.py", "tell"): "`tell` is a method of every file",
    ("server/tools/schemas.py", "known"): "a field of the public contract",
    ("store/sqlite/database.py", "gather"): "asyncio.gather",
    ("sync/background.py", "gather"): "asyncio.gather",
}


def words_of(name: str) -> str:
    """`_read_frame_start` and `ReadFrameStart` as `read frame start`."""
    return " ".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)).lower()


def banned_words(source: str) -> Iterator[tuple[int, str]]:
    """Line and word of each banned word in names, comments and strings."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NAME, tokenize.COMMENT, tokenize.STRING):
            text = words_of(token.string) if token.type == tokenize.NAME else token.string
            for match in BANNED.finditer(text):
                yield token.start[0] + text.count("\n", 0, match.start()), match[0].lower()


def vague_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each variable, argument and function that does not say what it is."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Name(id=name, ctx=ast.Store())
                | ast.arg(arg=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
            ):
                if name in VAGUE_NAMES:
                    yield node.lineno, name
            case _:
                pass


def names_of_tests(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each test function."""
    for line, text in enumerate(source.splitlines(), start=1):
        if match := TEST.match(text):
            yield line, match[1]


def offences_in(folder: str) -> list[str]:
    """`module:line: word` for each."""
    root = PACKAGE / folder
    offences: list[str] = []
    for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
        source, name = path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix()
        for line, word in [*banned_words(source), *vague_names(source)]:
            if (name, word) not in ALLOWED:
                offences.append(f"{name}:{line}: {word}")
    return offences


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_banned_word_in(folder: str) -> None:
    assert offences_in(folder) == []


def test_no_banned_word_in_the_names_of_tests() -> None:
    assert [
        f"{path.relative_to(TESTS).as_posix()}:{line}: {name}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for line, name in names_of_tests(path.read_text(encoding="utf-8"))
        if BANNED.search(words_of(name))
    ] == []


@pytest.mark.parametrize(("name", "word"), ALLOWED)
def test_every_exception_is_needed(name: str, word: str) -> None:
    source = (PACKAGE / name).read_text(encoding="utf-8")
    assert word in {word for _, word in [*banned_words(source), *vague_names(source)]}


def test_banned_words_are_found_in_names_comments_and_strings() -> None:
    source = 'tell_all = 1  # asked\n"""First line.\n\nLooked."""\ntold: int\nfound = f(known=stands_in)\n'
    assert list(banned_words(source)) == [(1, "tell"), (1, "asked"), (4, "looked"), (5, "told"), (6, "stands")]
    assert sorted(vague_names(source)) == [(5, "told"), (6, "found")]
