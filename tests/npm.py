"""Node programs and libraries that tests use, installed with npm."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}
"""As npm's packages of Node name them."""


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


def need_node(what: str) -> None:
    """Skips the test without Node and npm; in CI it fails."""
    if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
        _cannot(f"{what} needs {' and '.join(missing)} on the PATH: install Node 22, which has both")


def with_node(folder: Path, least: int) -> dict[str, str]:
    """The environment in which `node` is at least so new: the machine's, or else one installed below `folder`."""
    need_node(f"Node {least}")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.strip("v").partition(".")[0]) >= least:
        return dict(os.environ)
    package = f"node-{sys.platform}-{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
    programs = folder / "node_modules" / package / "bin"
    if not programs.exists():
        install(folder, f"{package}@{least}")
    return os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def _cannot(problem: str) -> NoReturn:
    if os.environ.get("CI"):
        raise RuntimeError(problem)
    pytest.skip(problem)
