"""The domain models: conversations and their parts, whichever provider they are from.

Times are aware datetimes in UTC, durations are in seconds. `None` means "unknown" or "none". Texts are clean: one line,
without control, zero-width or bidirectional characters (see `clean`).
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

import regex
from pydantic import JsonValue

Outcome = Literal["success", "failure"] | None

AGENT_WORDS = frozenset({"agent", "bot", "assistant", "ai"})
CONTACT_WORDS = frozenset({"contact", "human", "customer", "user", "caller", "callee", "client"})

# White space and separators become a space; invisible and direction-changing characters are removed: C0/C1 controls,
# soft hyphen, joiners, bidirectional marks, signs that only format others, fillers, variation selectors, tags, lone
# surrogates, private use, non-characters.
_SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029\u2800]+")
_NON_CHARACTERS = "".join(chr(plane << 16 | last) for plane in range(1, 15) for last in (0xFFFE, 0xFFFF))
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    f"\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff{_NON_CHARACTERS}]"
)


def clean(text: str) -> str:
    """One line of visible text: white space folded, invisible and direction-changing characters removed."""
    if text.isascii() and text.isprintable() and "  " not in text:  # nearly every text, and much faster
        return text.strip(" ")
    return _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()


# A name or a number as most are, or what redaction puts in the place of one.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}|\+\d{1,39}|<(?:number|email|id) \d{1,9}>")
_NAME_OF_ANY_SCRIPT = regex.compile(r"[\p{L}\p{M}\p{Nd}_.-]{1,40}")
_QUOTABLE = regex.compile(r"(?!\S*//)[\p{L}\p{M}\p{Nd}_.+@:/&'(),?#%-]+")
_QUOTABLE_CHARACTERS, _QUOTABLE_WORDS = 64, 3


def outside_form(text: str) -> str | None:
    """The form in which a provider's or a caller's text may be written outside the boundary; None: in none.

    A name or number is written as it is: up to 40 letters, digits, `_`, `.`, `-`. Up to three words of that kind, and
    one more in parentheses, are written in quotes. All else may be a sentence to the reader. So may be a name with
    letters of two scripts, or fullwidth ones: it seems to be another than it is.
    """
    if not text or _NAME.fullmatch(text):
        return text
    words, in_parentheses = text.split(" "), text.endswith(")")
    if (
        len(text) > _QUOTABLE_CHARACTERS
        or len(words) > _QUOTABLE_WORDS + in_parentheses
        or not all(map(_QUOTABLE.fullmatch, words))
    ):
        return None
    if not text.isascii() and not _has_one_script(text):
        return None
    return text if _NAME_OF_ANY_SCRIPT.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _has_one_script(text: str) -> bool:
    scripts = {unicodedata.name(letter, "?").split(" ")[0] for letter in text if letter.isalpha()}
    return len(scripts) <= 1 and not any(unicodedata.decomposition(letter).startswith("<") for letter in text)


def named(text: str) -> str:
    """What was given, as an error names it: as it may be outside the boundary, else only its length."""
    text = clean(text)
    return outside_form(text) or quoted(text)


def quoted(text: str) -> str:
    """The same, always in quotes."""
    text = clean(text)
    return f"'…' ({len(text):,} characters)" if outside_form(text) is None else repr(text)


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance. `role` is `agent`, `contact` or as sent; `seconds` count from the start of the call.

    `end_seconds`: when it ends; only if the provider says so. `interrupted`: the provider's own flag for a turn that
    the other side cut short.
    """

    index: int
    role: str
    text: str
    seconds: float | None = None
    end_seconds: float | None = None
    interrupted: bool | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Counts of what the provider sent for one conversation and could not be read.

    `transcripts`: 1 if a transcript was sent that gave no words at all. `turns`: turns of a readable transcript without
    readable words, and items of its list that are not turns. `results`: values of the results that were lost.
    `speakers`: turns whose speaker could not be identified as agent or contact. `fields`: names of the conversation's
    own fields (see `formant_mcp.filters.FIELDS`).
    """

    transcripts: int = 0
    turns: int = 0
    results: int = 0
    speakers: int = 0
    fields: frozenset[str] = frozenset()


class Conversation(NamedTuple):
    """One voice call between an agent and a contact. What was not sent, or could not be read, is None.

    `direction`: `inbound`, `outbound`, `web`, or as sent; only if the provider has it.
    `outcome`: `success` for an ended call that connected and ended normally, `failure` for one that ended otherwise,
    None while it runs or if it cannot be determined. `ended` is False while a call is queued or running.
    `has_detail`: the response included transcript and results (either may still be None: not ready yet).
    `failure_reason_known`: the failure reason is final, even if it is empty.
    `tool_errors`: how many tool calls failed; only if the transcript has their results.
    A named tuple, as it is created for each row of a list: a quarter of the time of a frozen dataclass.
    """

    conversation_id: str
    agent_id: str | None = None
    agent_name: str | None = None
    contact_number: str | None = None
    user_id: str | None = None
    direction: str | None = None
    status: str | None = None
    outcome: Outcome = None
    ended: bool = True
    failure_reason: str | None = None
    failure_reason_known: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    trace_id: str | None = None
    results: dict[str, JsonValue] | None = None
    turns: tuple[Turn, ...] | None = None
    tool_errors: int | None = None
    has_detail: bool = False
    unreadable: Unreadable = Unreadable()


def never_connected(conversation: Conversation, turn_count: int | None) -> bool:
    """Whether a call ended without ever connecting, so that it has no recording and no transcript.

    True only if there is no doubt: it failed, and has no duration and no turns.
    """
    has_turns = bool(turn_count or conversation.turns)
    has_failed = conversation.ended and conversation.outcome == "failure"
    return has_failed and not conversation.duration_seconds and not has_turns


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a provider's list, in the provider's order.

    `row_count`: rows of the page. `unreadable`: rows that could not be read as a conversation. `total`: conversations
    in the list according to the provider.
    """

    conversations: tuple[Conversation, ...]
    row_count: int
    has_more: bool
    total: int | None = None
    unreadable: int = 0

    def more_after(self, offset: int) -> bool:
        """Whether there is more after this page, which started at row `offset`, by `has_more` or by `total`."""
        return self.row_count > 0 and (self.has_more or (self.total or 0) > offset + self.row_count)
