import re
from collections.abc import Collection, Sequence

from pydantic import JsonValue

_N = re.compile(r"\+?\d(?:[ -]?\d){9,14}")


class Redactor:
    def __init__(self, kinds: Collection[str]) -> None:
        self._labels: dict[str, str] = {}

    def _label(self, digits: str) -> str:
        return self._labels.setdefault(digits, f"<number {len(self._labels) + 1}>")

    def text(self, text: str) -> str:
        return _N.sub(lambda m: self._label(re.sub(r"\D", "", m[0])[-10:]), text)

    def turns(self, texts: Sequence[str]) -> list[str]:
        return [self.text(text) for text in texts]

    def number(self, number: str | None) -> str | None:
        return number and self._label(re.sub(r"\D", "", number)[-10:] or number)

    def value(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            t = self.text(str(value))
            return t if t != str(value) else value
        if isinstance(value, list):
            return [self.value(v) for v in value]
        if isinstance(value, dict):
            return {self.text(k): self.value(v) for k, v in value.items()}
        return value
