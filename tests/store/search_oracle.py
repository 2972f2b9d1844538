"""What a search means, in plain Python from the docstrings of `text_search.query`, and random searches."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from hypothesis import strategies as st

from formant_mcp.filters import Role
from formant_mcp.models import Turn
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.spelling import nearest, spellings
from formant_mcp.text_search.tokenizer import stem, words_in

# Few words, so that random searches have hits: endings, accents, a nukta, figures, unspaced scripts, joined words.
SPOKEN = (
    "refund Refunds refunded REFUNDING late fee fees café cafe लेट फ़ीस फीस फीसों वकील 15,000 १५००० 15 don't dont"
    " 返金 返 金返金を ค่าปรับ follow-up follow-ups followup up, e.g. ok? l'ordine dell’Ordine ordine lordine ALDIM aldım"
    " R-A-F-I rafi 15-15 a-15 paisa Paise पैसा पैसे vakil loan loans लोन paisa-पैसा"
)  # fmt: skip
WORDS = st.sampled_from(SPOKEN.split(" "))
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)
# Words with spellings of several distances.
SPELLED = (
    "vakil vakeel wakeel वकील bhugtan bhugtaan भुगतान पेमेंट payment pement refund zamanat jamanat जमानत pesa paisa पैसे"
)
SPELLED_TEXTS = st.lists(st.sampled_from(SPELLED.split()), max_size=3).map(" ".join)


def said_in(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Turn, ...]]:
    """Transcripts of a few turns, each one of these texts."""
    return st.lists(st.tuples(st.sampled_from(["agent", "contact", "system"]), texts), max_size=5).map(
        lambda said: tuple(Turn(index, *turn) for index, turn in enumerate(said))
    )


TURNS = said_in(TEXTS)
ROLES: st.SearchStrategy[Role] = st.sampled_from(["any", "agent", "contact"])


def folded(text: str) -> tuple[str, ...]:
    return tuple(word.folded for word in words_in(text))


def joined_in(text: str) -> set[str]:
    """Words that one apostrophe or hyphen joins (but not two figures), as one: all of them, and every two."""
    runs: list[list[str]] = []
    end = -1
    for word in words_in(text):
        gap = text[end : word.start]
        is_joined = len(gap) == 1 and gap in "'’-‐‑" and not text[end - 1 : word.start + 1 : 2].isdigit()
        if runs and is_joined:
            runs[-1].append(word.folded)
        else:
            runs.append([word.folded])
        end = word.end
    runs = [run for run in runs if len(run) > 1]
    return {"".join(run) for run in runs} | {a + b for run in runs for a, b in pairwise(run)}


@st.composite
def terms(draw: st.DrawFn) -> Term:
    """A word, one of joined words, a phrase of up to three, or a beginning of as many, its last word cut off."""
    words = folded(draw(st.lists(WORDS, min_size=1, max_size=2).map(" ".join)))[:3]
    match draw(st.sampled_from(["word", "joined", "phrase", "prefix"])):
        case "word":
            return Term(words[:1], "word")
        case "joined":
            return Term(folded(draw(st.sampled_from(["follow-up", "l'ordine", "r-a-f-i", "ra-fi", "a-15"]))), "word")
        case "phrase":
            return Term(words, "phrase")
        case _:
            return Term((*words[:-1], words[-1][: draw(st.integers(1, 4))]), "prefix")


EXPRESSIONS = st.builds(
    Expression,
    st.lists(st.lists(terms(), min_size=1, max_size=3).map(tuple), min_size=1, max_size=2).map(tuple),
    st.lists(terms(), max_size=2).map(tuple),
)


SPELLED_EXPRESSIONS = st.lists(
    st.lists(st.sampled_from(SPELLED.split()).map(lambda word: Term((word,), "word")), min_size=1, max_size=2).map(
        tuple
    ),
    min_size=1,
    max_size=2,
).map(lambda all_of: Expression(tuple(all_of)))


Spelled = Mapping[Term, Mapping[str, int]]
"""The other spellings of terms, with their distances."""


def spelled_in(turns: Iterable[Turn], expression: Expression) -> Spelled:
    """The other spellings of each single word that is not excluded, of the words that any of these turns say."""
    said = {word for turn in turns for word in folded(turn.text)}
    terms = {term for terms in expression.all_of for term in terms} - set(expression.none_of)
    words = {term: term.words[0] for term in terms if term.kind == "word" and len(term.words) == 1}
    others = {term: {other for other in said if stem(other) != stem(word)} for term, word in words.items()}
    return {term: nearest(word, spellings(word, others[term])) for term, word in words.items()}


def word(text: str) -> Expression:
    return Expression(((Term(folded(text), "word"),),))


def phrase(text: str) -> Expression:
    return Expression(((Term(folded(text), "phrase"),),))


def either(*words: str) -> Expression:
    return Expression((tuple(Term(folded(text), "word") for text in words),))


def is_hit(turn: Turn, expression: Expression, role: Role, spelled: Spelled | None = None) -> bool:
    """Whether the turn is by that role, says one of each, and nothing that it must not, which has no other spelling."""
    return (
        role in ("any", turn.role)
        and all(any(says(turn, term, spelled) for term in terms) for terms in expression.all_of)
        and not any(says(turn, term) for term in expression.none_of)
    )


def distance_of(turn: Turn, expression: Expression, role: Role, spelled: Spelled) -> int:
    """The least distance of spellings that are needed for the turn to be a hit; -1 if none are."""
    distances = {distance for words in spelled.values() for distance in words.values()}
    for most in (-1, *sorted(distances)):
        nearer = {term: {word: n for word, n in words.items() if n <= most} for term, words in spelled.items()}
        if is_hit(turn, expression, role, nearer):
            return most
    raise AssertionError("no hit")


def says(turn: Turn, term: Term, spelled: Spelled | None = None) -> bool:
    """Whether the term's words are anywhere in the turn, one right after the other; a word in any of its forms, or in
    another of these spellings."""
    said, count = folded(turn.text), len(term.words)
    if not (spelled or {}).get(term, {}).keys().isdisjoint(said):
        return True
    if term.kind == "word" and stem("".join(term.words)) in map(stem, {*said, *joined_in(turn.text)}):
        return True
    return any(_is(said[at : at + count], term) for at in range(len(said) - count + 1))


def alternatives_said(turns: list[Turn], expression: Expression, spelled: Spelled | None = None) -> int:
    """How many different alternatives (`a OR b`) some of these turns say."""
    alternatives = {term for terms in expression.all_of if len(terms) > 1 for term in terms}
    return sum(any(says(turn, term, spelled) for turn in turns) for term in alternatives)


def _is(said: tuple[str, ...], term: Term) -> bool:
    if term.kind == "prefix":
        return said[:-1] == term.words[:-1] and said[-1].startswith(term.words[-1])
    return said == term.words
