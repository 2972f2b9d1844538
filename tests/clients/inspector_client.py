"""MCP Inspector's command line: INSPECTOR is its program, OPTIONS are options of it. It starts a new server for each
question, and has no completion. LIST_OPTIONS are those for the list of tools."""

import base64
import json
import os
import subprocess
from collections.abc import Iterable
from typing import Any

from report import Given, Report, digest, given


def run(questions: Given, method: str, *options: str) -> dict[str, Any]:
    """What the Inspector prints for a method. It passes on only those variables that are named."""
    ours = {name: value for name, value in questions.environment.items() if name.startswith("FORMANT_")}
    variables = [part for name, value in ours.items() for part in ("-e", f"{name}={value}")]
    command = ["node", os.environ["INSPECTOR"], "--cli", *variables, questions.command, *questions.arguments]
    command += [*os.environ["OPTIONS"].split(), "--method", method, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def pairs(option: str, arguments: dict[str, Any]) -> Iterable[str]:
    """Arguments as name=value, JSON where a value is no text."""
    for name, value in arguments.items():
        yield from (option, f"{name}={value if isinstance(value, str) else json.dumps(value)}")


def main() -> None:
    questions, report = given(), Report()
    report.tools = [tool["name"] for tool in run(questions, "tools/list", *os.environ["LIST_OPTIONS"].split())["tools"]]
    for name, arguments in questions.calls:
        result = run(questions, "tools/call", "--tool-name", name, *pairs("--tool-arg", arguments))
        (block,) = result["content"]
        report.add(block["text"], result["structuredContent"], is_error=result.get("isError", False))
    for uri in questions.resources:
        (content,) = run(questions, "resources/read", "--uri", uri)["contents"]
        report.resources[uri] = content["text"] if "text" in content else digest(base64.b64decode(content["blob"]))
    for name, arguments in questions.prompts:
        result = run(questions, "prompts/get", "--prompt-name", name, *pairs("--prompt-args", arguments))
        (message,) = result["messages"]
        report.prompts[name] = message["content"]["text"]
    report.show()


main()
