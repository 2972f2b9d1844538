"""Who speaks: maps the providers' words for the two sides of a call to ours."""

import re
from functools import lru_cache

from pydantic import JsonValue

from formant_mcp.providers.json_values import Wire, as_text

# Compared without case, blanks and punctuation: "AI Agent" is ai_agent.
_AGENT = frozenset({
    "agent", "bot", "assistant", "ai", "aiagent", "aiassistant", "virtualagent", "virtualassistant", "voiceagent",
    "voiceassistant", "voicebot", "chatbot", "robot", "model", "outbound", "outgoing",
})  # fmt: skip
_CONTACT = frozenset({
    "contact", "human", "customer", "user", "caller", "callee", "client", "lead", "person", "enduser", "patient",
    "prospect", "borrower", "recipient", "consumer", "member", "guest", "respondent", "inbound", "incoming",
})  # fmt: skip
_MARKS = re.compile(r"[\W_]+")


@lru_cache(4096)
def plain(name: str) -> str:
    """A name as it is compared: `start_time`, `startTime` and `Start Time` are the same."""
    return _MARKS.sub("", name).lower()


_HINDI_AGENT = frozenset(map(plain, ("एजेंट", "एजेन्ट", "बॉट", "सहायक")))
_HINDI_CONTACT = frozenset(map(plain, ("ग्राहक", "कॉलर", "उपयोगकर्ता", "ग्राहिका")))
_DIRECTIONS = frozenset({"outbound", "outgoing", "inbound", "incoming"})
# Fields with these names say who speaks, whatever they hold ...
SAYS_WHO = (
    "role", "speaker", "sender", "participant", "speakerrole", "speakertype", "senderrole", "sendertype",
    "usertype", "participantrole",
    "speakername", "speakerlabel", "sendername", "participantname", "speakerid", "participantid",
    "from", "author", "party", "who", "side", "talker", "actor",
)  # fmt: skip
# ... fields with these names only if they hold a word for one of the two sides, possibly with a person's name.
_PERHAPS = ("type", "event", "channel", "source", "direction", "label", "user")
_NAMES = ("name", "displayname", "username")
_INSIDE = ("role", "type", "kind", "name", "label", "displayname", "speaker", "id")
_LONGEST = 40
# `Priya (Agent)`, `Customer - Rahul`, `Agent Smith`, but not `Customer Care` or `Human Agent`.
_PARTS = re.compile(r"\s[-–—/|]\s|[\[\]():|]")
_WITH_NAME = re.compile(
    r"(?P<side>agent|bot|assistant|customer|caller|client|user|borrower|patient) (?P<name>\w.+)", re.I
)
_JOBS = re.compile(
    r"\b(?:care|services?|support|success|experience|happiness|executive|rep\w*|manager|relation\w*|desk|help|team"
    r"|cent(?:er|re)|line|advis[eo]r|specialist|officer|\d+)\b",
    re.IGNORECASE,
)
# `is_agent`, `fromUser`: true or false; `customer_message`, `user_speech`: the speaker is in the name.
_IS = re.compile(r"(?:is|from|by)(?P<side>\w+)")
_KIND = re.compile(r"(?P<side>.+?)[_\W]*(?:message|speech|utterance|turn|input|transcript)", re.IGNORECASE)

# Speakers other than the two sides of a call.
_OTHERS = frozenset({
    "tool", "function", "system", "event", "ivr", "operator", "supervisor", "interpreter", "narrator", "moderator",
    "developer", "representative",
})  # fmt: skip

SPEAKER_FIELDS = frozenset((*SAYS_WHO, *_PERHAPS, *_NAMES))
LABELS = sorted((_AGENT | _CONTACT) - _DIRECTIONS, key=len, reverse=True)
"""The words that may start a line of a transcript sent as one text."""


def side(word: str) -> str | None:
    """`agent` or `contact` for a word for one of them."""
    compared = plain(word)
    if compared in _AGENT or compared in _HINDI_AGENT:
        return "agent"
    return "contact" if compared in _CONTACT or compared in _HINDI_CONTACT else None


def side_in(name: str) -> str | None:
    """The only side that a name mentions: `Priya (Agent)`, `Customer - Rahul`, `Agent Smith`."""
    sides = {named for part in _PARTS.split(name) if (named := side(part))}
    if not sides and (match := _WITH_NAME.fullmatch(name.strip())) and not _JOBS.search(match["name"]):
        is_unambiguous = not any(side(word) for word in match["name"].split())
        sides = {side(match["side"])} if is_unambiguous else set[str | None]()
    return sides.pop() if len(sides) == 1 else None


def as_role(value: JsonValue) -> str:
    """`agent` or `contact` for the providers' words for them, any other word as sent."""
    sent = as_text(value) or ""
    return side(sent) or sent.replace(" ", "_")[:_LONGEST] or "unknown"


def speaker(fields: Wire) -> tuple[str, bool]:
    """Who speaks in a turn with these fields (by plain names), and whether a field says so explicitly."""
    explicit = [name for field in SAYS_WHO if field in fields and (name := _named(fields[field]))]
    others = [kind for field in _PERHAPS if field in fields and (kind := _side_of_kind(_named(fields[field]) or ""))]
    others += filter(None, (_side_by(name, value) for name, value in fields.items()))
    names = (*explicit, *others)
    who = next((named for find_side in (side, side_in) for name in names if (named := find_side(name))), None)
    if who or explicit:
        return who or as_role(explicit[0]), bool(explicit)
    return as_role(next((fields[name] for name in _NAMES if as_text(fields.get(name))), None)), False


def _side_of_kind(word: str) -> str | None:
    """The side that a kind of turn names."""
    match = _KIND.fullmatch(word)
    return side(word) or (side(match["side"]) if match else None)


def _side_by(name: str, value: JsonValue) -> str | None:
    """The side according to a field that is true or false."""
    match = _IS.fullmatch(name) if isinstance(value, bool) else None
    named = side(match["side"]) if match else None
    return {"agent": "contact", "contact": "agent"}[named] if named and not value else named


def _named(value: JsonValue) -> str | None:
    """The name in a field, or in the object in that field."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return as_text(value)
    fields = {plain(name): inner for name, inner in value.items()}
    names = [name for inner in map(fields.get, _INSIDE) if (name := as_text(inner))]
    return next((name for name in names if side(name)), names[0] if names else None)


def is_of_no_side(who: str) -> bool:
    """Whether a role leaves open which side speaks: it is missing, a number, or a person's name."""
    return who not in ("agent", "contact") and plain(who) not in _OTHERS
