"""The house: which module may import which, what starts light, and that what is shipped works."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, textclf, textclf_process

from textclf.config.load import schema_problems
from textclf.config.yaml_source import read_yaml

PACKAGES = [
    {"cli"},
    {"api"},
    {"export", "compression", "tuning", "scoring", "serving", "tracking"},
    {"training"},
    {"evaluation"},
    {"report"},
    {"config"},
    {"inference"},
    {"models"},
    {"text"},
    {"data"},
    {"io"},
    {"errors", "options"},
]
"""Each may import those below it, never above or beside it."""
NARROWER = {"report": {"io"}, "models": {"io"}}
"""Packages that may import less than what is below them, besides errors and options."""
LEVEL = {package: level for level, packages in enumerate(PACKAGES) for package in packages}
MODULES = [path for path in sorted((ROOT / "textclf").rglob("*.py")) if not path.stem.startswith("__")]


def package_of(path: Path) -> str:
    return path.relative_to(ROOT / "textclf").parts[0].removesuffix(".py")


def imported_packages(path: Path) -> set[str]:
    """The packages of textclf that a module imports, anywhere in it, less its own."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "textclf":
            imported |= {node.module.split(".")[1]} if "." in node.module else {alias.name for alias in node.names}
    return (imported & LEVEL.keys()) - {package_of(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "textclf").as_posix())
def test_imports_point_down(path: Path) -> None:
    package = package_of(path)
    below = {name for name in LEVEL if LEVEL[name] > LEVEL[package]}
    allowed = NARROWER[package] | PACKAGES[-1] if package in NARROWER else below
    assert imported_packages(path) <= allowed


@pytest.mark.parametrize(
    "path", [*MODULES, *sorted((ROOT / "tests").glob("*.py"))], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 450


LIGHT = """
import sys
from textclf.cli.main import main
for arguments in {commands!r}:
    try:
        main(arguments, standalone_mode=False)
    finally:
        heavy = [name for name in ("tensorflow", "keras", "ray") if name in sys.modules]
        assert not heavy, (arguments, heavy)
"""


COMMANDS = [
    "--help",
    "train --help",
    "tune --help",
    "schema",
    "init {data} --output -",
    "check {config}",
    "check {run}",
    "predict {lines} --run {run}",
    "score {data} --run {run} --output {folder}/scored",
    "evaluate {data} --run {run}",
    "evaluate --run {run}",
    "compare {run} {run}",
    "explain words --run {run}",
    "serve --help",
    "report {run}",
    "export --run {run} --format keras --output {folder}/model.keras",
    "export --run {run} --format onnx --output {folder}/model.onnx",
    "export --run {run} --format python --output {folder}/classifier",
]


@pytest.mark.slow
def test_tensorflow_stays_out(reviews: Path, tmp_path: Path) -> None:
    samples = ROOT / "data" / "sample"
    names = {"config": ROOT / "configs" / "sample.yaml", "run": reviews, "folder": tmp_path}
    arguments = [
        command.format(**names, data=samples / "reviews.csv", lines=samples / "lines.txt").split()
        for command in COMMANDS
    ]
    script = LIGHT.format(commands=arguments)
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.slow
def test_import_textclf_is_light() -> None:
    script = (
        "import sys, textclf; print(sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    command = [sys.executable, "-S", "-E", "-c", script]
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert result.stdout == "['__main__', 'textclf']\n"


NEEDED = """
import sys
HEAVY = ("numpy", "onnxruntime", "pandas", "pydantic", "sklearn", "tensorflow")
def loaded():
    return [name for name in HEAVY if name in sys.modules]
from textclf import load, train
print(loaded())
model = load({run!r})
model.predict(["A text"]), model.explain("A text")._repr_html_()
print(loaded())
from textclf import TextClassifier
TextClassifier(units=8).get_params()
print([name for name in loaded() if name in ("pydantic", "tensorflow")])
"""


@pytest.mark.slow
def test_a_program_loads_what_it_needs(reviews: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", NEEDED.format(run=str(reviews))]
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert result.stdout == "[]\n['numpy', 'onnxruntime']\n[]\n"


@pytest.mark.slow
def test_help_starts_without_numpy() -> None:
    script = LIGHT.format(commands=[["--help"]]).replace(
        '("tensorflow", "keras", "ray")', '("numpy", "pydantic", "yaml")'
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_config_is_valid_and_in_the_docs(path: Path) -> None:
    assert schema_problems(read_yaml(path).values) == []
    assert f"`configs/{path.name}`" in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_shipped_sample_config_checks_out() -> None:
    result = textclf_process("check", "configs/sample.yaml", cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode().splitlines()[0] == "rows to train on                                 360"


def test_schema_is_json() -> None:
    assert json.loads(textclf("schema").stdout)["additionalProperties"] is False
