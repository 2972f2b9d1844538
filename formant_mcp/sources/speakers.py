"""Who speaks: the words that providers have for the two sides of a call, made into ours."""

import re

from pydantic import JsonValue

from formant_mcp.sources.wire_values import Wire, text

# Compared without case, blanks and marks: "AI Agent" is ai_agent.
_AGENT = frozenset({
    "agent", "bot", "assistant", "ai", "aiagent", "aiassistant", "virtualagent", "virtualassistant", "voiceagent",
    "voiceassistant", "voicebot", "chatbot", "robot", "model", "outbound", "outgoing",
})  # fmt: skip
_CONTACT = frozenset({
    "contact", "human", "customer", "user", "caller", "callee", "client", "lead", "person", "enduser", "patient",
    "prospect", "borrower", "recipient", "consumer", "member", "guest", "respondent", "inbound", "incoming",
})  # fmt: skip
_DIRECTIONS = frozenset({"outbound", "outgoing", "inbound", "incoming"})
# A field of these names says who speaks, whatever it holds ...
_ALWAYS = (
    "role", "speaker", "sender", "participant", "speakerrole", "speakertype", "senderrole", "sendertype",
    "participantrole", "speakername", "speakerlabel", "sendername", "participantname", "speakerid", "participantid",
    "from", "author", "party", "who", "side", "talker", "actor",
)  # fmt: skip
# ... of these only where it holds a word for one of the two sides, a person's name aside.
_PERHAPS = ("type", "channel", "source", "direction", "label", "user")
_NAMES = ("name", "displayname", "username")
_INSIDE = ("role", "type", "kind", "name", "label", "displayname", "speaker", "id")
_LONGEST = 40
_MARKS = re.compile(r"[\W_]+")

SPEAKER_FIELDS = frozenset((*_ALWAYS, *_PERHAPS, *_NAMES))
LABELS = sorted((_AGENT | _CONTACT) - _DIRECTIONS, key=len, reverse=True)
"""The words that begin a line of a transcript that is one text."""


def plain(name: str) -> str:
    """A name as it is compared: `start_time`, `startTime` and `Start Time` are one."""
    return _MARKS.sub("", name).lower()


def side(word: str) -> str | None:
    """`agent` or `contact` for a word for one of them."""
    compared = plain(word)
    return "agent" if compared in _AGENT else "contact" if compared in _CONTACT else None


def role(value: JsonValue) -> str:
    """`agent` or `contact` for the words that providers have for them, any other as sent."""
    sent = text(value) or ""
    return side(sent) or sent.replace(" ", "_")[:_LONGEST] or "unknown"


def speaker(fields: Wire) -> tuple[str, bool]:
    """Who speaks in a turn of these fields (by plain names), and whether it says so outright."""
    said = [name for value in map(fields.get, _ALWAYS) if (name := _named(value))]
    others = [name for value in map(fields.get, _PERHAPS) if (name := _named(value)) and side(name)]
    known = next((found for name in (*said, *others) if (found := side(name))), None)
    if known or said:
        return known or role(said[0]), bool(said)
    return role(next((fields[name] for name in _NAMES if text(fields.get(name))), None)), False


def _named(value: JsonValue) -> str | None:
    """The name in a field, or in the object that stands there."""
    if not isinstance(value, dict):
        return text(value)
    fields = {plain(name): each for name, each in value.items()}
    names = [name for each in map(fields.get, _INSIDE) if (name := text(each))]
    return next((name for name in names if side(name)), names[0] if names else None)
