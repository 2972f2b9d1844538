"""`formant-mcp connect`: adds this program to an assistant's configuration, or takes it out again."""

import difflib
import getpass
import json
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from pydantic import JsonValue, SecretStr

from formant_mcp.commands.assistants import (
    ASSISTANTS,
    KEY,
    PLACEHOLDER,
    Assistant,
    Entry,
    entry,
    inputs,
    is_own_input,
    link,
    name_of,
    settings_in,
)
from formant_mcp.errors import ConfigurationError, FormantError
from formant_mcp.files import replace_private
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.settings import Settings, store_text

_REFUSED = 2
_HIDDEN = "…"
_OWN_NAMES = frozenset(
    f"FORMANT_{name.upper()}" for name in Settings.model_fields if not name.startswith(("http_", "log_"))
)
Configuration = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """The command line as typed."""

    client: str
    print: bool = False
    remove: bool = False
    yes: bool = False
    demo: bool = False


def run_connect(options: ConnectOptions) -> int:
    """Shows the change, asks, and writes it; returns the exit status: 2 if nobody could answer."""
    assistant = ASSISTANTS[options.client]
    try:
        settings = Settings.load()
        if options.print:
            print(_to_paste(options, assistant, settings))
            return 0
        path = assistant.path(os.environ).resolve()  # a link is followed: people keep such files elsewhere
        before = _read(path)
        after = (
            without_server(before, assistant, options)
            if options.remove
            else with_server(before, assistant, options, settings)
        )
    except FormantError as error:
        print(error, file=sys.stderr)
        return 1
    if after == before:
        print(f"{path} needs no change.", file=sys.stderr)
        return 0
    print(f"{path}:\n{_difference(before, after, assistant.servers, name_of(is_demo=options.demo))}", file=sys.stderr)
    if not options.yes and not sys.stdin.isatty():
        print("Nothing was written: there is no terminal to ask at. Add --yes to write it.", file=sys.stderr)
        return _REFUSED
    if not options.yes and not _agrees():
        print("Nothing was written.", file=sys.stderr)
        return 1
    try:
        backup = _write(path, after)
    except OSError as error:
        print(f"{path} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    kept = f" What it was is kept in {backup}." if backup else ""
    print(f"Written.{kept}\n{assistant.restart}", file=sys.stderr)
    return 0


def _to_paste(options: ConnectOptions, assistant: Assistant, settings: Settings) -> str:
    """The entry as JSON with a place for the key, and what else adds it."""
    name = name_of(is_demo=options.demo)
    variables = {KEY: PLACEHOLDER} | settings_in(os.environ, _OWN_NAMES - {KEY})
    made = entry(assistant, variables, is_demo=options.demo)
    provider = PROVIDERS[settings.provider].title
    whole: Configuration = {assistant.servers: {name: made}}
    if assistant.asks and not options.demo:
        whole = {"inputs": inputs(provider), **whole}
    text = f"{assistant.title}, in {assistant.path(os.environ)}:\n{json.dumps(whole, indent=2, ensure_ascii=False)}"
    if options.client == "claude-code":
        text += f"\n\nOr: claude mcp add-json --scope user {name} {shlex.quote(json.dumps(made))}"
    if address := link(options.client, name, made, provider):
        text += f"\n\nOr open: {address}"
    return text


def _read(path: Path) -> Configuration:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read.", "Add `formant-mcp connect --print …` by hand.") from error
    try:
        read: JsonValue = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is not plain JSON (it may have comments), so it is not touched.",
            "Add by hand what `formant-mcp connect --print` prints.",
        ) from error
    if not isinstance(read, dict) or not all(
        isinstance(read.get(name, {}), dict) for name in ("mcpServers", "servers")
    ):
        raise ConfigurationError(f"{path} has another form than expected, so it is not touched.")
    return read


def with_server(
    before: Configuration, assistant: Assistant, options: ConnectOptions, settings: Settings
) -> Configuration:
    """The configuration with the server, instead of an older one of its name."""
    variables = {} if options.demo else settings_in(os.environ, _OWN_NAMES)
    if not options.demo and not assistant.asks:
        if not variables.keys() & {KEY, "FORMANT_API_KEY_FILE"} and sys.stdin.isatty():
            variables[KEY] = getpass.getpass("API key (it is not shown): ").strip()
            settings = settings.model_copy(update={"api_key": SecretStr(variables[KEY])})
        settings.key("Set FORMANT_API_KEY, or add --demo for the sample account.")
    if assistant.asks:
        variables.pop(KEY, None)
    made = entry(assistant, variables, is_demo=options.demo)
    servers = {**_servers(before, assistant), name_of(is_demo=options.demo): made}
    after = {**before, assistant.servers: cast(JsonValue, servers)}
    if assistant.asks and not options.demo:
        others = [value for value in _inputs(before) if not is_own_input(value)]
        after["inputs"] = [*others, *inputs(PROVIDERS[settings.provider].title)]
    return after


def without_server(before: Configuration, assistant: Assistant, options: ConnectOptions) -> Configuration:
    """The configuration without the server."""
    name = name_of(is_demo=options.demo)
    servers = {key: value for key, value in _servers(before, assistant).items() if key != name}
    after = dict(before)
    if assistant.servers in before:
        after[assistant.servers] = cast(JsonValue, servers)
    if assistant.asks and not options.demo and "inputs" in before:
        after["inputs"] = [value for value in _inputs(before) if not is_own_input(value)]
    return after


def _servers(configuration: Configuration, assistant: Assistant) -> Entry:
    return cast(Entry, configuration.get(assistant.servers, {}))


def _inputs(configuration: Configuration) -> list[JsonValue]:
    listed = configuration.get("inputs", [])
    return listed if isinstance(listed, list) else []


def _difference(before: Configuration, after: Configuration, servers: str, name: str) -> str:
    """The lines of the server's entry that change, without keys and passwords; nothing of other servers."""
    old, new = (
        json.dumps(_shown(state, servers, name), indent=2, ensure_ascii=False).splitlines() for state in (before, after)
    )
    lines = list(difflib.unified_diff(old, new, lineterm="", n=2))
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join(changed) or f"Only values change that are shown as {_HIDDEN}."


def _shown(configuration: Configuration, servers: str, name: str) -> Configuration:
    made = cast(Entry, configuration.get(servers, {})).get(name)
    if not isinstance(made, dict):
        return {servers: {}}
    shown = dict(made)
    if isinstance(variables := made.get("env"), dict):
        shown["env"] = {key: _masked(key, value) for key, value in variables.items()}
    return {servers: {name: shown}}


def _masked(name: str, value: JsonValue) -> JsonValue:
    if not name.startswith("FORMANT_") or name == KEY or not isinstance(value, str):
        return _HIDDEN
    return store_text(value) if name == "FORMANT_STORE" else value


def _agrees() -> bool:
    print("Write it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _write(path: Path, configuration: Configuration) -> Path | None:
    """Writes the file, whole or not at all; returns where the one before is kept."""
    backup = None
    if path.exists():
        backup = path.with_name(f"{path.name}.{datetime.now().astimezone():%Y%m%d-%H%M%S}.bak")
        if not backup.exists():  # of two changes within a second, what was there before both is kept
            shutil.copy2(path, backup)
    replace_private(path, json.dumps(configuration, indent=2, ensure_ascii=False) + "\n")
    return backup
