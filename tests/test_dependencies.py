"""What pyproject.toml requires: bounded at both ends, used, and explained. `.ci/dependencies` resolves it."""

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "formant_mcp"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["postgres"]]
DECISION = (ROOT / ".github" / "decisions" / "0005-dependencies.md").read_text(encoding="utf-8")
MODULES = {"pyjwt": "jwt", "python-stdnum": "stdnum", "opentelemetry-api": "opentelemetry"}
"""The modules of packages that have another name."""
NOT_IMPORTED = {
    "sniffio": "imported by httpcore where it is installed",
    "tzdata": "imported by zoneinfo where the system has no zones",
}
WITH_ANOTHER = {"mcp_types": "mcp", "pydantic_core": "pydantic", "idna": "httpx"}
"""Modules that come with a package of ours by its own exact requirement."""


BY_MCP = {"uvicorn", "h11", "sse_starlette"}
"""Modules that mcp requires, for the server over HTTP."""


def name_of(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match
    return match[0].lower()


@cache
def imported() -> frozenset[str]:
    """The first names of all modules that the package imports."""
    names: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return frozenset(names - sys.stdlib_module_names - {"formant_mcp"})


def module_of(package: str) -> str:
    return MODULES.get(package, package.replace("-", "_"))


@pytest.mark.parametrize("requirement", REQUIRED, ids=name_of)
def test_a_dependency_has_a_lower_and_an_upper_bound_and_a_reason(requirement: str) -> None:
    bounds = requirement.removeprefix(re.match(r"[\w.-]+(\[\w+\])?", requirement)[0])  # type: ignore[index]
    assert re.fullmatch(r">=[\d.]+,<[\d.]+", bounds)
    assert re.search(rf"^\| {name_of(requirement)} \||\b{name_of(requirement)} 3, ", DECISION, re.MULTILINE)


def test_every_dependency_is_imported() -> None:
    packages = {name_of(requirement) for requirement in REQUIRED} - NOT_IMPORTED.keys()
    assert {package for package in packages if module_of(package) not in imported()} == set()


def test_everything_imported_is_a_dependency() -> None:
    modules = {module_of(name_of(requirement)) for requirement in REQUIRED}
    assert imported() - modules - WITH_ANOTHER.keys() - BY_MCP == set()
