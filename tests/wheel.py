"""That the wheel serves a user: what is in it, and each step from a CSV to an explanation in an empty environment.

Run by `make wheel`, outside pytest, since pytest's own environment is not empty.
"""

import email
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "data" / "sample"
TINY = ["model.embedding_dim=8", "model.units=4", "training.epochs=1"]
# Nothing of this environment may reach the new one: neither paths of modules nor the folder that holds the sources.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def package_files(folder: Path) -> set[str]:
    """The files that the wheel must hold, as it names them."""
    files = (path for path in (folder / "textclf").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in files}


def metadata(wheel: zipfile.ZipFile) -> Message:
    """Return the metadata of the wheel."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def check_contents(path: Path) -> None:
    """The wheel holds the package whole, nothing else, and says what pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        about = metadata(wheel)
    own = {name for name in names if ".dist-info/" not in name}
    assert own == package_files(ROOT), own ^ package_files(ROOT)
    assert {"textclf/py.typed", "textclf/report/templates/report.html"} <= own, sorted(own)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names), sorted(names)
    assert about["License-Expression"] == project["license"], about["License-Expression"]
    assert about["Description-Content-Type"] == "text/markdown", about["Description-Content-Type"]
    assert set(about["Requires-Python"].split(",")) == set(project["requires-python"].split(","))


def empty_environment(folder: Path, wheel: Path) -> Path:
    """The textclf command of a new environment that holds the wheel and what it asks for, in its locked versions."""
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    assert uv, "uv is not installed beside this Python: make install"
    lock = ROOT / "requirements-dev.txt"
    run(uv, "venv", "--quiet", "--python", sys.executable, folder, cwd=folder.parent)
    run(uv, "pip", "install", "--quiet", "--python", folder, "--constraints", lock, wheel, cwd=folder.parent)
    run(uv, "pip", "check", "--quiet", "--python", folder, cwd=folder.parent)
    (command,) = folder.glob("*/textclf*")  # bin/textclf, or Scripts/textclf.exe on Windows
    return command


def run(*command: str | Path, cwd: Path, stdin: str | None = None) -> str:
    """Return stdout of a command; raise an error with all that it wrote if it fails."""
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, cwd=cwd, env=ENVIRONMENT, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def check_use(textclf: Path, folder: Path) -> None:
    """From a CSV to an explanation, in a folder that holds nothing but that CSV."""
    shutil.copy(SAMPLES / "reviews.csv", folder / "mine.csv")
    overrides = [part for setting in TINY for part in ("--set", setting)]
    lines = (SAMPLES / "lines.txt").read_text(encoding="utf-8")
    assert run(textclf, "--help", cwd=folder).startswith("Usage: textclf")
    run(textclf, "init", "mine.csv", cwd=folder)
    run(textclf, "check", "mine.yaml", cwd=folder)
    run(textclf, "train", "mine.yaml", *overrides, cwd=folder)
    assert (folder / "runs" / "mine" / "report.html").is_file()
    assert "accuracy" in run(textclf, "evaluate", "mine.csv", cwd=folder)
    predicted = run(textclf, "predict", "-", cwd=folder, stdin=lines).splitlines()
    assert len(predicted) == len(lines.splitlines()), predicted
    assert {line.split("\t")[0] for line in predicted} <= {"positive", "negative"}, predicted
    assert "good" in run(textclf, "explain", "A good film", cwd=folder)


def main() -> None:
    wheel = Path(sys.argv[1]).resolve()
    check_contents(wheel)
    with tempfile.TemporaryDirectory(prefix="textclf-wheel-") as scratch:
        folder = Path(scratch)
        work = folder / "work"
        work.mkdir()
        check_use(empty_environment(folder / "empty", wheel), work)
    sys.stdout.write(f"{wheel.name}: whole, and works where nothing else is installed\n")


if __name__ == "__main__":
    main()
