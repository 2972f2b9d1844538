"""Node programs and libraries that tests use, installed with npm."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def install(folder: Path, *packages: str) -> Path:
    """Installs packages below `folder`; gives the folder of modules.

    Skips the test without Node, and if the packages cannot be installed; in CI both are failures.
    Install scripts stay off: one of Prism's reports usage.
    """
    need_node(packages[0])
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command = ["npm", "install", "--prefix", str(folder), *options, *packages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        _cannot(f"npm could not install {' and '.join(packages)}:\n{done.stderr}")
    return folder / "node_modules"


def need_node(what: str, least: int = 0) -> None:
    """Skips the test without Node and npm, or if Node is older than `least`; in CI both are failures."""
    if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
        _cannot(f"{what} needs {' and '.join(missing)} on the PATH: install Node 22, which has both")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.strip("v").partition(".")[0]) < least:
        _cannot(f"{what} needs Node {least}, and this is {version}: install Node {least}")


def _cannot(problem: str) -> NoReturn:
    if os.environ.get("CI"):
        raise RuntimeError(problem)
    pytest.skip(problem)
