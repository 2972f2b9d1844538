"""The steps of the tour: a person's questions, the calls an assistant makes for them, and the expected answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

READ = "resources/read"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's text and structured content, which state the same facts."""

    text: str
    structured: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One question, in a person's words and as the call that an assistant makes for it.

    `{name}` in the arguments is replaced by what an earlier step kept under its `keeps`: the first conversation's id.
    `holds` checks whether the answer is what `expects` says. `is_shown`: also without `--all`.
    """

    question: str
    tool: str
    arguments: dict[str, JsonValue]
    expects: str
    holds: Callable[[Answer], bool]
    why: str
    keeps: str = ""
    is_shown: bool = False


def _has_rows(answer: Answer) -> bool:
    rows = answer.structured["conversations"]
    in_text = all(row["conversation_id"] in answer.text for row in rows)
    return bool(rows) and in_text and len(rows) <= answer.structured["coverage"]["matched"]


def _has_turns(answer: Answer) -> bool:
    transcripts = answer.structured["conversations"]
    return bool(transcripts) and all(
        transcript["transcript"] and transcript["transcript"] in answer.text for transcript in transcripts
    )


def _is_saved(answer: Answer) -> bool:
    path = Path(answer.structured["path"])
    is_whole = path.is_file() and path.stat().st_size == answer.structured["bytes"]
    return is_whole and answer.structured.get("seconds", 0) > 0 and str(path) in answer.text


def _is_wav(answer: Answer) -> bool:
    return answer.structured["begins"] == "RIFF" and answer.structured["media_type"] == "audio/wav"


def _has_profile(answer: Answer) -> bool:
    profile = answer.structured["profile"]
    return len(profile["agents"]) == 5 and all(field["path"] in answer.text for field in profile["results"])


def _has_hits(answer: Answer) -> bool:
    hits = answer.structured["hits"]
    return bool(hits) and all(hit["conversation_id"] in answer.text and "**" in hit["text"] for hit in hits)


def _has_comparison(answer: Answer) -> bool:
    groups = {group["key"]["results.intent"]: group for group in answer.structured["groups"]}
    return groups["dispute"]["change"]["count"] > 0 and f"{groups['dispute']['count']:,}" in answer.text


def _has_reasons(answer: Answer) -> bool:
    chosen = [row for row in answer.structured["conversations"] if row["picked_by"] == "score"]
    return _has_rows(answer) and bool(chosen) and all(row["reasons"] and row["score"] > 0 for row in chosen)


def _has_changes(answer: Answer) -> bool:
    changes = answer.structured["changes"]
    return answer.structured["compared"] > len(changes) > 0 and any(change.get("since_day") for change in changes)


def _has_phrases(answer: Answer) -> bool:
    phrases = answer.structured["phrases"]
    return bool(phrases) and all(phrase["text"] in answer.text for phrase in phrases)


STEPS = (
    Step(
        question="What is there to ask about?",
        tool="summarize_results",
        arguments={},
        expects="agents, statuses and result fields",
        holds=_has_profile,
        why="An assistant begins with this map: the agents, the statuses, and every field that was extracted.",
    ),
    Step(
        question="Which calls of agent 123 have failed since yesterday?",
        tool="list_conversations",
        arguments={"agent_id": "123", "call_successful": "failure", "since": "yesterday"},
        expects="calls, each in the text and in the structured content",
        holds=_has_rows,
        why="The first line counts all that match in the whole account and says whether anything is missing.",
        is_shown=True,
    ),
    Step(
        question="Which is that agent's longest call?",
        tool="list_conversations",
        arguments={"agent_id": "123", "order_by": "longest", "limit": 1},
        expects="one call",
        holds=_has_rows,
        why="The provider lists calls page by page in its own order; here one question sorts them all.",
        keeps="longest",
    ),
    Step(
        question="Read me how it begins.",
        tool="get_transcripts",
        arguments={"conversation_ids": ["{longest}"], "max_turns": 8},
        expects="a transcript, the same in the text and in the structured content",
        holds=_has_turns,
        why="An hour-long call is read part by part, and callers' words are marked as data, not instructions.",
    ),
    Step(
        question="Find the longest call in Hindi.",
        tool="list_conversations",
        arguments={"results": ["language.primary=hi"], "order_by": "longest", "limit": 1},
        expects="one call",
        holds=_has_rows,
        why="Whatever an agent extracts from its calls can be filtered by, nested fields too.",
        keeps="hindi",
    ),
    Step(
        question="And what was said?",
        tool="get_transcripts",
        arguments={"conversation_ids": ["{hindi}"]},
        expects="a transcript, the same in the text and in the structured content",
        holds=_has_turns,
        why="Every script is kept as it came, with turn numbers that can be cited.",
    ),
    Step(
        question="Who threatened legal action?",
        tool="search_transcripts",
        arguments={"query": "lawyer OR legal OR वकील", "role": "contact"},
        expects="turns, each with its call and its place",
        holds=_has_hits,
        why="Every word of every call is searched, in any script; hits are marked, their neighbours beside them.",
        is_shown=True,
    ),
    Step(
        question="Did disputes go up this week, at agent 456?",
        tool="summarize_results",
        arguments={"agent_id": "456", "since": "7d", "compare_previous": True, "group_by": ["results.intent"]},
        expects="groups of this week and the one before",
        holds=_has_comparison,
        why="Counted over all calls, the two periods side by side: no script, no paging through lists.",
        is_shown=True,
    ),
    Step(
        question="Which calls of the last two weeks should I listen to first?",
        tool="find_calls_to_review",
        arguments={"since": "2w", "limit": 6},
        expects="calls with their reasons",
        holds=_has_reasons,
        why="Nobody can hear them all: the most urgent first, each with its reason and the turn, and a few at random.",
    ),
    Step(
        question="What has changed in the last week?",
        tool="find_changes",
        arguments={"since": "7d"},
        expects="changes, at least one with the day it began",
        holds=_has_changes,
        why="Every field is compared, and only what chance does not explain is reported, with the day it began.",
    ),
    Step(
        question="What do agent 123's contacts say most?",
        tool="find_phrases",
        arguments={"agent_id": "123", "limit": 5},
        expects="phrases, each with an example",
        holds=_has_phrases,
        why="Said with other names, numbers and small words it is still the same sentence, and counted as one.",
    ),
    Step(
        question="Save the recording of that call in Hindi.",
        tool="save_recording",
        arguments={"conversation_id": "{hindi}"},
        expects="a file of the reported size, with its length",
        holds=_is_saved,
        why="The figures are measured from the audio; nobody has to listen to find a long silence.",
    ),
    Step(
        question="Give me the recording itself, to attach.",
        tool=READ,
        arguments={"uri": "formant://conversations/{hindi}/recording"},
        expects="a WAV file",
        holds=_is_wav,
        why="Assistants that take audio or files get the provider's bytes, unchanged.",
    ),
)
