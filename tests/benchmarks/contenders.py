"""The commands of the programs that textclf is compared with, each a script in peers/ that trains and predicts."""

import os
import subprocess
import sys
from pathlib import Path

from measuring import CACHE, ROOT, say

PEERS = Path(__file__).resolve().parent / "peers"
SCRIPTS = {
    "plain Keras script": "keras_plain.py",
    "scikit-learn TF-IDF": "sklearn_linear.py",
    "fastText bigrams": "fasttext_bigrams.py",
}


def peer(name: str, *arguments: str | Path) -> list[str | Path]:
    """Return the command that runs a peer's script."""
    python = fasttext_python() if name == "fastText bigrams" else sys.executable
    return [python, PEERS / SCRIPTS[name], *arguments]


def fasttext_python() -> Path:
    """Return the Python of an environment with fastText, whose wheel needs NumPy 1; create it where it is missing."""
    environment = ROOT / ".venv-fasttext"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (environment / "installed").is_file():
        say("making an environment for fastText")
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        packages = ["fasttext-wheel==0.9.2", "numpy<2"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
        (environment / "installed").touch()
    return python


def model_folder(name: str) -> Path:
    """Return the folder of a peer's model, which is kept between benchmarks."""
    return CACHE / name.replace(" ", "-")
