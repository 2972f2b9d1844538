"""The sample account's agents: their purpose, contacts, calling hours, and how their calls end."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from formant_mcp.demo.phrases import NAMES, NAMES_ABROAD
from formant_mcp.demo.script import Script, SharedLines, read_scripts

# How often a call begins in each hour of the day, from 9 on: evenings in India, office hours in the United States.
_HOURS_INDIA = (2, 4, 5, 4, 2, 3, 4, 5, 6, 9, 9, 4)
_HOURS_ABROAD = (5, 8, 7, 3, 4, 6, 6, 4)

_STATUSES = (
    "completed", "no_answer", "busy", "unreachable", "failed", "socket_failure", "telephony_failed", "voicemail_left",
)  # fmt: skip
_BY_DAY = (58, 17, 9, 6, 3, 2, 2, 3)
_IN_THE_EVENING = (45, 33, 8, 5, 3, 2, 2, 2)
_ABROAD = (55, 14, 5, 4, 3, 2, 2, 15)
_RETRY = (66, 16, 7, 4, 2, 2, 1, 2)


class Contact(NamedTuple):
    """The other party: a number in E.164 and a first name, in Latin letters and in Devanagari."""

    number: str
    name: str
    name_devanagari: str

    def name_in(self, language: str) -> str:
        """The name as a transcript in that language writes it."""
        return self.name_devanagari if language == "hi" else self.name


class Agent(NamedTuple):
    """A voice agent; `new_scripts` are used since its last prompt change. A slow one has `thinking_seconds`."""

    agent_id: int
    name: str
    zone: ZoneInfo
    contact_count: int
    scripts: tuple[Script, ...]
    new_scripts: tuple[Script, ...]
    shared: SharedLines
    thinking_seconds: float = 0

    @property
    def abroad(self) -> bool:
        """Whether it calls the United States."""
        return self.zone.key.startswith("America/")

    def hour(self, rng: Random) -> int:
        """An hour of the day at which it calls, in its zone."""
        weights = _HOURS_ABROAD if self.abroad else _HOURS_INDIA
        return 9 + rng.choices(range(len(weights)), weights=weights)[0]


def read_agents() -> tuple[Agent, ...]:
    """The account's five agents, with their scripts."""
    india, abroad, shared = ZoneInfo("Asia/Kolkata"), ZoneInfo("America/Los_Angeles"), SharedLines.read()

    def agent(agent_id: int, name: str, zone: ZoneInfo, contact_count: int, scripts: str, new: str = "") -> Agent:
        usual = read_scripts(scripts)
        return Agent(agent_id, name, zone, contact_count, usual, usual + read_scripts(new) if new else usual, shared)

    return (
        agent(123, "Payment reminders", india, 104, "reminders"),
        agent(456, "Collections", india, 84, "collections", new="late_fee_disputes"),
        agent(789, "Satisfaction survey", india, 62, "survey"),
        agent(452, "Appointment confirmations", abroad, 50, "appointments"),
        agent(101, "Delivery rescheduling", india, 50, "delivery")._replace(thinking_seconds=3.5),
    )


def contacts_of(agent: Agent, rng: Random) -> Iterator[Contact]:
    """Contacts to call, an endless sequence; some occur more than once.

    Numbers are artificial: +91 99999 0xxxx, and +1 415 555 01xx, which is reserved for fiction.
    """
    while True:
        if agent.abroad:
            line = rng.randrange(100)
            name = NAMES_ABROAD[line % len(NAMES_ABROAD)]
            yield Contact(f"+141555501{line:02d}", name, name)
        else:
            line = rng.randrange(10) * 1000 + rng.randrange(60)
            yield Contact(f"+91999990{line:04d}", *NAMES[line % len(NAMES)])


def status_at(hour: int, agent: Agent, number: int, rng: Random) -> str:
    """How attempt `number` at that hour ends; in the evening fewer people answer."""
    weights = _BY_DAY if number == 1 else _RETRY
    if agent.abroad:
        weights = _ABROAD
    elif hour >= 18:
        weights = _IN_THE_EVENING
    return rng.choices(_STATUSES, weights=weights)[0]
