"""Advice about the words of a search: which do not occur, and which similar ones do."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod

import regex

from formant_mcp.filters import NO_FILTERS, Filters, Role
from formant_mcp.models import outside_form
from formant_mcp.queries.coverage import Coverage
from formant_mcp.store import Store
from formant_mcp.store.search import StoreSearch
from formant_mcp.text_search.query import MAX_TERMS, Expression, Term, words_like_operators
from formant_mcp.text_search.suggestions import prefixes_of
from formant_mcp.text_search.tokenizer import is_unspaced

_MAX_CHECKED = 8  # words of a query that are checked
_MAX_NAMED = 3  # similar words named for one of them
_MAX_CANDIDATES = 6  # similar words that are checked in the index
_MAX_LETTERS = 6  # letters of a word that may be an abbreviation
_MAX_SHOWN, _MAX_WORDS = 20, 3  # characters shown of a query's word, and words of a phrase: more may be a sentence
_WORD = regex.compile(rf"[\p{{L}}\p{{M}}\p{{Nd}}]{{1,{_MAX_SHOWN}}}")
# Languages that attach endings or particles, for which there is no stemmer.
_OTHER_SCRIPT = regex.compile(r"[[\p{L}]--[\p{Latin}\p{Han}\p{Hiragana}\p{Katakana}]]", regex.V1)


@dataclass(frozen=True, slots=True)
class Advice:
    """Checks a search's words in the transcripts searched: those of conversations that match, by that role.

    `occurring`: alternatives that the search itself found. `spellings`: the other spellings that it searched.
    """

    store: Store
    query: str
    search: StoreSearch
    occurring: Set[Term] = frozenset()
    spellings: Mapping[Term, Collection[str]] = field(default_factory=dict[Term, Collection[str]])

    async def for_hits(self, *, by_spelling: bool = False) -> str:
        """For a search with hits: alternatives that do not occur, and longer words that were not searched for.

        `by_spelling`: some of the hits match only by the other spellings, so these are named.
        """
        expression = self.search.expression
        terms = [term for terms in expression.all_of for term in terms]
        alternatives = [term for terms in expression.all_of if len(terms) > 1 for term in terms]
        occurring = _single_words(self.occurring)
        words = [word for word in _single_words(alternatives)[:_MAX_CHECKED] if word not in occurring]
        absent = [word for word in words if not await self._occurs(word)]
        notes = await self._on_spellings() if by_spelling else []
        notes += [await self._on_absent(term) for term in absent]
        single = [term for term in terms if term.kind == "word" and term not in absent]
        for term in [term for term in single if _OTHER_SCRIPT.match(term.words[0])][:_MAX_NAMED]:
            if longer := await self._longer(term):
                notes.append(
                    f"Longer words, not searched for: {', '.join(longer)}; {_prefix_query(term, longer)} finds them."
                )
        if expression.none_of:
            notes.append("An exclusion holds for the turn: other turns of these calls may say it.")
        return " ".join([*notes, *self._on_operators()])

    async def for_none(self, coverage: Coverage) -> str:
        """For a search without hits: what was searched, and possible reasons."""
        transcripts = await self.store.search.count_transcripts(self.search.filters)
        unread = coverage.details_needed - coverage.details_read
        matching = f"{coverage.matched:,} conversation{'s match' if coverage.matched != 1 else ' matches'} the filters"
        loading = f"; {unread:,} still to be loaded" if unread else ""
        silent = coverage.matched - unread - transcripts
        loading += f"; {silent:,} without a transcript" if silent > 0 and transcripts else ""
        if not transcripts:
            return f"No transcripts to search ({matching}{loading or '; none has a transcript'})."
        searched = f"{transcripts:,} transcript{'s' if transcripts != 1 else ''}"
        first = f"No matches in {f'the {searched} loaded so far' if unread else searched} ({matching}{loading})."
        return " ".join([first, *await self._on_spellings(), *await self._why_none(), *self._on_operators()])

    async def _why_none(self) -> list[str]:
        expression = self.search.expression
        terms = dict.fromkeys(term for terms in expression.all_of for term in terms)
        others = {term: other for term in terms if (other := await self._other_spelling(term))}
        words = _single_words(term for term in terms if term not in others)
        notes = [
            f'"{_shown(term)}" is written "{_shown(other)}" there; that finds it.' for term, other in others.items()
        ]
        notes += [note for word in words[:_MAX_CHECKED] if (note := await self._on_word(word))]
        if notes or len(words) > _MAX_CHECKED:
            return notes
        wanted = replace(expression, none_of=())
        if expression.none_of and await self._has_hits(wanted):
            return ["Matching turns exist, but all contain an excluded word."]
        if len(words) == 1 or (apart := _apart(wanted)) is None:
            return []
        if await self._has_hits(apart):
            return [await self._on_apart(replace(apart, none_of=expression.none_of))]
        return ["Each word occurs, but not together. Try fewer words, a OR b, or fewer filters."]

    async def _on_apart(self, apart: Expression) -> str:
        """For a phrase whose words occur in one turn, but not as a phrase."""
        finds_them = await self._has_hits(apart)
        hint = "; without quotes, and with blanks between them, they are found" if finds_them else ""
        return f"These words occur in one turn, but not side by side in that order{hint}."

    async def _other_spelling(self, term: Term) -> Term | None:
        """Another spelling of a term that does not occur, if it occurs itself."""
        other = _respelled(term)
        return other if other and await self._occurs_here(other) and not await self._occurs_here(term) else None

    async def _on_word(self, term: Term) -> str:
        """Where a word occurs outside the transcripts searched; '' if it occurs in them."""
        search, word = self.search, f'"{_shown(term)}"'
        if await self._occurs_here(term):
            return ""
        if search.role != "any" and await self._occurs(term, "any", search.filters):
            return f"{word} occurs there, but not in turns marked as the {search.role}'s."
        if search.filters != Filters() and await self._occurs(term, search.role):
            return f"{word} occurs in other conversations, not in the transcripts searched."
        return await self._on_absent(term)

    async def _on_absent(self, term: Term) -> str:
        absent = f'"{_shown(term)}" does not occur in the transcripts searched'
        if longer := await self._longer(term):
            return f"{absent}. Longer words do: {', '.join(longer)}; {_prefix_query(term, longer)} finds them."
        similar = await self.store.search.similar(term)
        if words := await self._first_occurring(similar, self._occurs_here):
            return f"{absent}. Similar words: {', '.join(words)}."
        if words := await self._first_occurring(similar, self._occurs):
            return f"{absent}. Similar words in other conversations: {', '.join(words)}."
        return f"{absent}. No similar words."

    async def _longer(self, term: Term) -> list[str]:
        longer = [word for word in await self.store.search.longer(term) if word not in self.spellings.get(term, ())]
        return await self._first_occurring(longer, self._occurs_here)

    async def _first_occurring(self, words: list[str], occurs: Callable[[Term], Awaitable[bool]]) -> list[str]:
        """The first words that occur: the store's list of words still has those of deleted conversations."""
        occurring: list[str] = []
        for word in filter(_is_name, words[:_MAX_CANDIDATES]):
            if len(occurring) < _MAX_NAMED and await occurs(Term((word,), "phrase")):
                occurring.append(word)
        return occurring

    async def _occurs_here(self, term: Term) -> bool:
        return await self._occurs(term, self.search.role, self.search.filters)

    async def _occurs(self, term: Term, role: Role = "any", filters: Filters = NO_FILTERS) -> bool:
        """Whether that role says the term in any matching conversation, in any spelling if the search finds others."""
        return await self.store.search.occurs(term, role, filters, any_spelling=self.search.any_spelling)

    async def _has_hits(self, expression: Expression) -> bool:
        return await self.store.search.has_hits(replace(self.search, expression=expression))

    async def _on_spellings(self) -> list[str]:
        expression = self.search.expression
        in_query = {term.words[0] for terms in expression.all_of for term in terms if len(term.words) == 1}
        words = dict.fromkeys(word for words in self.spellings.values() for word in words if word not in in_query)
        words = await self.store.search.nameable(list(filter(_is_name, words)))
        return [f"Also searched as: {', '.join(words)}."] if words else []

    def _on_operators(self) -> list[str]:
        return [*self._on_alternatives(), *self._on_small_operators()]

    def _on_alternatives(self) -> list[str]:
        """How words and alternatives side by side were read: of `late fee OR fine` fee, not late fee, is one."""
        clauses = self.search.expression.all_of
        if len(clauses) < 2 or all(len(terms) == 1 for terms in clauses) or "(" in self.query:
            return []
        groups = [" or ".join(map(_shown, terms)) for terms in clauses]
        read = [f"({group})" if len(terms) > 1 else group for group, terms in zip(groups, clauses, strict=True)]
        return [f"Read as: {' and '.join(read)}. Put words that belong together in quotes."]

    def _on_small_operators(self) -> list[str]:
        words = words_like_operators(self.query)
        if not words:
            return []
        quoted = ", ".join(f'"{word}"' for word in words)
        as_what = "is searched as a word" if len(words) == 1 else "are searched as words"
        return [f"{quoted} {as_what}; operators are in capitals (OR, NOT)."]


def _single_words(terms: Iterable[Term]) -> list[Term]:
    """Every word of these terms as a term of its own."""
    words: dict[Term, None] = {}
    for term in terms:
        if term.kind == "word":
            words[term] = None
            continue
        words |= {Term((word,), "phrase"): None for word in term.words[:-1]}
        words[replace(term, words=term.words[-1:])] = None
    return list(words)


def _is_name(word: str) -> bool:
    """Whether advice may name a word of a call: it does so outside the boundary, so that no sentence may be one."""
    return _WORD.fullmatch(word) is not None and outside_form(word) == word


def _shown(term: Term) -> str:
    words = [word if len(word) <= _MAX_SHOWN else f"{word[:_MAX_SHOWN]}…" for word in term.words[:_MAX_WORDS]]
    return " ".join([*words, *(["…"] if len(term.words) > _MAX_WORDS else [])])


def _prefix_query(term: Term, longer: Iterable[str]) -> str:
    """The query that finds these longer words."""
    prefixes = prefixes_of("".join(term.words))
    return " OR ".join(f"{prefix}*" for prefix in prefixes if any(word.startswith(prefix) for word in longer))


def _respelled(term: Term) -> Term | None:
    """A short word as single letters, and single letters as a word (USA, U.S.A.)."""
    word, count = "".join(term.words), len(term.words)
    if not 2 <= len(word) <= _MAX_LETTERS or not word.isalpha() or is_unspaced(word[0]) or count not in (1, len(word)):
        return None
    return Term(tuple(word), "phrase") if count == 1 else Term((word,), "word")


def _apart(expression: Expression) -> Expression | None:
    """The expression with phrases as single words, anywhere in a turn; None if that gives too many combinations."""
    clauses = [[_single_words([term]) for term in terms] for terms in expression.all_of]
    if sum(prod(map(len, words)) for words in clauses) > MAX_TERMS:
        return None
    return replace(expression, all_of=tuple(alternatives for words in clauses for alternatives in product(*words)))
