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
    if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
        _cannot(f"{packages[0]} needs {' and '.join(missing)} on the PATH: install Node 22, which has both")
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command = ["npm", "install", "--prefix", str(folder), *options, *packages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        _cannot(f"npm could not install {' and '.join(packages)}:\n{done.stderr}")
    return folder / "node_modules"


def _cannot(problem: str) -> NoReturn:
    if os.environ.get("CI"):
        raise RuntimeError(problem)
    pytest.skip(problem)
