"""Parses and checks group_by and measures: names of columns, as answers print them, and bare result fields."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from formant_mcp.analysis.signals import SIGNALS as MEASURED
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import GROUPINGS, NONE, SIGNALS
from formant_mcp.models import named, quoted
from formant_mcp.queries.coverage import SPEAKERS, WORDS, Coverage
from formant_mcp.queries.guesses import did_you_mean, listed, nearest
from formant_mcp.queries.signals import as_signal, signal_in
from formant_mcp.queries.time_buckets import TIMES
from formant_mcp.store import Store
from formant_mcp.store.aggregates import DURATION, RESULTS

MAX_GROUPINGS = 3
_MAX_NAMED, _MAX_FIELDS = 5, 60
_GROUPING_WORDS = {
    **{name: name for name in (*GROUPINGS, *TIMES)},
    **{f"{time}s": time for time in TIMES},
    "agent": "agent_id",
    "agent_name": "agent_id",
    "contact": "contact_number",
    "date": "day",
}
SUCCESS_RATE = "success_rate"
"""As a measure: the interval of the success rate, which is given anyway."""
_MEASURE_WORDS = {
    **dict.fromkeys((DURATION, "duration", "seconds"), DURATION),
    **dict.fromkeys((SUCCESS_RATE, "success", "interval"), SUCCESS_RATE),
}
# Columns of list rows that nothing is grouped by.
_OF_ONE_CALL = {"conversation_id", "started", "started_at", "ended_at", "trace_id", "results", "words", "example"}
_MISSPELLED = 0.8


@dataclass(frozen=True, slots=True)
class Argument:
    """The names that are given in an argument; `others`: what it takes besides result fields and signals."""

    name: str
    given: Sequence[str]
    others: Sequence[str]


def parse_groupings(words: Sequence[str]) -> tuple[str, ...]:
    """The groupings of group_by; `signals.<name>`; any other word is a field of the results.

    Raises:
        InvalidRequestError: a word is a misspelled grouping, or a column that nothing is grouped by.
    """
    return tuple(parse_name("group_by", word, _GROUPING_WORDS, {*_OF_ONE_CALL, *_MEASURE_WORDS}) for word in words)


def parse_measures(words: Sequence[str]) -> tuple[str, ...]:
    """The measures; any other word is a field of the results.

    Raises:
        InvalidRequestError: a word is a misspelled measure, or a column without numbers.
    """
    return tuple(parse_name("measures", word, _MEASURE_WORDS, {*_OF_ONE_CALL, *_GROUPING_WORDS}) for word in words)


def check_names(groupings: Sequence[str], measures: Sequence[str], unsupported: frozenset[str]) -> None:
    """Checks that all groupings and measures exist.

    Raises:
        InvalidRequestError: one does not, or there are too many; names those that exist.
    """
    if missing := sorted(unsupported.intersection(groupings)):
        raise InvalidRequestError(f"group_by: this provider's calls have no {missing[0]}.", "Group by something else.")
    accepted = f"{', '.join(GROUPINGS)}, {', '.join(TIMES)}, results.<path>, signals.<name>"
    if len(groupings) > MAX_GROUPINGS or len(set(groupings)) < len(groupings):
        raise InvalidRequestError(f"group_by: at most {MAX_GROUPINGS} groupings, each once.", "Leave some out.")
    for name in groupings:
        if name not in (*GROUPINGS, *TIMES) and not name.startswith((RESULTS, SIGNALS)):
            raise InvalidRequestError(f"group_by: no grouping {quoted(name)}.", f"There are: {accepted}.")
    for name in measures:
        if name != DURATION and not name.startswith((RESULTS, SIGNALS)):
            hint = f"There are: {DURATION}, results.<path> and signals.<name> of a number."
            raise InvalidRequestError(f"measures: no measure {quoted(name)}.", hint)


async def check_paths(store: Store, coverage: Coverage, *arguments: Argument, is_loaded: bool) -> list[str]:
    """Notes on paths that no loaded call has, and on objects. `is_loaded`: the results of all matches are loaded.

    Raises:
        InvalidRequestError: a path does not exist though all calls are loaded, or a measure is not a number.
    """
    wanted = [(argument, name) for argument in arguments for name in argument.given if name.startswith(RESULTS)]
    kinds = await store.aggregates.paths() if wanted and coverage.matched else {}
    so_far = "" if is_loaded else " loaded so far"
    notes: list[str] = []
    for argument, name in wanted if coverage.matched else ():
        kind = kinds.get(name.removeprefix(RESULTS))
        is_measure = argument.name == "measures"
        fitting = [RESULTS + path for path, other in kinds.items() if not is_measure or other in ("number", "mixed")]
        there_are = f"Fields{' so far' if so_far else ''}: {listed(sorted(fitting), _MAX_FIELDS)[:1_500] or 'none'}."
        below = sorted(RESULTS + path for path in kinds if path.startswith(f"{name.removeprefix(RESULTS)}."))
        if below and argument.name == "group_by" and kind is not None:
            names = listed(below, _MAX_NAMED)
            notes.append(f"Where {named(name)} is an object it counts as {NONE}{names and f'; group by {names}'}.")
        if kind is None:
            guess = nearest(name.removeprefix(RESULTS), kinds)
            guess = as_signal(name.removeprefix(RESULTS)) or (guess and RESULTS + guess)
            missing = f"call{so_far} has {named(name)}.{did_you_mean(guess)}"
            if is_loaded:
                raise InvalidRequestError(
                    f"{argument.name}: no {missing}", f"{there_are} Or: {', '.join(argument.others)}."
                )
            notes.append(f"No {missing} {there_are}")
        elif is_measure and kind not in ("number", "mixed"):
            raise InvalidRequestError(
                f"measures: {named(name)} is a {kind} in all calls{so_far}, not a number.",
                f"Group by it instead. {there_are}",
            )
    return notes


def kinds_used(names: Iterable[str]) -> frozenset[str]:
    """What these fields, times, result fields and signals use of each call, as kinds of what may be unreadable."""
    kinds = {RESULTS: frozenset({"results"}), SIGNALS: WORDS | SPEAKERS}
    used = frozenset[str]()
    for name in names:
        own = {"started_at"} if name in TIMES else {name}
        used |= next((kind for prefix, kind in kinds.items() if name.startswith(prefix)), own)
    return used


def _check_kind(argument: str, signal: str) -> None:
    """Refuses to group by what has a value of its own in nearly every call, and to measure what is no number."""
    kind = MEASURED[signal].kind
    if argument == "group_by" and kind == "number":
        raise InvalidRequestError(
            f"group_by: {SIGNALS}{signal} has too many values.", f"Take it as a measure: measures={SIGNALS}{signal}."
        )
    if argument == "measures" and kind in ("flag", "text", "turn"):
        raise InvalidRequestError(
            f"measures: {SIGNALS}{signal} is not a number.", f"Group by it instead: group_by={SIGNALS}{signal}."
        )


def parse_name(argument: str, word: str, words: Mapping[str, str], refused: Set[str]) -> str:
    """What a word names: one of `words`, `signals.<name>`, or a field of the results.

    Raises:
        InvalidRequestError: it is a misspelled one, or `refused`, which no result field is.
    """
    if word.startswith(RESULTS):
        return word
    if signal := signal_in(word):
        _check_kind(argument, signal)
        return SIGNALS + signal
    name = word.lower().replace(" ", "_")
    if name in words:
        return words[name]
    similar = nearest(name, words, _MISSPELLED)
    if not similar and name not in refused:
        return RESULTS + word
    accepted = ", ".join(dict.fromkeys(words.values()))
    raise InvalidRequestError(
        f"{argument} does not take {quoted(word)}.{did_you_mean(similar)}",
        f"It takes {accepted}, result fields (results.intent) and signals (signals.agent_repeats).",
    )
