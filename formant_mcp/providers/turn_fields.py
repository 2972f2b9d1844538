"""The fields of a turn, whatever they are called: its words, its time, the tools it used.

Names are plain (see `speakers.plain`). Parameters, headers and bodies of tool calls may hold secrets and are not read.
"""

import re
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from formant_mcp.providers.json_values import Wire, as_bool, as_float, as_text, unpack
from formant_mcp.providers.speakers import SPEAKER_FIELDS, plain

WORDS = (
    "message", "text", "content", "utterance", "transcript", "sentence", "body", "value", "say", "said", "speech",
    "phrase", "line", "msg", "caption", "transcription", "spokentext", "messagetext", "textcontent", "transcripttext",
    "statement", "punctuatedword", "word", "words", "multivoicemessage", "parts", "sentences", "segments", "lines",
    "paragraphs", "tokens", "chunks", "alternatives",
)  # fmt: skip
# The same words in another form: read only if no other field has them.
SAME_WORDS = frozenset({
    "punctuatedword", "word", "words", "multivoicemessage", "sentences", "segments", "lines", "paragraphs", "tokens",
    "chunks", "alternatives",
})  # fmt: skip
_TIMES = (
    "timeincallsecs", "starttime", "start", "startsecs", "startseconds", "secondsfromstart", "timeincall", "offset",
    "offsetseconds", "startoffset", "time", "timestamp", "at", "begin", "begintime", "ts", "t", "seconds", "secs",
    "startms", "starttimems", "startmillis", "offsetms", "timestampms", "timems", "beginms", "startat", "startedat",
    "createdat", "createdatunixms", "sentat", "date", "datetime",
)  # fmt: skip
ENDS = (
    "endtime", "end", "endsecs", "endseconds", "endoffset", "endtimestamp", "stop", "stoptime", "endms", "endtimems",
    "endmillis", "endoffsetms", "endat", "endedat",
)  # fmt: skip
# Fields that describe a turn instead of being said in it. Ids, times and addresses are recognized by their ending.
_ABOUT = frozenset({
    "id", "uuid", "kind", "index", "status", "state", "confidence", "score", "language", "lang", "locale", "model",
    "emotion", "sentiment", "intent", "tone", "metadata", "meta", "tools", "toolcalls", "toolresults",
    "functioncall", "usage", "url", "uri", "audio", "mimetype", "format", "end", "duration", "interrupted",
    "feedback", "agentmetadata", "llmoverride", "producingllm", "conversationturnmetrics", "ragretrievalinfo",
    "llmusage", "originalmessage", "ignoredasbackchannel", "platformevent", "reasoning", "sourcemedium",
    "useridentifier", "triggeredguardrails", "fileinput", "fileinputs", "voicelabel", "toolname", "parameters",
    "arguments", "headers", "updatedat", "endedat", "inlinedata", "filedata", "inputaudio", "functionresponse",
    "executablecode", "codeexecutionresult",
})  # fmt: skip
_ABOUT_ENDINGS = ("id", "ids", "url", "uri", "time", "ms", "secs", "seconds")
_WORDS_PLACES = {name: place for place, name in enumerate(WORDS)}
_TIMES_PLACES = {name: place for place, name in enumerate(_TIMES)}
_ENDS_PLACES = {name: place for place, name in enumerate(ENDS)}
_SPOKEN = re.compile(r"[^\W\d_]")
_SENTENCE = re.compile(r"[^\W\d_].*\s.*[^\W\d_]|[^\W\d_\x00-\x7f]", re.DOTALL)
# Kinds of parts that are not speech.
_NOT_SPOKEN = re.compile(
    r"(?!.*transcri).*(?:tool|function|image|audio|video|file|document|think|reason)", re.IGNORECASE
)
_STOPS = frozenset(".,!?;:…।")
_LONGEST_ERROR = 300


def words_in(fields: Wire, levels: int) -> str:
    """What is said in a turn with these fields: the first with words, and every other with different words."""
    said = ""
    for name in _in_order(fields, _WORDS_PLACES):
        value = fields[name]
        if value is None or (said and not may_say_more(name, value)):
            continue
        words = _first_of(value, levels) if name == "alternatives" else words_of(value, levels - 1)
        if not said or not (letters(words) in letters(said) or letters(said) in letters(words)):
            said = f"{said} {words}".strip()
    return said


def _in_order(fields: Wire, places: Mapping[str, int]) -> list[str]:
    """Those of the names in `places` that the fields have, in the order of their places."""
    return sorted(fields.keys() & places.keys(), key=places.__getitem__)


def may_say_more(name: str, value: JsonValue) -> bool:
    """Whether it is a sentence or parts, and not the same words in another form."""
    has_more = bool(_SENTENCE.search(value)) if isinstance(value, str) else isinstance(value, list | dict)
    return has_more and name not in SAME_WORDS


def _first_of(value: JsonValue, levels: int) -> str:
    """The most likely of several transcriptions of the same audio."""
    readings = value if isinstance(value, list) else [value]
    return next((words for reading in readings if (words := words_of(reading, max(0, levels - 2)))), "")


def letters(words: str) -> str:
    """The words without case, blanks and punctuation."""
    return "".join(filter(str.isalnum, words.casefold()))


def words_of(value: JsonValue, levels: int) -> str:
    """The words in a text, a list of parts, or an object that holds them."""
    value = _unpacked_parts(value)
    if isinstance(value, list) and levels:
        parts = [words for item in value if (words := words_of(item, levels - 1))]
        return "".join(part if part in _STOPS or not index else f" {part}" for index, part in enumerate(parts))
    if isinstance(value, dict) and levels:
        return words_in({plain(name): item for name, item in value.items()}, levels)
    if isinstance(value, float):
        return as_text(value) or ("" if as_float(value) is None else str(value))
    return as_text(value) or ""


def _unpacked_parts(value: JsonValue) -> JsonValue:
    """The parts in a JSON string; a text that merely starts like JSON stays a text."""
    parts = unpack(value)
    return parts if isinstance(parts, dict | list) and (value is parts or words_of(parts, 2)) else value


def may_hold_words(fields: Wire) -> bool:
    """Whether something was sent under an unfamiliar name that may be what was said.

    If a usual field is there but null or empty, that takes more than a single word.
    """
    if _NOT_SPOKEN.match(str(fields.get("type", ""))):
        return False
    if any(_texts_in({name: fields.get(name)}, _SPOKEN) or isinstance(fields.get(name), bool) for name in WORDS):
        return True
    pattern = _SENTENCE if any(name in fields for name in WORDS) else _SPOKEN
    return _texts_in({name: value for name, value in fields.items() if name not in SPEAKER_FIELDS}, pattern)


def has_lost_part(fields: Wire) -> bool:
    """Whether words are in parts, and one of the parts holds words under an unfamiliar name."""
    parts = (part for name in fields if name in _WORDS_PLACES for part in _objects(_unpacked_parts(fields[name])))
    named = ({plain(name): value for name, value in part.items()} for part in parts)
    return any(not words_in(part, 2) and may_hold_words(part) for part in named)


def _texts_in(fields: Wire, pattern: re.Pattern[str]) -> bool:
    todo = list(fields.items())
    while todo:
        name, value = todo.pop()
        if name in _ABOUT or name in _TIMES or (name not in WORDS and name.endswith(_ABOUT_ENDINGS)):
            continue
        if isinstance(value, dict):
            todo.extend((plain(inner), item) for inner, item in value.items())
        elif isinstance(value, list):
            todo.extend(("", item) for item in value)
        elif isinstance(value, str) and pattern.search(value):
            return True
    return False


def times_in(fields: Wire) -> Iterator[tuple[str, JsonValue]]:
    """The fields that may say when a turn starts, by name; the start if it is a span."""
    for name in _in_order(fields, _TIMES_PLACES):
        value = fields[name]
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = next((value[key] for key in ("start", "seconds", "from") if key in value), None)
        if value is not None:
            yield name, value


def ends_in(fields: Wire) -> Iterator[tuple[str, JsonValue]]:
    """The fields that may say when a turn ends, by name."""
    return ((name, fields[name]) for name in _in_order(fields, _ENDS_PLACES) if fields[name] is not None)


def tool_lines(fields: Wire) -> list[str]:
    """A line for each tool call and each tool result."""
    calls, results = _objects(fields.get("toolcalls")), _objects(fields.get("toolresults"))
    return [*map(_tool_call, calls), *map(_tool_result, results)]


def _tool_call(wire: Wire) -> str:
    was_made = wire.get("tool_has_been_called") is not False
    return f"tool call {_tool_name(wire)}{'' if was_made else ': not made'}"


def _tool_result(wire: Wire) -> str:
    if not as_bool(wire.get("is_error")):
        return f"tool result {_tool_name(wire)}"
    # What the agent received: the raw message of a failed webhook may quote its address and key.
    reason = ": ".join(text for name in ("error_type", "result_value") if (text := as_text(wire.get(name))))
    return f"tool result {_tool_name(wire)}: error {reason[:_LONGEST_ERROR]}".rstrip()


def _tool_name(wire: Wire) -> str:
    function = wire.get("function")
    named = function.get("name") if isinstance(function, dict) else wire.get("name")
    return as_text(wire.get("tool_name")) or as_text(named) or "unnamed"


def _objects(wire: JsonValue) -> list[Wire]:
    return [item for item in wire if isinstance(item, dict)] if isinstance(wire, list) else []
