"""Signals: what is measured from the turns of a call, the same way for every provider.

A signal that cannot be measured is absent, never guessed. A count that can be measured and finds nothing is 0; the
index of a first turn is absent if there is no such turn: where `agent_turns` is present, all turns were searched.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import filterfalse
from statistics import median
from types import MappingProxyType
from typing import Literal, NamedTuple

from formant_mcp.analysis import timing
from formant_mcp.analysis.phrase_lists import QUESTION_STARTS, PhraseLists
from formant_mcp.models import Conversation, Turn
from formant_mcp.text_search.tokenizer import folded_words

Kind = Literal["count", "number", "flag", "text", "turn"]
Need = Literal["transcript", "speakers", "ends", "ends or flags", "tool results", "recording"]
Value = int | float | str | bool


class Signal(NamedTuple):
    """What a signal is. A `count` is a whole number, a `turn` the index of the first with a phrase. What it needs:

    - `transcript`: of a call that has ended, and connected: it has turns or a duration;
    - `speakers`: also, every turn was readable and its speaker is identified;
    - `ends`: also, all the starts and ends that it compares were sent;
    - `ends or flags`: these, or the provider's own flags of interrupted agent turns;
    - `tool results`: the provider says of each whether it is an error;
    - `recording`: it was saved.
    """

    kind: Kind
    needs: Need
    definition: str


def _phrase(what: str, whose: str = "contact's") -> Signal:
    return Signal("turn", "speakers", f"index of the first {whose} turn in which {what}; absent if there is none")


SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {
        "turn_count": Signal("count", "transcript", "turns of the transcript, tool calls included"),
        "agent_turns": Signal("count", "speakers", "turns in which the agent says something"),
        "contact_turns": Signal("count", "speakers", "turns in which the contact says something"),
        "agent_word_share": Signal("number", "speakers", "the agent's words over all spoken words, 0 to 1"),
        "longest_agent_turn_words": Signal("count", "speakers", "words of the agent's longest turn"),
        "agent_repeats": Signal(
            "count",
            "speakers",
            "agent turns that have the same words in the same order as an earlier one; numbers and fillers (ok, sorry,"
            " ji) are left out, and three words or more must remain",
        ),
        "longest_repeat_run": Signal(
            "count",
            "speakers",
            "the most agent turns in a row with the same words, compared as for agent_repeats: 1 if none says it twice,"
            " 0 if none has three words",
        ),
        "contact_repeats": Signal("count", "speakers", "the same as agent_repeats, for the contact's turns"),
        "unanswered_questions": Signal(
            "count",
            "speakers",
            "contact's turns with a question mark, or a question word at the start, and more words than fillers and"
            " numbers, after which the agent's next turn is one of agent_repeats, or the agent says nothing more",
        ),
        "reply_seconds_median": Signal(
            "number",
            "ends",
            "median seconds from the end of a contact's turn to the start of the agent's next one (0 if that began"
            " before); starts alone do not say how long anybody waited",
        ),
        "reply_seconds_max": Signal("number", "ends", "the longest of the waits of reply_seconds_median"),
        "longest_gap_seconds": Signal(
            "number", "ends", "longest time between two turns, of all turns spoken, in which nobody speaks"
        ),
        "interruptions": Signal(
            "count",
            "ends or flags",
            "agent turns that the provider flags as interrupted, if it flags every agent turn or sends no false flag;"
            " otherwise agent turns during which the contact begins to speak",
        ),
        "asked_for_human": _phrase("a person is wanted instead of the agent"),
        "asked_if_robot": _phrase("the question is whether the agent is a machine, or it is called one"),
        "voicemail": _phrase(
            "an answering machine or the network answers, whoever is named as speaker (the agent only before the"
            " contact speaks)",
            "spoken",
        ),
        "wrong_person": _phrase("the number or the person is said to be wrong"),
        "abusive_words": _phrase("there is an insult"),
        "opt_out": _phrase("no more calls are wanted"),
        "ended_by": Signal("text", "speakers", "who spoke last: agent, contact or other"),
        "early_end": Signal("flag", "speakers", "whether the contact spoke in fewer than two turns"),
        "tool_errors": Signal("count", "tool results", "tool calls that failed"),
        "recording_gap_seconds": Signal("number", "recording", "the longest silence in the saved recording"),
        "recording_silence_share": Signal("number", "recording", "share of the saved recording that is silent, 0 to 1"),
    }
)

REFUSAL = "refusal"
MEASURED: Mapping[str, Signal] = MappingProxyType(
    {
        **SIGNALS,
        REFUSAL: _phrase("a payment is refused or a debt disputed"),
        "reply_turn": Signal("count", "ends", "the agent's turn after reply_seconds_max"),
        "gap_turn": Signal("count", "ends", "the turn after longest_gap_seconds"),
        "interrupted_turn": Signal("count", "ends or flags", "the first of interruptions"),
    }
)
"""The signals, and what is measured like one for reviews alone: no filter, group or export has it."""

TURNS_BY_TIMES: Mapping[str, str] = MappingProxyType(
    {"reply_seconds_max": "reply_turn", "longest_gap_seconds": "gap_turn", "interruptions": "interrupted_turn"}
)
"""What has the turn to listen to, for signals that are measured by times."""

PHRASE_SIGNALS = frozenset(name for name, signal in MEASURED.items() if signal.kind == "turn")

PARTIES = ("agent", "contact", "other")
"""Who may have spoken last."""

SAID, NOT_SAID = "said", "not said"
"""The values of a signal that is the first turn with a phrase, wherever calls are counted or compared by it."""

_SAID_BY_ANYBODY = frozenset({"voicemail"})
_NOT_SPEECH = frozenset({"tool", "function", "system", "event", "developer"})
_QUESTION_MARK = re.compile("[?？؟]")
_FEWEST_WORDS = 3


def measure(conversation: Conversation, lists: PhraseLists) -> dict[str, Value]:
    """What MEASURED has of a call, by name, except what its recording says."""
    if not conversation.ended:
        return {}
    measured: dict[str, Value] = {}
    if conversation.tool_errors is not None:
        measured["tool_errors"] = conversation.tool_errors
    if conversation.turns is None or not (conversation.turns or conversation.duration_seconds):
        return measured
    measured["turn_count"] = len(conversation.turns)
    speech = _speech(conversation.turns)
    words = _Words.of(speech, lists)
    measured |= words.first_turns
    if conversation.unreadable.turns or conversation.unreadable.speakers:
        return measured
    return measured | words.measured() | _timed(speech)


def turns_to_hear(turns: Sequence[Turn], lists: PhraseLists) -> dict[str, int]:
    """The turn to listen to for signals that are measured by words: the first one counted, or the longest."""
    return _Words.of(_speech(turns), lists).counted_turns()


def _speech(turns: Sequence[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn.text and turn.role not in _NOT_SPEECH]


def _timed(speech: Sequence[Turn]) -> dict[str, Value]:
    """What the times of the turns say."""
    measured: dict[str, Value] = {}
    if speech:
        measured["ended_by"] = speech[-1].role if speech[-1].role in PARTIES else "other"
    if replies := timing.replies(speech):
        slowest = timing.longest(replies)
        measured["reply_seconds_median"] = round(median(wait.seconds for wait in replies), 3)
        measured |= {"reply_seconds_max": round(slowest.seconds, 3), "reply_turn": slowest.turn}
    if gap := timing.longest_gap(speech):
        measured |= {"longest_gap_seconds": round(gap.seconds, 3), "gap_turn": gap.turn}
    if (interrupted := timing.interrupted(speech)) is not None:
        measured["interruptions"] = len(interrupted)
        if interrupted:
            measured["interrupted_turn"] = interrupted[0]
    return measured


class _Repeats:
    """Counts what one party says again, first in the turn `first`. `longest_run`: the most turns in a row that say the
    same."""

    def __init__(self) -> None:
        self.count = self.longest_run = 0
        self.first: int | None = None
        self._run = 0
        self._last: tuple[str, ...] = ()
        self._earlier: set[tuple[str, ...]] = set()

    def add(self, sentence: tuple[str, ...], index: int) -> bool:
        """Whether an earlier turn has the same words."""
        is_long = len(sentence) >= _FEWEST_WORDS
        self._run = self._run + 1 if is_long and sentence == self._last else int(is_long)
        self.longest_run = max(self.longest_run, self._run)
        self._last = sentence
        is_repeat = is_long and sentence in self._earlier
        self._earlier.add(sentence)
        if is_repeat and not self.count:
            self.first = index
        self.count += is_repeat
        return is_repeat


class _Words:
    """What the words of the turns say. `first_turns`: for each list of phrases, the first turn that has one."""

    def __init__(self, lists: PhraseLists) -> None:
        self.first_turns: dict[str, Value] = {}
        self._lists = lists
        self._turns = {"agent": 0, "contact": 0}
        self._words = self._agent_words = self._longest = 0
        self._longest_turn: int | None = None
        self._agent, self._contact = _Repeats(), _Repeats()
        self._open_questions: list[int] = []
        self._unanswered: list[int] = []

    @classmethod
    def of(cls, speech: Iterable[Turn], lists: PhraseLists) -> "_Words":
        """What the words of all these turns say."""
        words = cls(lists)
        for turn in speech:
            words.add(turn)
        return words

    def add(self, turn: Turn) -> None:
        """Adds the next spoken turn."""
        words = folded_words(turn.text)
        # Phrases of the agent count only as long as it may be a machine that answers.
        phrases = self._lists.find(words) if turn.role != "agent" or not self._turns["contact"] else []
        for name, _ in phrases:
            if name in PHRASE_SIGNALS and (turn.role == "contact" or name in _SAID_BY_ANYBODY):
                self.first_turns.setdefault(name, turn.index)
        self._words += len(words)
        if turn.role not in self._turns:
            return
        self._turns[turn.role] += 1
        sentence = tuple(word for word in filterfalse(self._lists.fillers.__contains__, words) if not word.isdecimal())
        if turn.role == "contact":
            self._contact.add(sentence, turn.index)
            if sentence and self._is_question(turn.text, words, phrases):
                self._open_questions.append(turn.index)
            return
        self._agent_words += len(words)
        if len(words) > self._longest:
            self._longest, self._longest_turn = len(words), turn.index
        if self._agent.add(sentence, turn.index):
            self._unanswered += self._open_questions
        self._open_questions = []

    def _is_question(self, text: str, words: Sequence[str], phrases: Sequence[tuple[str, int]]) -> bool:
        """Whether a turn has a question mark, or begins with a question word after fillers."""
        starts = (first for name, first in phrases if name == QUESTION_STARTS)
        return bool(_QUESTION_MARK.search(text)) or any(
            self._lists.fillers.issuperset(words[:first]) for first in starts
        )

    def measured(self) -> dict[str, Value]:
        """The signals that count words and turns."""
        share: dict[str, Value] = {"agent_word_share": round(self._agent_words / self._words, 4)} if self._words else {}
        return share | {
            "agent_turns": self._turns["agent"],
            "contact_turns": self._turns["contact"],
            "longest_agent_turn_words": self._longest,
            "agent_repeats": self._agent.count,
            "longest_repeat_run": self._agent.longest_run,
            "contact_repeats": self._contact.count,
            "unanswered_questions": len(self._unanswered) + len(self._open_questions),
            "early_end": self._turns["contact"] < 2,
        }

    def counted_turns(self) -> dict[str, int]:
        """For the signals that have one, the index of the first turn counted, or of the longest."""
        turns = {
            "agent_repeats": self._agent.first,
            "contact_repeats": self._contact.first,
            "unanswered_questions": next(iter([*self._unanswered, *self._open_questions]), None),
            "longest_agent_turn_words": self._longest_turn,
        }
        return {name: turn for name, turn in turns.items() if turn is not None}
