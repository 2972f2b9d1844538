"""Node programs and libraries that tests use, installed with npm."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def install(folder: Path, *packages: str) -> Path:
    """Installs packages below `folder`; gives the folder of modules.

    Skips the test without Node, and if the packages cannot be installed; in CI the latter is a failure.
    Install scripts stay off: one of Prism's reports usage.
    """
    if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
        pytest.skip(f"{packages[0]} needs {' and '.join(missing)} on the PATH")
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command = ["npm", "install", "--prefix", str(folder), *options, *packages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        problem = f"npm could not install {' and '.join(packages)}:\n{done.stderr}"
        if os.environ.get("CI"):
            raise RuntimeError(problem)
        pytest.skip(problem)
    return folder / "node_modules"
