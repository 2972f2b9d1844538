"""A search in steps: the turns that match exactly, then those that match by another spelling, the nearest first."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from math import inf

from formant_mcp.filters import Filters, Role
from formant_mcp.store.engine import Connection
from formant_mcp.store.vocabulary import Wording
from formant_mcp.text_search.query import Expression, Term

_COMPARED = 3  # spellings: what is counted of one takes up to 3 ms to read


@dataclass(frozen=True, slots=True)
class StoreSearch:
    """What to search: which words, said by whom, in which conversations.

    `any_spelling`: then also turns that match only by other spellings of its words.
    """

    expression: Expression
    role: Role
    filters: Filters
    any_spelling: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Turns to find: those that match the search with these forms, and say one of `one_of` if there are any.

    `without`: turns that do not count. `number`: 0 for exact hits, otherwise one more than the spellings' distance.
    """

    search: StoreSearch
    forms: Mapping[Term, Set[str]]
    one_of: tuple[Term, ...] = ()
    without: "Step | None" = None
    number: int = 0

    @property
    def alternatives(self) -> list[Term]:
        """The terms of `a OR b`: hits with more of them come first."""
        any_of = (terms for terms in self.search.expression.all_of if len(terms) > 1)
        return list(dict.fromkeys(term for terms in any_of for term in terms))

    def match(self, connection: Connection, *also: Term) -> str:
        """The parameter of `$is_hit`; `also`: terms that the turns must say, too."""
        more = [(term,) for term in also] + ([self.one_of] if self.one_of else [])
        expression = replace(self.search.expression, all_of=(*self.search.expression.all_of, *more))
        without = self.without.match(connection) if self.without else ""
        return connection.match(expression, self.search.role, self.forms.__getitem__, without)


def by_distance(exact: Step, wording: Wording) -> Iterator[Step]:
    """The turns that match only by another spelling: a step for each distance, without the turns of those before."""
    before = exact
    for distance in sorted({distance for words in wording.spellings.values() for distance in words.values()}):
        yield only_by_spelling(before, wording, distance, distance)
        before = with_spellings(exact, wording, distance)


def only_by_spelling(before: Step, wording: Wording, least: float = 0, most: float = inf) -> Step:
    """The turns that match by spellings of these distances, without those of the step before."""
    words = {word for distances in wording.spellings.values() for word in _within(distances, least, most)}
    said = {Term((word,), "phrase"): {word} for word in sorted(words)}
    every = with_spellings(before, wording, most)
    number = int(least) + 1
    return Step(before.search, {**every.forms, **said}, tuple(said), before, number)


def with_spellings(exact: Step, wording: Wording, most: float = inf) -> Step:
    """All turns that match exactly or by a spelling that is not farther than that."""
    forms = {term: {*wording.forms[term], *_within(wording.spellings.get(term, {}), 0, most)} for term in wording.forms}
    return Step(exact.search, forms)


def has_frequent_spelling(connection: Connection, exact: Step, wording: Wording, most: int) -> bool:
    """Whether more turns say one of the nearest spellings of a search's only word, as far as they are counted already.

    Nearly all of them do not say the word itself, so more than `most` match by other spellings.
    """
    if len(wording.forms) > 1:
        return False
    nearest = [Term((word,), "phrase") for words in wording.spellings.values() for word in words][:_COMPARED]
    for term in nearest:
        counted = connection.counted(Expression(((term,),)), exact.search.role, lambda term: term.words)
        if counted and counted[0] > most:
            return True
    return False


def _within(distances: Mapping[str, int], least: float, most: float) -> list[str]:
    return [word for word, distance in distances.items() if least <= distance <= most]
