"""Processes of textclf for the trials under load, and the check that ends the program when a promise is broken."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring import CACHE, ROOT

FOLDER = CACHE / "load"
RUN = FOLDER / "model"


def start(command: list[str | Path], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in the root of the checkout."""
    return subprocess.Popen([str(part) for part in command], cwd=ROOT, **options)


def require(promise: bool, *details: object) -> None:
    """End the program with the details if a promise does not hold."""
    if not promise:
        sys.exit(f"broken: {' '.join(map(str, details))}")


def finish(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    """Wait for a process, and return its exit code, standard output and standard error."""
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr
