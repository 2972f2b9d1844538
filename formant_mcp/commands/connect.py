"""`formant-mcp connect`: adds this program to an assistant's configuration, or takes it out again."""

import getpass
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, SecretStr

from formant_mcp.commands.assistants import (
    ASSISTANTS,
    KEY,
    PLACEHOLDER,
    Assistant,
    Entry,
    entry,
    inputs,
    link,
    name_of,
    settings_in,
)
from formant_mcp.commands.configuration import Configuration, backups, changed, difference, read, write
from formant_mcp.commands.consent import consent
from formant_mcp.errors import ConfigurationError, FormantError
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.settings import Settings, store_text

_OWN_NAMES = frozenset(
    f"FORMANT_{name.upper()}" for name in Settings.model_fields if not name.startswith(("http_", "log_"))
)


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
    try:
        return _connect(options, ASSISTANTS[options.client])
    except (FormantError, EOFError) as error:
        print(error if isinstance(error, FormantError) else "Nothing was written.", file=sys.stderr)
    except OSError as error:
        print(f"The configuration cannot be written: {error.strerror}.", file=sys.stderr)
    return 1


def _connect(options: ConnectOptions, assistant: Assistant) -> int:
    if options.print:
        print(_to_paste(options, assistant, Settings.load()))
        return 0
    path, name = _path(assistant), name_of(is_demo=options.demo)
    before = read(path)
    made, prompts = (None, inputs("")) if options.remove else _made(options, assistant)
    prompts = prompts if assistant.asks and not options.demo else []
    after = changed(before, assistant, name, made, prompts)
    if after == before:
        print(f"{path} needs no change.", file=sys.stderr)
        return 0
    print(f"{path}:\n{difference(before, after, assistant.servers, name)}", file=sys.stderr)
    if status := consent("Write it?", "written", "write", is_given=options.yes):
        return status
    # The assistant itself may have written the file while the user decided.
    backup = write(path, changed(read(path), assistant, name, made, prompts))
    kept = f" What it was is kept in {backup}." if backup else ""
    print(f"Written.{kept}\n{_what_next(options, assistant, path)}", file=sys.stderr)
    return 0


def _path(assistant: Assistant) -> Path:
    """The configuration; a link is followed, as people keep such files elsewhere."""
    path = assistant.path(os.environ)
    try:
        return path.resolve()
    except RuntimeError as error:
        raise ConfigurationError(f"{path} is a link to itself.", "Remove it.") from error


def _what_next(options: ConnectOptions, assistant: Assistant, path: Path) -> str:
    if not options.remove:
        return assistant.restart
    old = backups(path)
    return f"{len(old)} earlier states, which may have the key, are beside it: {path.name}.*.bak." if old else ""


def _made(options: ConnectOptions, assistant: Assistant) -> tuple[Entry, list[JsonValue]]:
    """The server's entry, and what the assistant asks for."""
    settings, variables = Settings.load(), {} if options.demo else settings_in(os.environ, _OWN_NAMES)
    if not options.demo and not assistant.asks:
        if not variables.keys() & {KEY, "FORMANT_API_KEY_FILE"} and sys.stdin.isatty():
            variables[KEY] = getpass.getpass("API key (it is not shown): ").strip()
            settings = settings.model_copy(update={"api_key": SecretStr(variables[KEY])})
        settings.key("Set FORMANT_API_KEY, or add --demo for the sample account.")
    if assistant.asks:
        variables.pop(KEY, None)
    made = entry(assistant, variables, is_demo=options.demo)
    return made, inputs(PROVIDERS[settings.provider].title)


def _to_paste(options: ConnectOptions, assistant: Assistant, settings: Settings) -> str:
    """The entry as JSON with a place for the key, and what else adds it."""
    name = name_of(is_demo=options.demo)
    variables = {KEY: PLACEHOLDER} | settings_in(os.environ, _OWN_NAMES - {KEY})
    if store := variables.get("FORMANT_STORE"):
        variables["FORMANT_STORE"] = store if store == ":memory:" else store_text(store)  # without a password
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
