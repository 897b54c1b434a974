"""What the tries under load share: processes of textclf, what they answer, and an end where a promise does not hold."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring import CACHE, ROOT

FOLDER = CACHE / "load"
RUN = FOLDER / "model"


def start(command: list[str | Path], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([str(part) for part in command], cwd=ROOT, **options)


def hold(promise: bool, *found: object) -> None:
    """Ends the program where a promise does not hold."""
    if not promise:
        sys.exit(f"broken: {' '.join(map(str, found))}")


def answer(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    output, talk = process.communicate()
    return process.returncode, output, talk
