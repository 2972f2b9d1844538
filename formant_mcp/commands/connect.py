"""`formant-mcp connect`: adds this program to an assistant's configuration, or takes it out again."""

import asyncio
import getpass
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import JsonValue, SecretStr

from formant_mcp.commands.assistants import (
    ASSISTANTS,
    KEY,
    KEY_FILE,
    PLACEHOLDER,
    Assistant,
    Entry,
    entry,
    has_question,
    inputs,
    link,
    name_of,
    settings_in,
    without_password,
)
from formant_mcp.commands.configuration import Configuration, backups_with_key, changed, difference, names, read, write
from formant_mcp.commands.consent import consent
from formant_mcp.commands.failures import report_failure
from formant_mcp.errors import ConfigurationError, FormantError, InvalidRequestError
from formant_mcp.providers.probe import Fault, probe
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.settings import Settings
from formant_mcp.sizes import counted

_CHECK_SECONDS = 5.0  # for the provider's answer
_OWN_NAMES = frozenset(
    f"FORMANT_{name.upper()}" for name in Settings.model_fields if not name.startswith(("http_", "log_"))
)
_NOT_FOR_SAMPLE = frozenset({KEY, KEY_FILE, "FORMANT_STORE", "FORMANT_BASE_URL", "FORMANT_REGION"})


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """The command line as typed."""

    client: str
    print: bool = False
    remove: bool = False
    yes: bool = False
    demo: bool = False


@dataclass(frozen=True, slots=True)
class _Planned:
    """The entry to write, None to remove it; what the assistant asks for with it."""

    made: Entry | None
    inputs: Sequence[JsonValue]
    is_refused: bool = False  # its key, by the provider


def run_connect(options: ConnectOptions) -> int:
    """Checks the key, shows the change, asks, and writes it; returns the exit status: 2 if nobody could answer, or
    as `report_failure`."""
    try:
        return _connect(options, ASSISTANTS[options.client])
    except FormantError as error:
        return report_failure(error)
    except EOFError:
        print("Nothing was written.", file=sys.stderr)
    return 1


def _connect(options: ConnectOptions, assistant: Assistant) -> int:
    if options.print:
        print(_to_paste(options, assistant))
        return 0
    path, name, by_hand = _path(assistant), name_of(is_demo=options.demo), _by_hand(options)
    before = read(path, by_hand)
    planned = _removal(options, assistant) if options.remove else _addition(options, assistant)
    after = changed(before, assistant, name, planned.made, planned.inputs)
    if after == before:
        print(f"{path} {_why_no_change(options, names(before, assistant.servers))}", file=sys.stderr)
        return int(planned.is_refused)
    if planned.is_refused and (options.yes or not sys.stdin.isatty()):
        print("Nothing was written. To write it anyway, run this in a terminal, without --yes.", file=sys.stderr)
        return 1
    print(f"{path}:\n{difference(before, after, assistant.servers, name)}", file=sys.stderr)
    question = "Write it anyway?" if planned.is_refused else "Write it?"
    if status := consent(question, "written", is_given=options.yes):
        return status
    # The assistant itself may have written the file while the user decided.
    after = changed(read(path, by_hand), assistant, name, planned.made, planned.inputs)
    try:
        backup = write(path, after)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.", by_hand) from error
    print(f"Written.{f' Backup: {backup}' if backup else ''}", file=sys.stderr)
    print(_next_steps(assistant, path, planned.made), file=sys.stderr)
    return 0


def _path(assistant: Assistant) -> Path:
    """The configuration; a link is followed, as people keep such files elsewhere."""
    path = assistant.path(os.environ)
    try:
        return path.resolve()
    except RuntimeError as error:
        raise ConfigurationError(f"{path} is a link to itself.", "Remove the link.") from error


def _command(client: str, *, is_demo: bool) -> str:
    return f"formant-mcp connect {client}{' --demo' if is_demo else ''}"


def _by_hand(options: ConnectOptions) -> str:
    """What to do where the file cannot be changed."""
    if options.remove:
        return f"Remove the entry {name_of(is_demo=options.demo)} by hand."
    return f"Add by hand what `{_command(options.client, is_demo=options.demo)} --print` prints."


def _why_no_change(options: ConnectOptions, present: Set[str]) -> str:
    """What follows the file's name where there is nothing to do."""
    if not options.remove:
        return "already has this entry."
    name, other = (name_of(is_demo=is_demo) for is_demo in (options.demo, not options.demo))
    if other not in present:
        return f"has no entry {name}: there is nothing to remove."
    sample = "" if options.demo else ", the sample account"
    command = _command(options.client, is_demo=not options.demo)
    return f"has no entry {name}, but it has {other}{sample}: `{command} --remove` removes that."


def _next_steps(assistant: Assistant, path: Path, made: Entry | None) -> str:
    if made:
        return f"{assistant.restart}{f' {assistant.title} then asks for the key.' if has_question(made) else ''}"
    old = backups_with_key(path)
    if not old:
        return assistant.restart_without
    kept = counted(len(old), "backup that has a key in it is", "backups that have a key in them are")
    where = ", ".join(backup.name for backup in old)
    return f"{assistant.restart_without}\n{kept} beside it: {where}. Delete what you no longer need."


def _removal(options: ConnectOptions, assistant: Assistant) -> _Planned:
    return _Planned(None, inputs("") if assistant.asks and not options.demo else [])


def _addition(options: ConnectOptions, assistant: Assistant) -> _Planned:
    settings, variables, fault = _settings(options), _variables(options), ""
    if assistant.asks:
        variables.pop(KEY, None)
    elif not options.demo:
        if typed := _typed_key(variables):
            variables[KEY] = typed
            settings = settings.model_copy(update={"api_key": SecretStr(typed)})
        fault = _check_key(settings)
    made = entry(assistant, variables, is_demo=options.demo)
    return _Planned(made, _inputs(made, settings), is_refused=fault == "key")


def _typed_key(variables: Mapping[str, str]) -> str:
    """The key that is typed in the terminal; '' where the variables have one, or there is no terminal."""
    if variables.keys() & {KEY, KEY_FILE} or not sys.stdin.isatty():
        return ""
    return getpass.getpass("API key (not shown while you type): ").strip()


def _settings(options: ConnectOptions) -> Settings:
    """The settings, with which a server could start.

    Raises:
        ConfigurationError: one cannot be used, or the provider has no address.
    """
    settings = Settings.load()
    if not options.demo:
        PROVIDERS[settings.provider].check_address(settings.address)
    return settings


def _variables(options: ConnectOptions) -> dict[str, str]:
    """The settings to write: those of this environment that the server uses."""
    return settings_in(os.environ, _OWN_NAMES - _NOT_FOR_SAMPLE if options.demo else _OWN_NAMES)


def _inputs(made: Entry, settings: Settings) -> list[JsonValue]:
    return inputs(_title(settings)) if has_question(made) else []


def _check_key(settings: Settings) -> Fault:
    """Makes one request to the provider with the key, says what it shows, and returns what is wrong.

    Raises:
        ConfigurationError: there is no key that can be sent, or no address.
    """
    key, title = settings.key("Set FORMANT_API_KEY, or add --demo for the sample account."), _title(settings)
    print(f"Checking the key with {title} …", file=sys.stderr, flush=True)
    opened = partial(settings.open_provider, key)
    shown = asyncio.run(probe(opened, settings.address, partial(datetime.now, UTC), _CHECK_SECONDS))
    outcome = f"{shown.message} {shown.hint}".strip() or f"{title} accepts it."
    if shown.fault not in ("", "key"):
        outcome += f" The key was not checked: with {settings.key_variable} set, `formant-mcp doctor` checks it later."
    print(outcome, file=sys.stderr)
    return shown.fault


def _to_paste(options: ConnectOptions, assistant: Assistant) -> str:
    """The entry as JSON with a place for the key, and what else adds it.

    Raises:
        InvalidRequestError: there is nothing to print, as it is to be removed.
    """
    if options.remove:
        raise InvalidRequestError(
            "--print prints what to add, so it cannot be used with --remove.", "Use only one of them."
        )
    settings, variables, name = _settings(options), _variables(options), name_of(is_demo=options.demo)
    variables.pop(KEY, None)
    if not options.demo and KEY_FILE not in variables:
        variables = {KEY: PLACEHOLDER, **variables}
    if store := variables.get("FORMANT_STORE"):
        variables["FORMANT_STORE"] = without_password(store)
    made = entry(assistant, variables, is_demo=options.demo)
    whole: Configuration = {assistant.servers: {name: made}}
    if prompts := _inputs(made, settings):
        whole = {"inputs": prompts, **whole}
    shown = json.dumps(whole, indent=2, ensure_ascii=False)
    text = f"For {assistant.title}, add this to {assistant.path(os.environ)}:\n{shown}"
    if options.client == "claude-code":
        text += f"\n\nOr: claude mcp add-json --scope user {name} {shlex.quote(json.dumps(made))}"
    if address := link(options.client, name, made, _title(settings)):
        text += f"\n\nOr open: {address}"
    return text


def _title(settings: Settings) -> str:
    return PROVIDERS[settings.provider].title
