"""The query language of search: what each query means, and that no input breaks it."""

import ast
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.store.search import StoreSearch
from formant_mcp.text_search.query import MAX_CHARACTERS, MAX_TERMS, Expression, Term, parse_query
from tests.examples import examples
from tests.in_a_loop import in_a_loop
from tests.store.files import open_store

TYPED = st.text(
    st.sampled_from([*"\"'“”„*-−^+:(){}[],;|\\&!~?/%=`", *"aB9éह返", " ", "\n", "\x00", "\u202e"]), max_size=15
)  # fmt: skip
OPERATORS = st.sampled_from(
    [
        "NEAR(",
        "NOT",
        "OR",
        "AND",
        "&&",
        "||",
        "agent:",
        "{agent contact}:",
        "spoken",
        '"',
        "-",
        "*",
        "^a",
        "a*",
        '"a b"',
    ]
)
QUERIES = st.lists(TYPED | OPERATORS, max_size=6).map(" ".join)


def shown(expression: Expression) -> str:
    """The expression as text: `word`, `=phrase`, `prefix*`; alternatives with |, exclusions after -."""

    def one(term: Term) -> str:
        words = " ".join(term.words)
        return {"word": words, "phrase": f"={words}", "prefix": f"{words}*"}[term.kind]

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
        ("पैसा* fee** x", "पैसा* & fee* & x"),
        ("follow-up follow-u*", "follow up & follow u*"),
        ("don't DON’T", "dont & dont"),
        ("15,000 १५,००० 2.5", "15000 & 15000 & =2 5"),
        ("10:30 2026-11-20", "=10 30 & =2026 11 20"),
        ("anil@example.com", "=anil example com"),
        ("लेट फ़ीस", "लेट & फीस"),
        ("返金 OR 払い戻し", "=返 金|=払 い 戻 し"),
        ("金 ค่าปรับ", "金 & =ค่ า ป รั บ"),
        ("AT&T R&D a & b", "=at t & =r d & a & b"),
        ("C++ a/b #42 ₹500 50% 2+2", "c & =a b & 42 & 500 & 50 & =2 2"),
        ("https://example.com Note: refund", "=https example com & note & refund"),
        ("[inaudible] refund? Hello!", "inaudible & refund & hello"),
        ("-5 refund", "refund & -5"),
        ("l'ordine R-A-F-I AB-12", "l ordine & r a f i & ab 12"),
        ("(refund) -(late) fee", "refund & fee & -late"),
        ("re\x00fu\u200bnd \u202efee\x07", "refund & fee"),
        ("a\tb\nc", "a & b & c"),
        # Operators of other languages that mean the same.
        ("a NOT b", "a & -b"),
        ("a AND NOT b", "a & -b"),
        ("a NOT, b", "a & -b"),
        ("a, OR, b", "a|b"),
        ("a ANDNOT b", "a & -b"),
        ('"role = agent" price = 5 @home', "=role agent & price & 5 & home"),
        ("NOT b a !c", "a & -b & -c"),
        ('NOT "b c" a', "a & -=b c"),
        ("a|b || c", "a|b|c"),
        ("a && b&&c", "a & b & c"),
        ("+a +b -c", "a & b & -c"),
        ("(a OR b) c", "a|b & c"),
        ("a (b OR c) AND (d|e)", "a & b|c & d|e"),
        ("(a b) OR c", "a|c & b|c"),
        ("(late fee) OR (legal notice)", "late|legal & late|notice & fee|legal & fee|notice"),
        ("((a)) ((b OR (c)))", "a & b|c"),
        ("-(a OR b) c NOT(d|e)", "c & -a & -b & -d & -e"),
        ("(a)OR(b)", "a|b"),
        ("(a|b)(c|d)", "a|b & c|d"),
        ("a -- b !! -> c !", "a & b & c"),
        ("（返金 OR 払い戻し）", "=返 金|=払 い 戻 し"),
        ("「late fee」 'legal notice' `due date`", "=late fee & =legal notice & =due date"),
        ("it's 'I don't pay' ok", "its & =i dont pay & ok"),
        ('"late fee*" "legal not"*', "late fee* & legal not*"),
        (r"\"late fee\"", "=late fee"),
        ("a **late fee** b", "a & late & fee & b"),
        ('"my **late** fee"', "=my late fee"),
        # In quotes everything is text.
        ('"a OR b" "x | -y" "NOT (z" "role: agent" "~/^\\"', "=a or b & =x y & =not z & =role agent"),
    ],
)
def test_a_query_is_parsed(query: str, meaning: str) -> None:
    assert shown(parse_query(query)) == meaning


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "no word to search for"),
        ("?! … \U0001f600", "no word to search for"),
        ('""', "no word to search for"),
        ("\x00\x1b", "no word to search for"),
        ("-refund", "it has only exclusions"),
        ('-refund -"late fee"', "it has only exclusions"),
        ("refund OR -fee", "OR cannot be combined with -exclusions"),
        ("-refund OR fee", "OR cannot be combined with -exclusions"),
        ("(secret -fee) OR x", "OR cannot be combined with -exclusions"),
        ("secret " * 2_000, f"longer than {MAX_CHARACTERS} characters"),
        ("s t " * 17, f"more than {MAX_TERMS} words"),
        (" OR ".join(map(str, range(20))) + " -y" * 20, f"more than {MAX_TERMS} words"),
        ("(a b c d e f) OR (g h i j k l)", "too many combinations"),
        ("OR", "OR and AND need a word"),
        ("OR secret", "OR and AND need a word"),
        ("secret OR", "OR and AND need a word"),
        ("secret OR OR b", "OR and AND need a word"),
        ("secret OR ?!", "OR and AND need a word"),
        ("AND secret", "OR and AND need a word"),
        ("secret AND", "OR and AND need a word"),
        ("secret NOT", "NOT needs one after it"),
        ("a AND b OR c", "AND and OR side by side"),
        ("a OR b AND NOT c", "AND and OR side by side"),
        ("x -(a b)", "what is excluded has to be"),
        ("x -(-a)", "what is excluded has to be"),
        ("x NOT NOT a", "a double negation"),
        ("x NOT -a", "a double negation"),
        ("x +-a", "several signs"),
        ("x !!a", "several signs"),
        ("secret - fee", "a -, + or ! by itself"),
        ("secret ! fee", "a -, + or ! by itself"),
        ("+ secret", "a -, + or ! by itself"),
        ("(secret", "there is a ( without its )"),
        ("secret)", "there is a ) without its ("),
        ("a (b OR (c)", "there is a ( without its )"),
        ("a ()", "a group in parentheses has no word"),
        ("(" * 300 + "a" + ")" * 150, "groups more than"),
        ("secret(s)", "a parenthesis inside a word"),
        ("(re)fund", "a parenthesis inside a word"),
        ('say "late fee', 'a " is not closed'),
        ('late "', 'a " is not closed'),
        ("agent:secret", "fields (agent: or agent=)"),
        ("-role:contact a", "fields (role: or role=)"),
        ("from: agent secret", "fields (from: or from=)"),
        ('text:"late fee"', "fields (text: or text=)"),
        ("contact:(a OR b)", "fields (contact: or contact=)"),
        ("{agent contact}:fee", "fields (contact: or contact=)"),
        ("@speaker:x", "fields (speaker: or speaker=)"),
        ("results.intent=secret", "fields (results: or results=)"),
        ("csat>=3", "fields (csat: or csat=)"),
        ("who:secret", "fields (who: or who=)"),
        ("role = agent secret", "fields (role: or role=)"),
        ("secret Role :agent", "fields (role: or role=)"),
        ("csat intent != secret", "fields (intent: or intent=)"),
        ("@agent secret", "fields (agent: or agent=)"),
        ("secret @Customer, b", "fields (customer: or customer=)"),
        ("a XOR secret", "XOR is not supported"),
        ("a NEAR b", "NEAR"),
        ("a NEAR/3 b", "NEAR"),
        ("NEAR(a b, 5)", "NEAR"),
        ("a W/3 b", "NEAR"),
        ("secret~", "~ and ^"),
        ("secret~2", "~ and ^"),
        ('"secret b"~3', "~ and ^"),
        ("secret^2", "~ and ^"),
        ("^secret", "~ and ^"),
        ("(a OR b)^2", "~ and ^"),
        ("/secret/", "regular expressions"),
        ("/late fee|x/i", "regular expressions"),
        ("[Ss]ecret", "regular expressions"),
        ("secret$", "regular expressions"),
        (r"\bsecret\b", "backslashes"),
        ("[a TO b]", "ranges (TO)"),
        ("re*fund", "* is supported at the end of a word only"),
        ("*fund", "* is supported at the end of a word only"),
        ("a * b", "* is supported at the end of a word only"),
        ("secret.*", "* is supported at the end of a word only"),
        ('"late * fee"', "* inside quotes"),
        ("col?r", "? as a wildcard"),
        ("?efund", "? as a wildcard"),
        ("%secret%", "% is not a wildcard"),
    ],
)
def test_unsupported_syntax_is_refused_with_the_reason_and_without_the_words(query: str, why: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        parse_query(query)
    assert str(refused.value).startswith("query: ")
    assert why in str(refused.value)
    assert 'words (refund), "phrases" in quotes, refund OR return, -without, begin*' in refused.value.hint
    assert "secret" not in str(refused.value)


@settings(max_examples=examples(3))
@given(query=QUERIES)
@in_a_loop
async def test_any_query_is_searched_or_refused(query: str) -> None:
    try:
        expression = parse_query(query)
    except InvalidRequestError:
        return
    store = await open_store(None)
    assert (await store.search.find(StoreSearch(expression, "any", Filters()), 5)).hits == 0
    await store.close()


# The query language in Python's grammar: OR as `@`, which binds tighter than `+` for a blank; NOT as `-`.
PYTHON = {"OR": "@", "|": "@", "||": "@", "NOT": "-", "!": "-", "-": "-", "(": "(", ")": ")", "": "+"}
TOKENS = st.sampled_from(["a", "b", "c", "a", "b", "c", "OR", "|", "NOT", "!", "-", "(", ")"])


class Turns(frozenset[frozenset[str]]):
    """The hits among all turns that say some of a, b and c."""

    def __matmul__(self, other: "Turns") -> "Turns":
        return Turns(self | other)

    def __add__(self, other: "Turns") -> "Turns":
        return Turns(self & other)

    def __neg__(self) -> "Turns":
        return Turns(ALL - self)


ALL = frozenset(frozenset(combination) for size in range(4) for combination in combinations("abc", size))


def evaluated(node: ast.expr) -> Turns:
    match node:
        case ast.Name(name):
            return Turns(turn for turn in ALL if name in turn)
        case ast.BinOp(left, ast.MatMult(), right):
            return evaluated(left) @ evaluated(right)
        case ast.BinOp(left, ast.Add(), right):
            return evaluated(left) + evaluated(right)
        case ast.UnaryOp(ast.USub(), operand):
            return -evaluated(operand)
        case _:  # `()` is a tuple
            raise SyntaxError


def oracle(tokens: list[str]) -> Turns | None:
    """What the tokens mean; None if they are not well formed. A sign at the end is punctuation."""
    while tokens and tokens[-1] in ("-", "!"):
        tokens = tokens[:-1]
    source = ""
    for before, token in pairwise(["(", *tokens]):
        if before == token == "-":
            continue
        ends, starts = before not in PYTHON or before == ")", token not in PYTHON or PYTHON[token] in "-("
        source += ("+" if ends and starts else "") + PYTHON.get(token, token)
    try:
        return evaluated(ast.parse(source, mode="eval").body)
    except SyntaxError:
        return None


def typed(tokens: list[str]) -> str:
    """As a person types them: signs and parentheses directly before what they belong to, - and -- alike."""
    return " ".join(tokens).replace("- ", "-").replace("! ", "!").replace("( ", "(").replace(" )", ")")


def hits(expression: Expression) -> Turns:
    def says(turn: frozenset[str], terms: tuple[Term, ...]) -> bool:
        return any(term.words[0] in turn for term in terms)

    return Turns(
        turn
        for turn in ALL
        if all(says(turn, terms) for terms in expression.all_of) and not says(turn, expression.none_of)
    )


@settings(max_examples=examples(10))
@given(tokens=st.lists(TOKENS, min_size=1, max_size=9))
def test_operators_follow_boolean_logic_or_are_refused(tokens: list[str]) -> None:
    expected = oracle(tokens)
    try:
        expression = parse_query(typed(tokens))
    except InvalidRequestError:
        return
    assert hits(expression) == expected


@st.composite
def supported(draw: st.DrawFn, depth: int = 2) -> list[str]:
    """Tokens of a query of words, alternatives and nested groups, the outermost perhaps with an exclusion."""
    if not depth:
        return [draw(st.sampled_from("abc"))]
    parts = draw(st.lists(supported(depth - 1), min_size=1, max_size=3))
    joint = draw(st.sampled_from([[], ["OR"], ["|"], ["||"]]))
    tokens = [*parts[0], *(token for part in parts[1:] for token in [*joint, *part])]
    excluded = draw(st.lists(st.sampled_from("abc"), max_size=1)) if depth == 2 and not joint else []
    tokens += [token for word in excluded for token in (draw(st.sampled_from(["-", "!", "NOT"])), word)]
    return ["(", *tokens, ")"] if depth < 2 or draw(st.booleans()) else tokens


@given(tokens=supported())
def test_queries_that_are_an_and_of_ors_are_accepted(tokens: list[str]) -> None:
    try:
        expression = parse_query(typed(tokens))
    except InvalidRequestError as error:
        if "combinations" in error.message:
            return
        raise
    assert hits(expression) == oracle(tokens)
