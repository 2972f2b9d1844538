"""An assistant's configuration file: read, changed in one entry, and written; everything else in it stays as it is."""

import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from formant_mcp.commands.assistants import FROM_INPUT, KEY, Assistant, Entry, is_own_input, without_password
from formant_mcp.errors import ConfigurationError
from formant_mcp.files import finish, open_temporary, replace_private
from formant_mcp.files import write as write_all
from formant_mcp.sizes import counted

_HIDDEN = "(not shown)"
_KEY_WITH_VALUE = re.compile(rf'"{KEY}"\s*:\s*"(?!"|{re.escape(FROM_INPUT)}")')
_OWN_ARGUMENTS: tuple[JsonValue, ...] = ([], ["--demo"])

Configuration = dict[str, JsonValue]


def read(path: Path, by_hand: str) -> Configuration:
    """What the file has; nothing if there is none. `by_hand`: what to do where this program cannot change it.

    Raises:
        ConfigurationError: it cannot be read, or not be written again without changing what is not ours.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read.", by_hand) from error
    try:
        parsed: JsonValue = json.loads(
            text or "{}", object_pairs_hook=_without_repetition, parse_float=_finite, parse_constant=_finite
        )
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not plain JSON (it may have comments), so it is not touched.", by_hand
        ) from error
    if not isinstance(parsed, dict) or not _has_usual_form(parsed):
        raise ConfigurationError(f"{path} does not have the expected structure, so it is not touched.", by_hand)
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


def names(configuration: Configuration, servers: str) -> set[str]:
    """The names of the servers that it has."""
    return set(_servers(configuration, servers))


def _servers(configuration: Configuration, servers: str) -> Entry:
    return cast(Entry, configuration.get(servers, {}))


def difference(before: Configuration, after: Configuration, servers: str, name: str) -> str:
    """The server's entry with the lines that change, without keys and passwords; others' entries are only counted."""
    old, new = _lines(before, servers, name), _lines(after, servers, name)
    text = (
        "\n".join(_compared(old, new)) if old != new else "Only values change that are not shown here, such as a key."
    )
    others = len(names(before, servers) - {name})
    if not others:
        return text
    return f"{text}\n{counted(others, 'other entry stays as it is', 'other entries stay as they are')}."


def _compared(old: list[str], new: list[str]) -> Iterator[str]:
    """All lines, marked with + or - where they differ in more than a comma at the end."""
    bare_old, bare_new = ([line.rstrip(",") for line in lines] for lines in (old, new))
    matcher = difflib.SequenceMatcher(None, bare_old, bare_new, autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            yield from (f" {line}" for line in new[new_start:new_end])
        else:
            yield from (f"-{line}" for line in old[start:end])
            yield from (f"+{line}" for line in new[new_start:new_end])


def _lines(configuration: Configuration, servers: str, name: str) -> list[str]:
    """What is shown of it: none of an empty one, and of the list of servers this one alone."""
    if not configuration:
        return []
    text = json.dumps(_shown(configuration, servers, name), indent=2, ensure_ascii=False)
    if text == "{}":
        return ["{", "}"]
    return text.replace(f'"{servers}": {{}}', f'"{servers}": {{\n  }}').splitlines()


def _shown(configuration: Configuration, servers: str, name: str) -> Configuration:
    own = [value for value in cast(list[JsonValue], configuration.get("inputs", [])) if is_own_input(value)]
    prompts: Configuration = {"inputs": own} if own else {}
    if servers not in configuration:
        return prompts
    made = _servers(configuration, servers).get(name)
    shown = {key: _shown_field(key, value) for key, value in made.items()} if isinstance(made, dict) else None
    return {**prompts, servers: {name: shown} if shown is not None else {}}


def _shown_field(name: str, value: JsonValue) -> JsonValue:
    """What we write ourselves, as it is; anything else may be a secret."""
    if name == "env" and isinstance(value, dict):
        return {variable: _masked(variable, text) for variable, text in value.items()}
    if name in ("command", "type") or (name == "args" and value in _OWN_ARGUMENTS):
        return value
    return _HIDDEN


def _masked(name: str, value: JsonValue) -> JsonValue:
    if name == KEY and value == FROM_INPUT:
        return value
    if not name.startswith("FORMANT_") or name == KEY or not isinstance(value, str):
        return _HIDDEN
    return without_password(value) if name == "FORMANT_STORE" else value


def write(path: Path, configuration: Configuration) -> Path | None:
    """Writes the file, whole or not at all; returns the backup of the one before. Both are private to their owner.

    Raises:
        OSError: it cannot be written.
    """
    backup = _back_up(path) if path.exists() else None
    text = json.dumps(configuration, indent=2, ensure_ascii=False)
    if not text.isascii() and text.encode(errors="replace").decode() != text:  # half a character, as an escape only
        text = json.dumps(configuration, indent=2)
    replace_private(path, text + "\n")
    return backup


def _back_up(path: Path) -> Path:
    """Copies the file to the first name of this second that is free, or already has the same bytes."""
    temporary, copy = open_temporary(path.parent)
    try:
        write_all(copy, path.read_bytes())
        return finish(temporary, copy, f"{path.name}.{datetime.now().astimezone():%Y%m%d-%H%M%S}", ".bak")[0]
    finally:
        copy.close()
        temporary.unlink(missing_ok=True)


def backups_with_key(path: Path) -> list[Path]:
    """The backups of earlier changes that have a key in them, or cannot be read."""
    return [backup for backup in sorted(path.parent.glob(f"{path.name}.*.bak")) if _may_have_key(backup)]


def _may_have_key(backup: Path) -> bool:
    try:
        return bool(_KEY_WITH_VALUE.search(backup.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return True
