"""The language of search: what each query means, and that nothing that is typed breaks it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.query.expressions import MAX_CHARACTERS, MAX_TERMS, read_expression
from formant_mcp.store.matching import Expression, Term
from formant_mcp.store.search import Sought
from tests.store.files import open_store

TYPED = st.text(
    st.sampled_from([*"\"'“”„*-−^+:(){}[],;|\\", *"aB9éह返", " ", "\n", "\x00", "\u202e"]), max_size=15
)  # fmt: skip
OPERATORS = st.sampled_from(["NEAR(", "NOT", "OR", "AND", "agent:", "{agent contact}:", "spoken", '"', "-", "*", "^a"])
QUERIES = st.lists(TYPED | OPERATORS, max_size=6).map(" ".join)


def shown(expression: Expression) -> str:
    """One way to write it: `word`, `=phrase`, `beginning*`; alternatives with |, what must not be said after -."""

    def one(term: Term) -> str:
        words = " ".join(term.words)
        return {"word": words, "phrase": f"={words}", "beginning": f"{words}*"}[term.kind]

    wanted = ["|".join(map(one, terms)) for terms in expression.all_of]
    return " & ".join([*wanted, *(f"-{one(term)}" for term in expression.none_of)])


@pytest.mark.parametrize(
    ("query", "meaning"),
    [
        ("refund", "refund"),
        ("Refund, please!", "refund & please"),
        ("the", "the"),
        ('"late fee"', "=late fee"),
        ('"refund"', "=refund"),
        ("“late fee” «x»", "=late fee & =x"),
        ("late fee OR penalty", "late & fee|penalty"),
        ("a OR b OR c d OR e", "a|b|c & d|e"),
        ('"late fee" OR penalt* OR fine', "=late fee|penalt*|fine"),
        ("a AND b", "a & b"),
        ("a or b and c", "a & or & b & and & c"),
        ("refund -test", "refund & -test"),
        ('refund -"not now" −later --never', "refund & -=not now & -later & -never"),
        ("-test* refund", "refund & -test*"),
        ("refund*", "refund*"),
        ("(refund*) late*, fee", "refund* & late* & fee"),
        ("re*fund *late", "=re fund & late"),
        ("follow-up follow-u*", "=follow up & follow u*"),
        ("don't DON’T", "dont & dont"),
        ("15,000 १५,००० 2.5", "15000 & 15000 & =2 5"),
        ("10:30 2026-11-20", "=10 30 & =2026 11 20"),
        ("anil@example.com", "=anil example com"),
        ("लेट फ़ीस", "लेट & फीस"),
        ("返金 OR 払い戻し", "=返 金|=払 い 戻 し"),
        ("金 ค่าปรับ", "金 & =ค่ า ป รั บ"),
        # Whatever is not of the language is words.
        ('say "late fee', "say & =late fee"),
        ('late "', "late"),
        ("NEAR(refund fee, 5)", "near & refund & fee & 5"),
        ("agent:refund {agent contact}:fee", "agent & refund & agent & contact & fee"),
        ("^refund + fee", "refund & fee"),
        ("(a OR b) c", "a|b & c"),
        ("-(refund) -((late)) fee", "fee & -refund & -late"),
        ("OR a", "a"),
        ("a OR", "a"),
        ("a OR OR b", "a|b"),
        ("a OR ! b", "a|b"),
        ("a - b -- ***", "a & b"),
        ("a NOT b", "a & not & b"),
        ("re\x00fu\u200bnd \u202efee\x07", "refund & fee"),
        ("a\tb\nc", "a & b & c"),
    ],
)
def test_a_query_means_what_it_says(query: str, meaning: str) -> None:
    assert shown(read_expression(query)) == meaning


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "no word to search for"),
        ("?! … \U0001f600", "no word to search for"),
        ('""', "no word to search for"),
        ("OR", "no word to search for"),
        ("\x00\x1b", "no word to search for"),
        ("-refund", "only what the turns must not say"),
        ('-refund -"late fee" OR', "only what the turns must not say"),
        ("refund OR -fee", "OR stands between"),
        ("-refund OR fee", "OR stands between"),
        ("secret " * 2_000, f"longer than {MAX_CHARACTERS} characters"),
        ("s t " * 17, f"more than {MAX_TERMS} words"),
        ("secret OR " * 20 + "x" + " -y" * 20, f"more than {MAX_TERMS} words"),
    ],
)
def test_a_query_that_asks_for_nothing_says_what_to_write(query: str, why: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_expression(query)
    assert str(refused.value).startswith("query: ")
    assert why in str(refused.value)
    assert 'words (refund), "phrases" in quotes, refund OR return, -without, begin*' in refused.value.hint
    assert "secret" not in str(refused.value)


@settings(deadline=None, max_examples=300)
@given(query=QUERIES)
def test_whatever_is_typed_is_searched_or_refused_in_our_words(query: str) -> None:
    try:
        expression = read_expression(query)
    except InvalidRequestError:
        return
    assert _STORE.search.find(Sought(expression, "any", Filters()), 5).hits == 0


_STORE = open_store(None)
