"""What is to be hidden: a part of a turn, or of several turns that say one identifier together."""

from typing import Literal, NamedTuple

Kind = Literal["numbers", "emails", "ids"]


class Place(NamedTuple):
    """A part of a turn's text."""

    turn: int
    start: int
    end: int


class Identifier(NamedTuple):
    """An identifier in its normal form, and all places that say it."""

    kind: Kind
    normal: str
    places: tuple[Place, ...]
