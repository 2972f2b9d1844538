"""Who speaks: the words that providers have for the two sides of a call, made into ours."""

import re
from functools import lru_cache

from pydantic import JsonValue

from formant_mcp.providers.json_values import Wire, text

# GroupComparison without case, blanks and marks: "AI Agent" is ai_agent.
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
    """A name as it is compared: `start_time`, `startTime` and `Start Time` are one."""
    return _MARKS.sub("", name).lower()


_HINDI_AGENT = frozenset(map(plain, ("एजेंट", "एजेन्ट", "बॉट", "सहायक")))
_HINDI_CONTACT = frozenset(map(plain, ("ग्राहक", "कॉलर", "उपयोगकर्ता", "ग्राहिका")))
_DIRECTIONS = frozenset({"outbound", "outgoing", "inbound", "incoming"})
# A field of these names says who speaks, whatever it holds ...
SAYS_WHO = (
    "role", "speaker", "sender", "participant", "speakerrole", "speakertype", "senderrole", "sendertype",
    "usertype", "participantrole",
    "speakername", "speakerlabel", "sendername", "participantname", "speakerid", "participantid",
    "from", "author", "party", "who", "side", "talker", "actor",
)  # fmt: skip
# ... of these only where it holds a word for one of the two sides, a person's name aside.
_PERHAPS = ("type", "event", "channel", "source", "direction", "label", "user")
_NAMES = ("name", "displayname", "username")
_INSIDE = ("role", "type", "kind", "name", "label", "displayname", "speaker", "id")
_LONGEST = 40
# `Priya (Agent)`, `Customer - Rahul`; `Agent Smith`, yet not `Customer Care` or `Human Agent`.
_PARTS = re.compile(r"\s[-–—/|]\s|[\[\]():|]")
_WITH_NAME = re.compile(
    r"(?P<side>agent|bot|assistant|customer|caller|client|user|borrower|patient) (?P<name>\w.+)", re.I
)
_JOBS = re.compile(
    r"\b(?:care|services?|support|success|experience|happiness|executive|rep\w*|manager|relation\w*|desk|help|team"
    r"|cent(?:er|re)|line|advis[eo]r|specialist|officer|\d+)\b",
    re.IGNORECASE,
)
# `is_agent`, `fromUser`: true or false; `customer_message`, `user_speech`: whose it is.
_IS = re.compile(r"(?:is|from|by)(?P<side>\w+)")
_KIND = re.compile(r"(?P<side>.+?)[_\W]*(?:message|speech|utterance|turn|input|transcript)", re.IGNORECASE)

# Those who speak besides the two sides of a call.
_OTHERS = frozenset({
    "tool", "function", "system", "event", "ivr", "operator", "supervisor", "interpreter", "narrator", "moderator",
    "developer", "representative",
})  # fmt: skip

SPEAKER_FIELDS = frozenset((*SAYS_WHO, *_PERHAPS, *_NAMES))
LABELS = sorted((_AGENT | _CONTACT) - _DIRECTIONS, key=len, reverse=True)
"""The words that begin a line of a transcript that is one text."""


def side(word: str) -> str | None:
    """`agent` or `contact` for a word for one of them."""
    compared = plain(word)
    if compared in _AGENT or compared in _HINDI_AGENT:
        return "agent"
    return "contact" if compared in _CONTACT or compared in _HINDI_CONTACT else None


def side_in(name: str) -> str | None:
    """The one side that a name tells: `Priya (Agent)`, `Customer - Rahul`, `Agent Smith`."""
    named = {found for part in _PARTS.split(name) if (found := side(part))}
    if not named and (found := _WITH_NAME.fullmatch(name.strip())) and not _JOBS.search(found["name"]):
        is_free = not any(side(word) for word in found["name"].split())
        named = {side(found["side"])} if is_free else set[str | None]()
    return named.pop() if len(named) == 1 else None


def role(value: JsonValue) -> str:
    """`agent` or `contact` for the words that providers have for them, any other as sent."""
    sent = text(value) or ""
    return side(sent) or sent.replace(" ", "_")[:_LONGEST] or "unknown"


def speaker(fields: Wire) -> tuple[str, bool]:
    """Who speaks in a turn of these fields (by plain names), and whether it says so outright."""
    said = [name for each in SAYS_WHO if each in fields and (name := _named(fields[each]))]
    others = [found for each in _PERHAPS if each in fields and (found := _side_of_kind(_named(fields[each]) or ""))]
    others += filter(None, (_side_by(name, value) for name, value in fields.items()))
    known = next((found for tells in (side, side_in) for name in (*said, *others) if (found := tells(name))), None)
    if known or said:
        return known or role(said[0]), bool(said)
    return role(next((fields[name] for name in _NAMES if text(fields.get(name))), None)), False


def _side_of_kind(word: str) -> str | None:
    """The side that a kind of turn names."""
    found = _KIND.fullmatch(word)
    return side(word) or (side(found["side"]) if found else None)


def _side_by(name: str, value: JsonValue) -> str | None:
    """The side by a field that is true or false."""
    found = _IS.fullmatch(name) if isinstance(value, bool) else None
    named = side(found["side"]) if found else None
    return {"agent": "contact", "contact": "agent"}[named] if named and not value else named


def _named(value: JsonValue) -> str | None:
    """The name in a field, or in the object that stands there."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return text(value)
    fields = {plain(name): each for name, each in value.items()}
    names = [name for each in map(fields.get, _INSIDE) if (name := text(each))]
    return next((name for name in names if side(name)), names[0] if names else None)


def is_of_no_side(who: str) -> bool:
    """Whether a role leaves open which side speaks: none was found, a number, or a name of a person."""
    return who not in ("agent", "contact") and plain(who) not in _OTHERS
