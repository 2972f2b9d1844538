"""Names of signals and conditions on them, as people and models write them."""

from formant_mcp.analysis.signals import NOT_SAID, PARTIES, SAID, SIGNALS, Kind, Need
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NONE, Condition, Operator
from formant_mcp.filters import SIGNALS as PREFIX
from formant_mcp.models import AGENT_WORDS, CONTACT_WORDS, quoted
from formant_mcp.queries.guesses import did_you_mean, nearest
from formant_mcp.values import plain_number, read_value

_NEEDS: dict[Need, str] = {
    "transcript": "a transcript of a call that has ended",
    "speakers": "a transcript whose speakers are all identified",
    "ends": "the time when each turn ends",
    "ends or flags": "the time when each turn ends, or a flag on interrupted turns",
    "tool results": "what became of each tool call",
    "recording": "a recording that was saved (save_recording)",
}
_ACCEPTED: dict[Kind, str] = {
    "count": "a number, e.g. signals.{}>=3",
    "number": "a number from 0 (a share: to 1), e.g. signals.{}>=0.5",
    "turn": "said or not said, or the number of a turn, e.g. signals.{}=said",
    "flag": "true or false, e.g. signals.{}=true",
    "text": "agent, contact or other, e.g. signals.{}=agent",
}
_SAID = {SAID: True, "true": True, "yes": True, NOT_SAID: False, "unsaid": False, "false": False, "no": False}
_PARTIES = {
    **dict.fromkeys(AGENT_WORDS, "agent"),
    **dict.fromkeys(CONTACT_WORDS, "contact"),
    **{party: party for party in PARTIES},
}
_SHARES = frozenset({"agent_word_share", "recording_silence_share"})
_FLAGS = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false", "0": "false"}


def signal_in(name: str) -> str:
    """The signal that a name like `signals.agent_repeats` names; '' for other names.

    Raises:
        InvalidRequestError: there is no such signal; names the nearest.
    """
    word = name.strip().lower().replace(" ", "_")
    if not word.startswith(PREFIX):
        return ""
    signal = word.removeprefix(PREFIX)
    if signal not in SIGNALS:
        raise InvalidRequestError(
            f"There is no signal {quoted(name.strip()[len(PREFIX) :])}.{did_you_mean(nearest(signal, SIGNALS))}",
            f"The signals are {', '.join(SIGNALS)}; a result field of that name is results.signals.…",
        )
    return signal


def as_signal(word: str) -> str:
    """`signals.<name>` for a signal's bare name; '' for other words."""
    name = word.strip().lower()
    return PREFIX + name if name in SIGNALS else ""


def signal_condition(signal: str, operator: Operator, value: str) -> Condition:
    """A condition on a signal.

    Raises:
        InvalidRequestError: the value, or the comparison, is none for it; says what is accepted.
    """
    if operator in ("exists", "missing") or value == NONE:
        return Condition(signal, operator, value, is_signal=True)
    kind, is_equality = SIGNALS[signal].kind, operator in ("=", "!=")
    number = _number(value, is_share=signal in _SHARES)
    if kind == "turn" and is_equality and (is_said := _SAID.get(value.lower().replace("_", " "))) is not None:
        return Condition(signal, "=", SAID if is_said == (operator == "=") else NOT_SAID, is_signal=True)
    if kind == "flag" and is_equality and value.lower() in _FLAGS:
        return Condition(signal, operator, _FLAGS[value.lower()], is_signal=True)
    if kind == "text" and is_equality and (party := _PARTIES.get(value.lower())):
        return Condition(signal, operator, party, is_signal=True)
    if kind in ("count", "number", "turn") and number is not None:
        return Condition(signal, operator, f"{number!r}", is_signal=True)
    raise InvalidRequestError(
        f"results: a condition on {PREFIX}{signal} compares it with something else.",
        f"Compare it with {_ACCEPTED[kind].format(signal)}.",
    )


def _number(value: str, *, is_share: bool) -> float | None:
    """The number that is written; None if it is none that a signal may have. A share may be written in percent."""
    number = read_value(plain_number(value)).number
    if number is not None and is_share and value.strip().endswith("%"):
        number /= 100
    return None if number is None or number < 0 or (is_share and number > 1) else number


def needs_of(signal: str) -> str:
    """What a signal is measured from, in words."""
    return _NEEDS[SIGNALS[signal].needs]


def check_measurable(signals: frozenset[str], unmeasured: frozenset[Need]) -> None:
    """Checks that this provider's calls can have these signals.

    Raises:
        InvalidRequestError: one needs what the provider never sends.
    """
    for signal in sorted(signals):
        if SIGNALS[signal].needs in unmeasured:
            raise InvalidRequestError(
                f"{PREFIX}{signal} cannot be measured here: it needs {needs_of(signal)}, which this provider does not"
                " send.",
                "Leave it out.",
            )
