"""What a search means, in plain Python from the docstrings of `text_search.query`, and random searches."""

from itertools import pairwise

from hypothesis import strategies as st

from formant_mcp.filters import Role
from formant_mcp.models import Turn
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.spelling import spellings
from formant_mcp.text_search.tokenizer import stem, words_in

# Few words, so that random searches have hits: endings, accents, a nukta, figures, unspaced scripts, joined words.
SPOKEN = (
    "refund Refunds refunded REFUNDING late fee fees café cafe लेट फ़ीस फीस फीसों वकील 15,000 १५००० 15 don't dont"
    " 返金 返 金返金を ค่าปรับ follow-up follow-ups followup up, e.g. ok? l'ordine dell’Ordine ordine lordine ALDIM aldım"
    " R-A-F-I rafi 15-15 a-15 paisa Paise पैसा पैसे vakil loan loans लोन paisa-पैसा"
)  # fmt: skip
WORDS = st.sampled_from(SPOKEN.split(" "))
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)
TURNS = st.lists(st.tuples(st.sampled_from(["agent", "contact", "system"]), TEXTS), max_size=5).map(
    lambda said: tuple(Turn(index, *turn) for index, turn in enumerate(said))
)
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


def is_hit(turn: Turn, expression: Expression, role: Role, *, any_spelling: bool = False) -> bool:
    """Whether the turn is by that role, says one of each, and nothing that it must not, which has no other spelling."""
    return (
        role in ("any", turn.role)
        and all(
            any(says(turn, term, any_spelling=any_spelling and term not in expression.none_of) for term in terms)
            for terms in expression.all_of
        )
        and not any(says(turn, term) for term in expression.none_of)
    )


def says(turn: Turn, term: Term, *, any_spelling: bool = False) -> bool:
    """Whether the term's words are anywhere in the turn, one right after the other; a word in any of its forms.

    `any_spelling`: or in another spelling, if it is a single word.
    """
    said, count = folded(turn.text), len(term.words)
    if any_spelling and term.kind == "word" and count == 1 and spellings(term.words[0], said):
        return True
    if term.kind == "word" and stem("".join(term.words)) in map(stem, {*said, *joined_in(turn.text)}):
        return True
    return any(_is(said[at : at + count], term) for at in range(len(said) - count + 1))


def alternatives_said(turns: list[Turn], expression: Expression, *, any_spelling: bool = False) -> int:
    """How many different alternatives (`a OR b`) some of these turns say."""
    alternatives = {term for terms in expression.all_of if len(terms) > 1 for term in terms}
    spelled = {term: any_spelling and term not in expression.none_of for term in alternatives}
    return sum(any(says(turn, term, any_spelling=spelled[term]) for turn in turns) for term in alternatives)


def _is(said: tuple[str, ...], term: Term) -> bool:
    if term.kind == "prefix":
        return said[:-1] == term.words[:-1] and said[-1].startswith(term.words[-1])
    return said == term.words
