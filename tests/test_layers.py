"""The structure of the code: the direction of imports, and the length of modules and functions."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import some

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "formant_mcp").rglob("*.py"))
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT_IMPORTS), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_import_follows_the_layers() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    some(
        [
            ("store/rows.py", "import formant_mcp.server.tools", "Data flows one way"),
            ("without_a_layer.py", "", "Data flows one way"),
            ("queries/dates.py", "import httpx", "Only providers and the login's issuer speak HTTP"),
            ("server/access.py", "import httpx", "Only providers and the login's issuer speak HTTP"),
            ("store/purge.py", "import sqlite3", "Only its engine knows SQLite"),
            ("store/store.py", "import psycopg", "Only its engine knows PostgreSQL"),
            ("queries/loader.py", "import mcp_types", "Nothing below the server knows MCP"),
            ("server/tools/text.py", "import formant_mcp.sync", "The server asks the account alone"),
            ("app.py", "import formant_mcp.demo.account", "Only the command line opens the demo"),
        ],
        4,
    ),
)
def test_an_import_against_the_layers_is_reported(tmp_path: Path, module: str, line: str, contract: str) -> None:
    for path in MODULES:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    with (tmp_path / "formant_mcp" / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert contract in re.findall(r"^(.+) BROKEN$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_below_400_lines_and_functions_below_50(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert len(source.splitlines()) < 400
    assert {name: length for name, length in lengths.items() if length >= 50} == {}
