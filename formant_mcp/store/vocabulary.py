"""The words that an account's calls say, each with its stem and its spelling: which ones match a term, or are like it.

In PostgreSQL, many calls that were deleted at once may have left their words there.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import NamedTuple

from formant_mcp.store.engine import Connection, Value
from formant_mcp.store.meta import write_text
from formant_mcp.store.rows import whole
from formant_mcp.store.turn_keys import KEY_BITS
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.spelling import nearest, phonetic_key, spellings
from formant_mcp.text_search.suggestions import candidates_for, prefixes_of
from formant_mcp.text_search.tokenizer import divided, forms_in, indexable, stem

MAX_SPELLINGS = 20
"""Other spellings that are searched for a word."""
_MAX_CONTINUATIONS = 100  # a prefix with more words is searched as a prefix, which an index expands each time
_MAX_WITH_PREFIX = 1_000
_FEW_HITS = 20_000  # turns that are read for the words in them; else each word of the account is checked
_READ_AT_ONCE = 500  # turns
_SAID_AT_ONCE = 50  # words
_FORGOTTEN_AT_ONCE = 300  # words: to check one takes up to a millisecond, in which nobody else may write
UNUSED = "unused words"
"""The name, in the table meta, of the word after which the check of all words goes on."""
_ALL = 1 << 62  # hits, where a LIMIT is required


class Wording(NamedTuple):
    """The forms that match each term, and the other spellings of those that have some.

    Each spelling has its distance; the nearest come first.
    """

    forms: dict[Term, set[str]]
    spellings: dict[Term, Mapping[str, int]]


_Words = defaultdict[str, set[str]]


class Vocabulary:
    """The words that exist for a reader. `is_limited`: they may see only some agents, so only words said there."""

    def __init__(self, connection: Connection, *, is_limited: bool) -> None:
        self._connection = connection
        self._is_limited = is_limited

    def wording(self, expression: Expression, *, any_spelling: bool = False) -> Wording:
        """A term matches itself; a `word` also all words, or joined words, with the same stem.

        A `prefix` matches the words that continue it; if there are many, its form is the prefix itself with a *.

        `any_spelling`: with the other spellings of each single word that is not excluded.
        """
        wanted = dict.fromkeys(term for terms in expression.all_of for term in terms)
        stems = {term: stem("".join(term.words)) for term in (*wanted, *expression.none_of) if term.kind == "word"}
        keys = {
            term: phonetic_key(term.words[0])
            for term in wanted
            if any_spelling and term.kind == "word" and len(term.words) == 1 and term not in expression.none_of
        }
        of_stem, of_key = self._related(sorted(set(stems.values())), sorted({key for key in keys.values() if key}))
        of_stem = {name: {form for form in forms if self._is_known(form)} for name, forms in of_stem.items()}
        forms = {
            term: {" ".join(term.words)} | (of_stem.get(stems[term], set()) if term in stems else set[str]())
            for term in (*wanted, *expression.none_of)
            if term.kind != "prefix"
        }
        prefixes = (term for term in (*wanted, *expression.none_of) if term.kind == "prefix")
        forms |= {term: self._continuations(term) for term in prefixes}
        others = {term: self._spellings(term.words[0], of_key[key] - forms[term]) for term, key in keys.items()}
        return Wording(forms, {term: words for term, words in others.items() if words})

    def similar(self, word: str) -> set[str]:
        """Words spelled a little like this one."""
        candidates = candidates_for(word)
        rows = self._connection.rows("SELECT word FROM $words WHERE word $in_list", [list(candidates.spellings)])
        return {*self._existing(str(row[0]) for row in rows), *self._with_prefix(candidates.prefix)} - {word}

    def longer(self, term: Term) -> list[str]:
        """Words that continue a prefix of the term (`prefixes_of`), shortest first."""
        forms = self.wording(Expression(((term,),))).forms[term]
        prefixes = prefixes_of("".join(term.words))
        words = {word for prefix in prefixes for word in self._with_prefix(prefix)} - forms
        return sorted(words, key=lambda word: (len(word), word))

    def _related(
        self, stems: list[str], keys: list[str]
    ) -> tuple[defaultdict[str, set[str]], defaultdict[str, set[str]]]:
        """The words of each of these stems, and of each of these keys; in one statement."""
        sql = "SELECT word, stem, spelling FROM $words WHERE stem $in_list"
        parameters = [stems]
        if keys:
            # A word has no key where an older version, which still runs, saved it.
            sql += " OR spelling $in_list OR spelling IS NULL"
            parameters.append(keys)
        of_stem, of_key = _Words(set), _Words(set)
        for word, stem_of, key in _texts(self._connection.rows(sql, parameters)) if stems else ():
            of_stem[stem_of].add(word)
            of_key[key or phonetic_key(word)].add(word)
        return of_stem, of_key

    def _continuations(self, term: Term) -> set[str]:
        """The forms of a prefix, as `wording` gives them."""
        *before, prefix = term.words
        sql = f"SELECT word FROM $words WHERE word >= ? AND word < ? LIMIT {_MAX_CONTINUATIONS + 1}"
        words = [str(row[0]) for row in self._connection.rows(sql, [prefix, prefix + "\U0010ffff"])]
        single = [word for word in words if len(divided(word)) == 1]
        forms = single if single and len(words) <= _MAX_CONTINUATIONS else [prefix + "*"]
        return {" ".join((*before, form)) for form in forms}

    def _spellings(self, word: str, candidates: Iterable[str]) -> Mapping[str, int]:
        others = spellings(word, candidates)
        if self._is_limited or len(nearest(word, others)) < len(others):  # no word is nearer that nobody says any more
            others = {other: others[other] for other in said(self._connection, others)}
        return dict(islice(nearest(word, others).items(), MAX_SPELLINGS))

    def _with_prefix(self, prefix: str) -> list[str]:
        """Single words with that prefix, at most 1,000, in order."""
        words: Iterable[str] | None = self._said_with(prefix) if self._is_limited else None
        if words is None:
            most = "" if self._is_limited else f" LIMIT {_MAX_WITH_PREFIX}"
            sql = f"SELECT word FROM $words WHERE word >= ? AND word < ? ORDER BY word{most}"
            rows = self._connection.rows(sql, [prefix, prefix + "\U0010ffff"])
            words = self._existing(str(row[0]) for row in rows)
        return [word for word in islice(words, _MAX_WITH_PREFIX) if len(divided(word)) == 1]

    def _said_with(self, prefix: str) -> list[str] | None:
        """The words with that prefix in the turns that this reader may see; None if these are many turns.

        The account may have far more such words, for instance numbers that other agents say.
        """
        keys = self._hits(Term((prefix,), "prefix"), prefix + "*", _FEW_HITS + 1)
        if len(keys) > _FEW_HITS:
            return None
        return sorted({form for text in self._said(keys) for form in forms_in(text) if form.startswith(prefix)})

    def _is_known(self, form: str) -> bool:
        """Whether calls that exist for this reader say a word; joined words: as one word, as others may say them."""
        if not self._is_limited or len(divided(form)) == 1:
            return True
        return any(form in forms_in(text) for text in self._said(self._hits(Term(divided(form), "phrase"), form)))

    def _hits(self, term: Term, form: str, most: int = _ALL) -> list[int]:
        match = self._connection.match(Expression(((term,),)), "any", lambda _: [form])
        rows = self._connection.rows("SELECT $hit_turn FROM $hits WHERE $is_hit LIMIT ?", [match, most])
        return [whole(row[0]) for row in rows]

    def _said(self, keys: Sequence[int]) -> Iterator[str]:
        """The texts of these turns, as indexed."""
        sql = f"SELECT text FROM $each_number $join $turns ON turn_id = value AND $turn_row = value >> {KEY_BITS}"
        for first in range(0, len(keys), _READ_AT_ONCE):
            for (text,) in self._connection.rows(sql, [list(keys[first : first + _READ_AT_ONCE])]):
                yield indexable(str(text))

    def _existing(self, words: Iterable[str]) -> Iterable[str]:
        """Those of the account's words that exist for this reader."""
        return said(self._connection, words) if self._is_limited else words


def said(connection: Connection, words: Iterable[str]) -> Iterator[str]:
    """Those of these words that any turn says, some with each statement."""
    left = iter(words)
    while some := list(islice(left, _SAID_AT_ONCE)):
        any_hit = any_of("$hits WHERE $is_hit", connection.hits_to_find)
        exist = (f"SELECT {number} WHERE EXISTS ({any_hit})" for number in range(len(some)))
        terms = (Expression(((Term((word,), "phrase"),),)) for word in some)
        matches = [connection.match(term, "any", lambda term: term.words) for term in terms]
        rows = connection.rows(" UNION ALL ".join(exist), matches)
        yield from (some[number] for number in sorted(whole(row[0]) for row in rows))


def any_of(hits: str, most: int) -> str:
    """SQL: a row if there are any of these hits, of which so many are counted (`Connection.hits_to_find`)."""
    counted = f"SELECT count(*) AS hits FROM (SELECT 1 FROM {hits} LIMIT {most}) AS found"
    return f"SELECT 1 FROM ({counted}) AS counted WHERE hits > 0"


def forget_unsaid(connection: Connection, deleted: Set[str], inserted: Set[str]) -> None:
    """Deletes the words of deleted turns that nobody says any more; both are words, joined ones in one piece.

    Where these are many, it only notes that all words are to be checked, which is done where calls are kept for some
    days only. No answer names words that are left.
    """
    words = sorted(forms_in(" ".join(deleted - inserted)))
    if len(words) > _FORGOTTEN_AT_ONCE:
        write_text(connection, UNUSED, "")
    elif unsaid := set(words).difference(said(connection, words)):
        connection.delete("words", "word = ?", [(word,) for word in sorted(unsaid)])


def _texts(rows: Iterable[Sequence[Value]]) -> Iterator[list[str]]:
    return ([str(value or "") for value in row] for row in rows)
