"""The assistants that `formant-mcp connect` can set up: where each keeps its servers, and the form of one there."""

import json
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from platformdirs import user_config_path
from pydantic import JsonValue

from formant_mcp.errors import ConfigurationError
from formant_mcp.settings import store_text

KEY, KEY_FILE = "FORMANT_API_KEY", "FORMANT_API_KEY_FILE"
PLACEHOLDER = "paste your API key here"
_INPUT = "formant-key"
FROM_INPUT = f"${{input:{_INPUT}}}"  # VS Code puts the answer there
_IN_MEMORY = ":memory:"
_TEMPORARY = {"archive-v0", "builds-v0", "environments-v2"}  # folders of uv's cache in which `uvx` runs programs

Entry = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Assistant:
    """An assistant: its configuration file and the name of the list of servers in it.

    `restart`: what makes it read the file; `restart_without`: the same, once the server is taken out. `asks`: it asks
    for the key itself, and keeps it out of the file.
    """

    title: str
    servers: str
    path: Callable[[Mapping[str, str]], Path]
    restart: str
    restart_without: str
    asks: bool = False
    has_type: bool = False


def _desktop(_: Mapping[str, str]) -> Path:
    return user_config_path("Claude", appauthor=False, roaming=True) / "claude_desktop_config.json"


def _claude_code(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("CLAUDE_CONFIG_DIR") or Path.home()) / ".claude.json"


def _cursor(_: Mapping[str, str]) -> Path:
    return Path.home() / ".cursor" / "mcp.json"


def _vscode(_: Mapping[str, str]) -> Path:
    return user_config_path("Code", appauthor=False, roaming=True) / "User" / "mcp.json"


_QUIT = "Quit Claude Desktop and open it again."
_NEW_SESSION = "Start a new session of Claude Code."

ASSISTANTS = {
    "claude-desktop": Assistant("Claude Desktop", "mcpServers", _desktop, _QUIT, _QUIT),
    "claude-code": Assistant("Claude Code", "mcpServers", _claude_code, _NEW_SESSION, _NEW_SESSION, has_type=True),
    "cursor": Assistant(
        "Cursor",
        "mcpServers",
        _cursor,
        "Cursor lists the server in its settings, under MCP.",
        "If Cursor still lists the server in its settings, under MCP, quit Cursor and open it again.",
    ),
    "vscode": Assistant(
        "VS Code",
        "servers",
        _vscode,
        "In VS Code, run the command MCP: List Servers and start the server there.",
        "If the server still runs in VS Code, run the command Developer: Reload Window there.",
        True,
        True,
    ),
}


def program() -> str:
    """The absolute path of this program, as assistants start it from anywhere.

    Raises:
        ConfigurationError: it lies in a temporary folder, which will be deleted.
    """
    if _TEMPORARY & set(Path(sys.executable).parent.parts):
        raise ConfigurationError(
            "This program runs from a temporary folder, as programs started by uvx do.",
            "Install it with `uv tool install`, and run `formant-mcp connect` again.",
        )
    return own_path()


def own_path() -> str:
    """The path of the program that runs, whether a shell would find it or not."""
    here = Path(sys.executable).parent
    return shutil.which("formant-mcp", path=str(here)) or str(here / "formant-mcp")


def name_of(*, is_demo: bool) -> str:
    """The server's name in configurations. The sample account has one of its own, so that both can be there."""
    return "formant-sample" if is_demo else "formant"


def entry(assistant: Assistant, variables: Mapping[str, str], *, is_demo: bool) -> Entry:
    """The server as that assistant's configuration has it, with these settings."""
    with_key = dict(variables)
    if assistant.asks and not is_demo and KEY_FILE not in variables:
        with_key[KEY] = FROM_INPUT
    made: Entry = {"type": "stdio"} if assistant.has_type else {}
    made["command"], made["args"] = program(), ["--demo"] if is_demo else []
    if with_key:
        made["env"] = {**with_key}
    return made


def has_question(made: Entry) -> bool:
    """Whether the assistant asks for the key of that entry."""
    variables = made.get("env")
    return isinstance(variables, dict) and variables.get(KEY) == FROM_INPUT


def inputs(provider: str) -> list[JsonValue]:
    """What VS Code asks for."""
    return [{"id": _INPUT, "type": "promptString", "description": f"API key ({provider})", "password": True}]


def is_own_input(value: JsonValue) -> bool:
    """Whether it is one of `inputs`."""
    return isinstance(value, dict) and value.get("id") == _INPUT


def link(client: str, name: str, made: Entry, provider: str) -> str:
    """An address that adds the server when opened; '' for an assistant without such addresses.

    Sources: cursor.com/docs/context/mcp/install-links, code.visualstudio.com/api/extension-guides/ai/mcp.
    """
    if client == "cursor":
        config = quote(b64encode(json.dumps(made).encode()).decode(), safe="")
        return f"cursor://anysphere.cursor-deeplink/mcp/install?name={name}&config={config}"
    if client == "vscode":
        prompts = {"inputs": inputs(provider)} if has_question(made) else {}
        return f"vscode:mcp/install?{quote(json.dumps({'name': name, **made, **prompts}), safe='')}"
    return ""


def settings_in(environment: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    """The settings that are set: assistants do not pass on a shell's variables, nor start the server in its folder."""
    values = {name: environment[name].strip() for name in sorted(names) if environment.get(name, "").strip()}
    return {name: _from_anywhere(name, value) for name, value in values.items()}


def without_password(store: str) -> str:
    """A value of FORMANT_STORE, to be shown."""
    return store if store == _IN_MEMORY else store_text(store)


def _from_anywhere(name: str, value: str) -> str:
    is_path = name.endswith(("_FILE", "_DIR")) or (
        name == "FORMANT_STORE" and "://" not in value and value != _IN_MEMORY
    )
    return str(Path(value).expanduser().absolute()) if is_path else value
