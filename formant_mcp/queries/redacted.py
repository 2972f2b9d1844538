"""Hides identifiers in answers: every text of them, apart from ids and from what the store has hidden already."""

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass, replace
from typing import ClassVar, Protocol, TypeVar, cast

from pydantic import JsonValue

from formant_mcp.analysis.changes import Change
from formant_mcp.contacts import EXAMPLE_NUMBER
from formant_mcp.errors import FormantError
from formant_mcp.filters import NONE
from formant_mcp.models import Conversation, Turn, named
from formant_mcp.queries.changes import ChangeReport, DatedChange
from formant_mcp.queries.conversations import Existing, Row
from formant_mcp.queries.export import ExportedCall
from formant_mcp.queries.groupings import RESULTS
from formant_mcp.queries.guesses import without_hidden_guess
from formant_mcp.queries.measures import Statistics
from formant_mcp.queries.profile import FieldProfile, Profile
from formant_mcp.queries.review import Finding
from formant_mcp.queries.search import Hit
from formant_mcp.queries.summary import Summary
from formant_mcp.queries.time_buckets import UNREAD
from formant_mcp.queries.transcripts import Transcript
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.store.phrases import FoundPhrase, FoundPhrases

_FROM_STORE = (Conversation, ExportedCall, FoundPhrase, FoundPhrases, Hit, Row, Transcript, Turn)
# Ids, which later questions need unchanged, and what has only ids and what the store has hidden.
_KEPT = frozenset(
    {"agent_id", "agent_names", "agents", "conversation_id", "cursor", "errors", "example", "fingerprint", "version"}
)
_OURS = frozenset({"note", "notes", "advice"})  # sentences of ours, which may name what is hidden
_MARKS = frozenset({NONE, UNREAD})
_NUMBER = "contact_number"
_LONGEST_INTEGER = 18

T = TypeVar("T")


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


def redacted(redactor: Redactor, answer: T) -> T:
    """The same answer, with a label in place of each identifier.

    A new field of an answer is hidden unless it is named here. Figures of numbers that are identifiers are left out,
    and a note says so.
    """
    hidden = _Hidden(redactor)
    shown = hidden.value("", answer)
    if hidden.left_out and isinstance(shown, Summary | Profile | ChangeReport):
        note = f"Figures of {', '.join(sorted(hidden.left_out))} are hidden."
        shown = replace(shown, notes=(*shown.notes, note))
    return cast(T, shown)


def redacted_error(redactor: Redactor, error: FormantError) -> FormantError:
    """The same error, with labels also in place of what its sender wrote."""
    error.message, error.hint = (_redacted_text(redactor, text) for text in (error.message, error.hint))
    return error


def _redacted_text(redactor: Redactor, text: str) -> str:
    """A text of ours: its own example stays, and no name that is hidden is suggested."""
    parts = text.split(EXAMPLE_NUMBER)
    return without_hidden_guess(EXAMPLE_NUMBER.join(map(redactor.text, parts)))


class _Hidden:
    """Hides identifiers in the parts of one answer. `left_out`: the fields whose figures are no part of it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.left_out = set[str]()
        self._names = dict[str, str]()
        self._shown_names = set[str]()

    def value(self, name: str, value: object) -> object:
        """The value of the field `name`; None for what is left out."""
        if name in _KEPT or isinstance(value, _FROM_STORE):
            return value
        match value:
            case str():
                return self._text(name, value)
            case dict():
                return self._items(cast(Mapping[str, object], value))
            case Finding():
                return value._replace(detail=self._redactor.text(value.detail))
            case list() | tuple():
                pairs = [(item, self.value(name, item)) for item in cast(list[object] | tuple[object, ...], value)]
                shown = [hidden for item, hidden in pairs if item is None or hidden is not None]
                return tuple(shown) if isinstance(value, tuple) else shown
            case _ if is_dataclass(value) and not isinstance(value, type):
                return self._dataclass(name, value)
            case _:
                return value

    def _text(self, name: str, text: str) -> str:
        if not text or text in _MARKS:
            return text
        if name == _NUMBER:
            return self._redactor.number(text) or ""
        if name in _OURS:
            return _redacted_text(self._redactor, text)
        return str(self._of_field(name, text)) if name.startswith(RESULTS) else self._redactor.text(text)

    def _of_field(self, path: str, value: JsonValue) -> JsonValue:
        """A value as it is in the results of a call, where the field's name says what it is, too."""
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _LONGEST_INTEGER:
            value = int(value) if str(int(value)) == value else value
        return self._redactor.value_of_field(path, value)

    def _items(self, items: Mapping[str, object]) -> dict[str, object]:
        """Keys are names of fields, which may have identifiers."""
        values = {self._name(name): self.value(name, value) for name, value in items.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _name(self, name: str) -> str:
        """A field's name: one throughout the answer, and no other field's."""
        if name not in self._names:
            self._names[name] = self._redactor.name(name, self._shown_names)
            self._shown_names.add(self._names[name])
        return self._names[name]

    def _dataclass(self, name: str, value: object) -> object:
        match value:
            case Existing():  # the values of that field
                values = [self._text(name, other) for other in value.values]
                suggestion = self._text(name, value.suggestion)
                return replace(value, values=values, suggestion=suggestion if suggestion == value.suggestion else "")
            case FieldProfile():
                path = RESULTS + value.path
                top = tuple((self._text(path, text), count) for text, count in value.top)
                figures = value.figures and self._figures(path, value.figures)
                return replace(value, path=self._name(value.path), top=top, figures=figures)
            case Statistics():
                return self._figures(name, value)
            case DatedChange():
                return replace(value, change=self._change(value.change)) if self._may_show(value.change) else None
            case _:
                parts = cast(_Dataclass, value)
                own = {field.name: getattr(parts, field.name) for field in fields(parts) if field.init}
                return replace(parts, **{key: self.value(key, item) for key, item in own.items()})

    def _change(self, change: Change) -> Change:
        same = tuple((self._name(path), self._text(path, other)) for path, other in change.same)
        shown = cast(str | None, self.value(change.field, change.value))
        return replace(change, field=self._name(change.field), value=shown, same=same)

    def _may_show(self, change: Change) -> bool:
        return not self._are_identifiers(change.field, change.before.median, change.after.median)

    def _figures(self, path: str, figures: Statistics) -> Statistics | None:
        own = figures.min, figures.median, figures.p90, figures.max
        return None if self._are_identifiers(path, *own) else figures

    def _are_identifiers(self, path: str, *numbers: float | None) -> bool:
        """Whether calls' own numbers are identifiers, such as phone numbers."""
        is_any = path.startswith(RESULTS) and any(
            self._of_field(path, int(number)) != int(number) for number in numbers if number is not None
        )
        if is_any:
            self.left_out.add(named(self._name(path)))
        return is_any
