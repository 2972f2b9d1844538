"""How many turns and conversations say a word, counted when they are saved: nothing counts a common word fast enough.

Words are counted by their stem, as they are searched. Each save adds one row with its changes, not one for each word:
an object in JSON with a text of six numbers for each stem. Sixteen rows of a level become one of the next level, so
there are never many to add up.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import repeat

from formant_mcp.filters import Role
from formant_mcp.store.engine import Forms
from formant_mcp.text_search.query import Expression
from formant_mcp.text_search.tokenizer import divided, stem

TABLE = "word_counts"
MERGED = 16
"""Rows of a level that become one of the next."""
_ANALYZED_FROM = 2  # level: a row of it has the changes of 256 saves
_LONGEST_WORD = 64  # characters; longer ones are not counted
_NOTHING = "0 0 0 0 0 0"

Counts = dict[str, str]
"""Six numbers of each stem: turns where the agent says it, the contact, anybody else; conversations where the agent
says it, the contact, anybody."""
Said = tuple[int, str, Iterable[str]]
"""A conversation's row, who spoke, and the words of a turn."""


class _Stems(dict[str, str]):
    """The stems of words, each computed once."""

    def __missing__(self, word: str) -> str:
        self[word] = result = stem(word) if len(word) <= _LONGEST_WORD else ""
        return result


def count(turns: Iterable[Said], sign: int = 1) -> Counts:
    """The numbers of these turns, all that their conversations have; `sign`: -1 if they are deleted."""
    stem_of, places = _Stems(), {"agent": 0, "contact": 1}
    in_turns, in_conversations = ([list[str]() for _ in range(3)] for _ in range(2))
    rows = defaultdict[int, tuple[set[str], ...]](lambda: (set(), set(), set()))
    for row, role, words in turns:
        place, stems = places.get(role, 2), set(map(stem_of.__getitem__, words))
        in_turns[place].extend(stems)
        rows[row][place].update(stems)
    for agent, contact, other in rows.values():
        for place, stems in enumerate((agent, contact, agent | contact | other)):
            in_conversations[place].extend(stems)
    counters = [Counter(stems) for stems in (*in_turns, *in_conversations)]
    said = [text for text in counters[-1] if text]
    columns = (map(counter.get, said, repeat(0)) for counter in counters)
    return dict(zip(said, map(_to_text, zip(*columns, strict=True), repeat(sign)), strict=True))


@lru_cache(4096)  # many words are said once
def _to_text(numbers: tuple[int, ...], sign: int) -> str:
    return " ".join([str(sign * number) for number in numbers])


def merged(rows: Iterable[Counts]) -> Counts:
    """The sums of rows, without stems that nobody says any more."""
    sums = defaultdict[str, list[str]](list)
    for row in rows:
        for said, numbers in row.items():
            sums[said].append(numbers)
    added = {said: " ".join(map(str, _sum(numbers))) for said, numbers in sums.items()}
    return {said: numbers for said, numbers in added.items() if numbers != _NOTHING}


def _sum(texts: Iterable[str]) -> list[int]:
    return [sum(map(int, column)) for column in zip(*(text.split() for text in texts), strict=True)]


def has_doubled(level: int, number: int, levels: Iterable[int]) -> bool:
    """Whether a new row shows that the account has doubled; `levels`: those that had rows before."""
    return level >= max([_ANALYZED_FROM, *levels]) and number.bit_count() == 1


def common_stem(expression: Expression, forms: Forms) -> tuple[str, set[str]]:
    """The stem of all words that match an expression, and these words; '' if it has no such stem, or more than words.

    Its numbers are those of the expression if the account has no other words of that stem.
    """
    if len(expression.all_of) != 1 or expression.none_of:
        return "", set()
    words = {form for term in expression.all_of[0] for form in forms(term)}
    is_counted = all(
        len(divided(word)) == 1 and len(word) <= _LONGEST_WORD and not word.endswith("*") for word in words
    )
    stems = set(map(stem, words)) if is_counted else set[str]()
    return (stems.pop(), words) if len(stems) == 1 else ("", set())


def hits(texts: Iterable[str], role: Role) -> tuple[int, int]:
    """How many turns of that role say a stem, in how many conversations; `texts`: its numbers in each row."""
    agent, contact, other, by_agent, by_contact, by_anybody = _sum([_NOTHING, *texts])
    match role:
        case "agent":
            return agent, by_agent
        case "contact":
            return contact, by_contact
        case "any":
            return agent + contact + other, by_anybody
