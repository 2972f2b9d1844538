"""An assistant's configuration file: read, changed in one entry, and written; everything else in it stays as it is."""

import difflib
import json
import math
import os
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from formant_mcp.commands.assistants import Assistant, Entry, is_own_input
from formant_mcp.errors import ConfigurationError
from formant_mcp.files import replace_private
from formant_mcp.settings import store_text

_HIDDEN = "…"
_OWN_ARGUMENTS: tuple[JsonValue, ...] = ([], ["--demo"])
_BY_HAND = "Add by hand what `formant-mcp connect … --print` prints."
_KEY = "FORMANT_API_KEY"

Configuration = dict[str, JsonValue]


def read(path: Path) -> Configuration:
    """What the file has; nothing if there is none.

    Raises:
        ConfigurationError: it cannot be read, or not be written again without changing what is not ours.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read.", _BY_HAND) from error
    try:
        parsed: JsonValue = json.loads(
            text or "{}", object_pairs_hook=_without_repetition, parse_float=_finite, parse_constant=_finite
        )
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not plain JSON (it may have comments), so it is not touched.", _BY_HAND
        ) from error
    if not isinstance(parsed, dict) or not _has_usual_form(parsed):
        raise ConfigurationError(f"{path} has another form than expected, so it is not touched.", _BY_HAND)
    return parsed


def _has_usual_form(parsed: Configuration) -> bool:
    servers = [parsed.get(name, {}) for name in ("mcpServers", "servers")]
    return all(isinstance(value, dict) for value in servers) and isinstance(parsed.get("inputs", []), list)


def _without_repetition(pairs: list[tuple[str, JsonValue]]) -> Configuration:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("a number that JSON does not have")
    return number


def changed(
    before: Configuration, assistant: Assistant, name: str, made: Entry | None, inputs: Sequence[JsonValue]
) -> Configuration:
    """The configuration with this server, or without it (None); `inputs`: what the assistant asks for then."""
    after = dict(before)
    servers = {key: value for key, value in _servers(before, assistant.servers).items() if made or key != name}
    if made:
        servers[name] = made
    if made or assistant.servers in before:
        after[assistant.servers] = cast(JsonValue, servers)
    if inputs and (made or "inputs" in before):
        others = [value for value in cast(list[JsonValue], before.get("inputs", [])) if not is_own_input(value)]
        after["inputs"] = [*others, *(inputs if made else [])]
    return after


def _servers(configuration: Configuration, servers: str) -> Entry:
    return cast(Entry, configuration.get(servers, {}))


def difference(before: Configuration, after: Configuration, servers: str, name: str) -> str:
    """The lines of the server's entry that change, without keys and passwords; nothing of other servers."""
    old, new = (
        json.dumps(_shown(state, servers, name), indent=2, ensure_ascii=False).splitlines() for state in (before, after)
    )
    lines = list(difflib.unified_diff(old, new, lineterm="", n=2))
    different = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join(different) or f"Only values change that are shown as {_HIDDEN}."


def _shown(configuration: Configuration, servers: str, name: str) -> Configuration:
    made = _servers(configuration, servers).get(name)
    own = [value for value in cast(list[JsonValue], configuration.get("inputs", [])) if is_own_input(value)]
    prompts: Configuration = {"inputs": own} if own else {}
    shown = {key: _shown_field(key, value) for key, value in made.items()} if isinstance(made, dict) else None
    return {servers: {name: shown} if shown is not None else {}, **prompts}


def _shown_field(name: str, value: JsonValue) -> JsonValue:
    """What we write ourselves, as it is; anything else may be a secret."""
    if name == "env" and isinstance(value, dict):
        return {variable: _masked(variable, text) for variable, text in value.items()}
    if name in ("command", "type") or (name == "args" and value in _OWN_ARGUMENTS):
        return value
    return _HIDDEN


def _masked(name: str, value: JsonValue) -> JsonValue:
    if not name.startswith("FORMANT_") or name == _KEY or not isinstance(value, str):
        return _HIDDEN
    return store_text(value) if name == "FORMANT_STORE" else value


def write(path: Path, configuration: Configuration) -> Path | None:
    """Writes the file, whole or not at all; returns where the one before is kept. Both are for their owner alone.

    Raises:
        OSError: it cannot be written.
    """
    backup = None
    if path.exists():
        backup = path.with_name(f"{path.name}.{datetime.now().astimezone():%Y%m%d-%H%M%S}.bak")
        if not backup.exists():  # of two changes within a second, what was there before both is kept
            shutil.copyfile(path, backup, follow_symlinks=False)
            os.chmod(backup, 0o600)
    text = json.dumps(configuration, indent=2, ensure_ascii=False)
    if not text.isascii() and text.encode(errors="replace").decode() != text:  # half a character, as an escape only
        text = json.dumps(configuration, indent=2)
    replace_private(path, text + "\n")
    return backup


def backups(path: Path) -> list[Path]:
    """What the file was before earlier changes."""
    return sorted(path.parent.glob(f"{path.name}.*.bak"))
