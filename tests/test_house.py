"""The house: which module may import which, what starts light, and that what is shipped works."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, textclf, textclf_process

from textclf.config import read_source, schema_problems

LAYERS = [
    {"__main__"},
    {"cli"},
    {"cli_making", "cli_using"},
    {"cli_parts"},
    {"compress", "tune", "tuning_progress"},
    {"distill", "prune"},
    {"progress", "redraw", "tables", "search", "train", "verify"},
    {"compression"},
    {"check", "compare", "evaluate", "export", "init", "predict", "seeds", "tuning_report"},
    {"facts", "tuning"},
    {"study"},
    {"trials"},
    {"fitting"},
    {"suspects", "checks", "decision", "resume", "slices", "report", "samples"},
    {"figures", "explained"},
    {"export_keras", "export_model"},
    {"pace", "saving"},
    {"outcome", "material", "baseline", "plots", "charts", "tuning_plots", "explain", "exported", "standalone"},
    {"labelled"},
    {"classifier", "space"},
    {"config", "guess", "model_files"},
    {"columns", "training", "console", "ensemble"},
    {"augment"},
    {"checkpoint", "stage", "vectors", "split", "models", "losses", "calibration", "metrics", "intervals", "seen"},
    {"data"},
    {"bilstm", "mlp", "bilstm_smaller", "mlp_smaller"},
    {
        "text",
        "scores",
        "curves",
        "ahead",
        "bundle",
        "files",
        "run",
        "source",
        "recurrent",
        "bilstm_gradient",
        "bilstm_onnx",
        "mlp_gradient",
        "mlp_onnx",
        "optimizers",
        "device",
        "svg",
    },
    {"tokens", "cells", "store", "fields", "streams", "grams", "architecture"},
    {"visible", "onnx_graph"},
    {"storage", "smaller"},
    {"options", "errors", "wire"},
    {"__init__"},
]
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}
MODULES = sorted((ROOT / "textclf").glob("*.py"))


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "textclf":
            found |= {node.module.split(".")[1]} if "." in node.module else {alias.name for alias in node.names}
    return found & LEVEL.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_point_down(path: Path) -> None:
    upward = {name for name in imported_modules(path) if LEVEL[name] <= LEVEL[path.stem]}
    assert upward == set()


@pytest.mark.parametrize("path", [*MODULES, *sorted((ROOT / "tests").glob("*.py"))], ids=lambda path: path.stem)
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 320


def test_data_text_and_models_know_nothing_of_each_other() -> None:
    networks = {"models", "bilstm", "mlp"}
    for part in ({"data"}, {"text"}, networks):
        others = {"data", "text", *networks} - part
        for module in part:
            assert imported_modules(ROOT / "textclf" / f"{module}.py") & others == set()


LIGHT = """
import sys
from textclf.cli import main
for arguments in {commands!r}:
    try:
        main(arguments, standalone_mode=False)
    finally:
        heavy = [name for name in ("tensorflow", "keras") if name in sys.modules]
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
    "evaluate {data} --run {run}",
    "evaluate --run {run}",
    "compare {run} {run}",
    "explain words --run {run}",
    "report {run}",
    "export --run {run} --format keras --output {folder}/model.keras",
    "export --run {run} --format onnx --output {folder}/model.onnx",
    "export --run {run} --format python --output {folder}/classifier.py",
]


def test_tensorflow_stays_out(reviews: Path, tmp_path: Path) -> None:
    samples = ROOT / "data" / "sample"
    names = {"config": ROOT / "configs" / "sample.yaml", "run": reviews, "folder": tmp_path}
    arguments = [
        command.format(**names, data=samples / "reviews.csv", lines=samples / "lines.txt").split()
        for command in COMMANDS
    ]
    script = LIGHT.format(commands=arguments)
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, check=True, capture_output=True)


def test_help_starts_without_numpy() -> None:
    script = LIGHT.format(commands=[["--help"]]).replace('("tensorflow", "keras")', '("numpy", "pydantic", "yaml")')
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_config_is_valid_and_in_the_readme(path: Path) -> None:
    assert schema_problems(read_source(path).values) == []
    assert f"`configs/{path.name}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_shipped_sample_config_checks_out() -> None:
    result = textclf_process("check", "configs/sample.yaml", cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode().splitlines()[0] == "rows to train on                             360"


def test_every_command_in_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    used = set(re.findall(r"^(?:\$ )?textclf (\w+)", readme, flags=re.MULTILINE))
    assert used >= {"check", "train", "evaluate", "predict"}
    for command in used:
        assert textclf(command, "--help").exit_code == 0


def test_schema_is_json() -> None:
    assert json.loads(textclf("schema").stdout)["additionalProperties"] is False
