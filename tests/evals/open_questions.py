"""Ten open questions of a reviewer, each with what is planted in the sample calls as its answer.

`asks` are the calls of an assistant that has read the tools' descriptions.
"""

import csv
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from pydantic import JsonValue

from formant_mcp.demo.calls import SampleCall
from formant_mcp.demo.sample_formant import SampleFormant
from tests.evals.questions import RUNNING, ZONE, Calls, failed, local_day, percent, result, succeeded
from tests.server_harness import Answer

Ask = tuple[str, dict[str, JsonValue]]
IDS = "{ids}"
"""In an argument: the ids of the previous answer."""

SPAM = "Carrier returned SIP 608: number labelled as spam"
MONEY = re.compile("paisa|paise|पैसा|पैसे", re.IGNORECASE)
WISHES = ("talk to a human", "इंसान से बात", "customer care se baat", "Kisi senior se baat")
HANDED_OVER = "dispute team ko bhej rahi hoon"
REPLIES = "signals.reply_seconds_median"


def listed_ids(answer: Answer) -> list[str]:
    """The conversations that an answer lists."""
    return answer.ids()


@dataclass(frozen=True)
class Right:
    """The lines that answers must have, and what the last one must give."""

    lines: Sequence[str]
    given: Sequence[str]

    def faults(self, lines: Sequence[str], given: Sequence[str]) -> list[str]:
        """What is wrong with answers that have these lines, and give that."""
        missing = [line for line in self.lines if not any(fnmatchcase(said, line) for said in lines)]
        wrong = [item for item in {*self.given, *given} if self.given.count(item) != given.count(item)]
        return missing + [f"{item} {given.count(item)} times" for item in wrong]


@dataclass(frozen=True)
class OpenQuestion:
    """What is asked, and one way to ask it.

    `lines`: whole lines that must be in the answers, in which `*` is anything. `given`: all that the last answer must
    give, and nothing else: the calls it lists, if `gives` takes nothing else from it.
    """

    text: str
    asks: tuple[Ask, ...]
    lines: Callable[[Calls], Sequence[str]]
    given: Callable[[Calls], Sequence[str]]
    gives: Callable[[Answer], Sequence[str]] = listed_ids

    def right(self, calls: Calls) -> Right:
        """What answers must have on the sample calls."""
        return Right(self.lines(calls), self.given(calls))


def _said(call: SampleCall, role: str, *phrases: str) -> list[int]:
    """The turns in which that role says one of the phrases."""
    return [n for n, turn in enumerate(call.turns) if turn.role == role and any(p in turn.text for p in phrases)]


def _ids(calls: Sequence[SampleCall]) -> list[str]:
    return [call.conversation_id for call in calls]


def _row(call: SampleCall, *more: object) -> str:
    """A call in a list that gives the year and the zone once."""
    cells = (call.conversation_id, f"{call.started_at.astimezone(ZONE):%m-%d %H:%M}", *more)
    return "\t".join(map(str, cells))


def _seconds(call: SampleCall) -> str:
    return f"{_as_sent(call)['duration_seconds']:g}"


def _as_sent(call: SampleCall) -> dict[str, JsonValue]:
    """The call as the API sends it: with rounded seconds, or without the times of turns."""
    return dict(SampleFormant([call], lambda: call.ended_at or call.started_at).whole_of(call))


def _of(count: int, total: int) -> str:
    return f"{count} ({percent(count, total)})"


def _contradictions(calls: Calls) -> list[SampleCall]:
    claims = ("payment_confirmed", "promise_to_pay")
    return [call for call in calls.all if result(call, "intent") in claims and _refusal(call)]


def _refusal(call: SampleCall) -> list[int]:
    return _said(call, "contact", "will not pay", "nahi dunga", "नहीं दूँगा")


def _contradiction_rows(calls: Sequence[SampleCall]) -> list[str]:
    where = [(call.conversation_id, _refusal(call)[0]) for call in calls]
    return [f"{name}\t*\tscore\t5\tcontradiction at turn {turn} (*)" for name, turn in where]


def _loops(calls: Calls) -> list[SampleCall]:
    return [call for call in calls.of(452) if result(call, "appointment", "outcome") == "unresolved"]


def _repeats(call: SampleCall) -> int:
    said = [turn.text for turn in call.turns if turn.role == "agent"]
    return len(said) - len(set(said))


def _first_repeat(call: SampleCall) -> int:
    agent = [(index, turn.text) for index, turn in enumerate(call.turns) if turn.role == "agent"]
    return next(index for place, (index, said) in enumerate(agent) if said in [other for _, other in agent[:place]])


def _recent(calls: Calls, planted: Sequence[SampleCall]) -> list[SampleCall]:
    return [call for call in planted if call.started_at >= calls.now - timedelta(days=14)]


def _to_review(calls: Calls) -> Sequence[str]:
    loops, contradictions = _recent(calls, _loops(calls)), _recent(calls, _contradictions(calls))
    rows = [
        f"{call.conversation_id}\t*\tscore\t6\tunanswered_questions at turn {_first_repeat(call) - 1}"
        f" ({_repeats(call)}; all agents' usual 0); agent_repeats at turn {_first_repeat(call)}"
        f" ({_repeats(call)}; all agents' usual 0)"
        for call in loops
    ]
    totals = f"Calls by reason: *, contradiction {len(contradictions)}, *, unanswered_questions {len(loops)}, *"
    return [*rows, *_contradiction_rows(contradictions), totals]


def _planted_reasons(answer: Answer) -> list[str]:
    planted = ("'contradiction'", "'unanswered_questions'")
    return [
        str(row["conversation_id"]) for row in answer.rows() if any(name in str(row["reasons"]) for name in planted)
    ]


def _reply_median(call: SampleCall) -> float | None:
    """The median wait in a call that is sent with the ends of turns."""
    is_timed = "'end_time'" in str(_as_sent(call).get("transcript")) and call.status != RUNNING
    waits = [
        max(0.0, after.seconds - before.end_seconds)
        for before, after in pairwise(call.turns)
        if (before.role, after.role) == ("contact", "agent") and is_timed
    ]
    return statistics.median(waits) if waits else None


def _waits(calls: Calls) -> dict[int, list[float]]:
    waits = {agent: [_reply_median(call) for call in calls.of(agent)] for agent in {c.agent_id for c in calls.all}}
    return {agent: [wait for wait in medians if wait is not None] for agent, medians in waits.items()}


def _wait_rows(calls: Calls) -> Sequence[str]:
    rows: list[str] = []
    for agent, waits in _waits(calls).items():
        own = calls.of(agent)
        figures = {"sum": sum(waits), "mean": statistics.mean(waits), "median": statistics.median(waits)}
        figures |= {"p90": statistics.quantiles(waits, n=10, method="inclusive")[8]}
        figures |= {"min": min(waits), "max": max(waits)}
        said = " ".join(f"{name} {round(figure, 4):g}" for name, figure in figures.items())
        rates = f"{percent(len(own), len(calls.all))}\t{percent(succeeded(own), len(own))}"
        rows.append(f"{agent}\t{len(own)}\t{rates}\tn {len(waits)} {said}\t*")
    return rows


def _longest_wait(answer: Answer) -> list[str]:
    def median(group: dict[str, JsonValue]) -> float:
        found = re.search(r"'median': ([\d.]+)", str(group["measures"]))
        return float(found[1]) if found else 0.0

    return re.findall(r"\d+", str(max(answer.rows("groups"), key=median)["key"]))


def _loop_rows(calls: Calls) -> Sequence[str]:
    loops = _loops(calls)
    rows = [_row(call, call.contact_number, _seconds(call), _repeats(call)) for call in loops]
    return [*rows, "every row: agent 452 · status completed", f"{len(loops)} of {len(calls.all)} conversations match;*"]


def _spam(calls: Calls) -> Sequence[str]:
    week = timedelta(days=7)
    labelled = [call for call in calls.all if call.failure_reason == SPAM]
    days = Counter(map(local_day, labelled))
    rows: list[str] = []
    for own in (calls, Calls(tuple(calls.of(101)), calls.now)):
        after = [call for call in own.since(calls.now - week) if call.status != RUNNING]
        rows.append(f"failure_reason={SPAM}\t0 (0.0%)\t{_of(len(labelled), len(after))}\t*\t{min(days)}\t*")
    bad = sum(call.status == "failed" for call in after)
    rows.append(f"status=failed\t0 (0.0%)\t{_of(bad, len(after))}\t*\t{min(days)}\t*")
    share = {day: percent(count, len(labelled)) for day, count in days.items()}
    return [*rows, *(f"101\t{day}\t{count}\t{share[day]}\t{share[day]}\t*" for day, count in days.items())]


def _changed(answer: Answer) -> list[str]:
    return [f"{change['field']}={change.get('value')}" for change in answer.rows("changes")]


PHRASES = ("rupees ready", "Abhi thoda problem chal raha hai", "already paid")


def _phrase_counts(calls: Calls) -> list[tuple[str, int, int]]:
    """Each phrase with the turns and the calls of agent 123 in which the contact says it."""
    said = {phrase: [_said(call, "contact", phrase) for call in calls.of(123)] for phrase in PHRASES}
    return [(phrase, sum(map(len, turns)), sum(map(bool, turns))) for phrase, turns in said.items()]


def _phrase_rows(calls: Calls) -> Sequence[str]:
    speaking = sum(bool(_said(call, "contact", "")) for call in calls.of(123))
    counts = _phrase_counts(calls)
    rows = [f"{had}\t{percent(had, speaking)}\t{turns}\t*\t*\t*{phrase}*" for phrase, turns, had in counts]
    return [*rows, f"Said by contacts in {speaking} conversations: *"]


def _first_phrases(answer: Answer) -> list[str]:
    return [f"{phrase['turns']} turns, {phrase['conversations']} calls" for phrase in answer.rows("phrases")[:3]]


def _wishing(calls: Calls) -> list[SampleCall]:
    return [call for call in calls.all if _said(call, "contact", *WISHES)]


def _wish_lines(calls: Calls) -> Sequence[str]:
    lines = [f"{len(_wishing(calls))} of {len(calls.all)} conversations match;*"]
    for call in _wishing(calls):
        wish = _said(call, "contact", *WISHES)[0]
        lines += [f"{n} {call.turns[n].role} *{call.turns[n].text}" for n in (wish, wish + 1)]
    return lines


def _ignored(answer: Answer) -> list[str]:
    """The calls whose agent does not hand over after the wish, as a reader of the transcripts sees."""
    ignored: list[str] = []
    for row in answer.rows():
        wish = re.search(r"'asked_for_human': (\d+)", str(row["signals"]))
        reply = str(row["transcript"]).split("\n")[int(wish[1]) + 1] if wish else HANDED_OVER
        ignored += [] if HANDED_OVER in reply else [str(row["conversation_id"])]
    return ignored


def _contradicted(calls: Calls) -> Sequence[str]:
    contradictions = _contradictions(calls)
    return [*_contradiction_rows(contradictions), f"Calls by reason: contradiction {len(contradictions)}."]


def _abusive(calls: Calls) -> list[SampleCall]:
    return [call for call in calls.all if _said(call, "contact", "You idiots", "बेवकूफ़ हो", "kamine")]


def _abusive_rows(calls: Calls) -> Sequence[str]:
    abusive = _abusive(calls)
    rows = [_row(call, call.agent_id, call.contact_number, _seconds(call)) for call in abusive]
    return [*rows, f"{len(abusive)} of {len(calls.all)} conversations match;*"]


def _money(calls: Calls) -> list[tuple[SampleCall, int]]:
    """The turns that speak of money."""
    return [(call, n) for call in calls.all for n, turn in enumerate(call.turns) if MONEY.search(turn.text)]


def _money_lines(calls: Calls) -> Sequence[str]:
    hits = _money(calls)
    lines = [f"{len(hits)} hits in {len({call.conversation_id for call, _ in hits})} conversations; *"]
    for call, n in hits:
        lines.append(f"{call.conversation_id} · {call.started_at.astimezone(ZONE):%Y-%m-%d %H:%M} *")
        marked = MONEY.sub(r"**\g<0>**", call.turns[n].text)
        lines.append(f"{n} {call.turns[n].role} *{marked}")
    return lines


def _failed_week(calls: Calls) -> list[SampleCall]:
    return failed(calls.since(calls.now - timedelta(days=7)))


def _saved_lines(calls: Calls) -> Sequence[str]:
    count = len(_failed_week(calls))
    measured = "signals.turn_count, *signals.agent_repeats, *signals.reply_seconds_median, *signals.interruptions,*"
    return [
        f"{count} of {len(calls.all)} conversations match;*",
        f"saved: * ({count} rows, * bytes)",
        f"columns: *{measured}",
    ]


def _saved(answer: Answer) -> list[str]:
    """Each call of the file, with how many turns were measured."""
    with Path(str(answer.structure["path"])).open(encoding="utf-8-sig", newline="") as file:
        return [f"{row['conversation_id']} {row['signals.turn_count'] or '-'}" for row in csv.DictReader(file)]


OPEN_QUESTIONS = (
    OpenQuestion(
        "Which calls of the last two weeks should I listen to first, and why?",
        (("find_calls_to_review", {"since": "2w", "limit": 12}),),
        _to_review,
        lambda calls: _ids(_recent(calls, [*_loops(calls), *_contradictions(calls)])),
        _planted_reasons,
    ),
    OpenQuestion(
        "How long do callers wait for a reply, and with which agent longest?",
        (("summarize_results", {"group_by": ["agent_id"], "measures": [REPLIES]}),),
        _wait_rows,
        lambda calls: [str(max(waits := _waits(calls), key=lambda agent: statistics.median(waits[agent])))],
        _longest_wait,
    ),
    OpenQuestion(
        "Where does an agent say the same again while the caller asks something else?",
        (("list_conversations", {"results": "signals.unanswered_questions>=2", "order_by": "-signals.agent_repeats"}),),
        _loop_rows,
        lambda calls: _ids(_loops(calls)),
    ),
    OpenQuestion(
        "What has changed in the last week, and since which day?",
        (
            ("find_changes", {"since": "7d"}),
            ("summarize_results", {"failure_reason": "Carrier returned SIP 608…", "group_by": ["agent_id", "day"]}),
            ("find_changes", {"since": "7d", "agent_id": "101"}),
        ),
        _spam,
        lambda _: [f"failure_reason={SPAM}", "status=failed"],
        _changed,
    ),
    OpenQuestion(
        "What do contacts of agent 123 say most often?",
        (("find_phrases", {"agent_id": "123", "limit": 10}),),
        _phrase_rows,
        lambda calls: [f"{turns} turns, {had} calls" for _, turns, had in _phrase_counts(calls)],
        _first_phrases,
    ),
    OpenQuestion(
        "Who wanted a human, and was ignored?",
        (
            ("list_conversations", {"results": "signals.asked_for_human exists"}),
            ("get_transcripts", {"conversation_ids": IDS}),
        ),
        _wish_lines,
        lambda calls: _ids([call for call in _wishing(calls) if not _said(call, "agent", HANDED_OVER)]),
        _ignored,
    ),
    OpenQuestion(
        "Where do the results contradict what was said?",
        (("find_calls_to_review", {"reasons": ["contradiction"], "random_share": 0}),),
        _contradicted,
        lambda calls: _ids(_contradictions(calls)),
    ),
    OpenQuestion(
        "Which callers insulted the agent?",
        (("list_conversations", {"results": "signals.abusive_words exists"}),),
        _abusive_rows,
        lambda calls: _ids(_abusive(calls)),
    ),
    OpenQuestion(
        "Who speaks of money in any spelling: paisa, paise, पैसा?",
        (("search_transcripts", {"query": "paise", "limit": 20, "context_turns": 0}),),
        _money_lines,
        lambda calls: _ids([call for call, _ in _money(calls)]),
        lambda answer: [str(hit["conversation_id"]) for hit in answer.rows("hits")],
    ),
    OpenQuestion(
        "Give me a table of the failed calls of the last week, with what was measured.",
        (("export_conversations", {"since": "7d", "call_successful": "failure", "include": ["results", "signals"]}),),
        _saved_lines,
        lambda calls: [f"{call.conversation_id} {len(call.turns) or '-'}" for call in _failed_week(calls)],
        _saved,
    ),
)
