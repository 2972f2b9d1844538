"""Hides identifiers in answers: every text of them, apart from ids and from what the store has hidden already."""

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass, replace
from typing import ClassVar, Protocol, TypeVar, cast

from formant_mcp.analysis.changes import Change
from formant_mcp.errors import FormantError
from formant_mcp.filters import NONE
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.conversations import Existing, Row
from formant_mcp.queries.export import ExportedCall
from formant_mcp.queries.measures import Statistics
from formant_mcp.queries.review import Finding
from formant_mcp.queries.search import Hit
from formant_mcp.queries.time_buckets import UNREAD
from formant_mcp.queries.transcripts import Transcript
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.store.phrases import FoundPhrase, FoundPhrases

_FROM_STORE = (Conversation, ExportedCall, FoundPhrase, FoundPhrases, Hit, Row, Transcript, Turn)
# Ids, which later questions need unchanged, and what has only ids and what the store has hidden.
_KEPT = frozenset(
    {"agent_id", "agent_names", "agents", "conversation_id", "cursor", "errors", "example", "fingerprint"}
)
_MARKS = frozenset({NONE, UNREAD})
_NUMBER = "contact_number"

T = TypeVar("T")


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


def redacted(redactor: Redactor, answer: T) -> T:
    """The same answer, with a label in place of each identifier.

    A new field of an answer is hidden unless it is named here. Figures of numbers that are identifiers are left out.
    """
    return cast(T, _redacted(redactor, "", answer))


def redacted_error(redactor: Redactor, error: FormantError) -> FormantError:
    """The same error, with labels also in place of what its sender wrote."""
    error.message, error.hint = redactor.text(error.message), redactor.text(error.hint)
    return error


def _redacted(redactor: Redactor, name: str, value: object) -> object:
    """The value of the field `name`."""
    if name in _KEPT or isinstance(value, _FROM_STORE):
        return value
    match value:
        case str():
            return _text(redactor, name, value)
        case dict():
            return _items(redactor, cast(Mapping[str, object], value))
        case list():
            return [_redacted(redactor, name, item) for item in cast(list[object], value)]
        case Finding():
            return value._replace(detail=redactor.text(value.detail))
        case tuple():
            return tuple(_redacted(redactor, name, item) for item in cast(tuple[object, ...], value))
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _dataclass(redactor, name, value)
        case _:
            return value


def _text(redactor: Redactor, name: str, text: str) -> str:
    if name == _NUMBER and text and text not in _MARKS:
        return redactor.number(text) or ""
    return redactor.text(text)


def _items(redactor: Redactor, items: Mapping[str, object]) -> dict[str, object]:
    """Keys are names of fields, which may have identifiers. Figures that are left out are no items."""
    values = {redactor.text(name): _redacted(redactor, name, value) for name, value in items.items()}
    return {name: value for name, value in values.items() if value is not None}


def _dataclass(redactor: Redactor, name: str, value: object) -> object:
    match value:
        case Existing():  # the values of that field
            values = [_text(redactor, name, other) for other in value.values]
            return replace(value, values=values, suggestion=_text(redactor, name, value.suggestion))
        case Change():
            same = tuple((redactor.text(path), redactor.text(other)) for path, other in value.same)
            changed = cast(str | None, _redacted(redactor, value.field, value.value))
            return replace(value, field=redactor.text(value.field), value=changed, same=same)
        case Statistics():
            return None if _has_identifier(redactor, value) else value
        case _:
            parts = cast(_Dataclass, value)
            own = {field.name: getattr(parts, field.name) for field in fields(parts) if field.init}
            return replace(parts, **{key: _redacted(redactor, key, item) for key, item in own.items()})


def _has_identifier(redactor: Redactor, figures: Statistics) -> bool:
    """Whether one call's own number is an identifier, such as a phone number."""
    numbers = (figures.min, figures.median, figures.max)
    return any(number is not None and redactor.value(int(number)) != int(number) for number in numbers)
