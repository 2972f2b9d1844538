"""What the programs in this folder share: what they are given, and the form of their report.

    python PROGRAM QUESTIONS COMMAND [ARGUMENT...]

Each starts the server COMMAND over stdio with the code of one client, puts the questions of that file to it, and prints
what the client gives whoever uses it, as JSON:

    tools       their names
    answers     for each call: text, structure, is_error; text or structure is null if the client does not give it
    resources   for each address: its text, or the SHA-256 of its bytes
    prompts     for each: its text
    completion  the values that the server suggests; null if the client cannot ask for them
"""

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """What a client gave."""

    tools: list[str] = field(default_factory=list[str])
    answers: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    resources: dict[str, str] = field(default_factory=dict[str, str])
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    completion: list[str] | None = None

    def add(self, text: str | None, structure: object, *, is_error: bool = False) -> None:
        """Adds the answer to a call."""
        self.answers.append({"text": text, "structure": structure, "is_error": is_error})

    def show(self) -> None:
        """Prints the report."""
        print(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Given:
    """The questions, and how to start the server."""

    calls: list[tuple[str, dict[str, object]]]
    resources: list[str]
    prompts: list[tuple[str, dict[str, str]]]
    completion: dict[str, Any]
    command: str
    arguments: list[str]
    environment: dict[str, str]


def given() -> Given:
    """What the command line names."""
    path, command, *arguments = sys.argv[1:]
    questions = json.loads(Path(path).read_text(encoding="utf-8"))
    return Given(**questions, command=command, arguments=arguments, environment=dict(os.environ))


def digest(data: bytes) -> str:
    """Stands for bytes in a report."""
    return f"sha256 {hashlib.sha256(data).hexdigest()}"
