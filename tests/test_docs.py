"""README.md and docs/: generated parts are current, links lead somewhere, and the commands run as they stand."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import generate
import pytest
from conftest import ROOT, textclf

from textclf.cli.main import main
from textclf.report.page import SECTIONS

PAGES = [*generate.PAGES, ROOT / "data" / "README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"\d[\d.,]*")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|md|html|txt|toml|yaml|json))`")
NAME = re.compile(r"`(_?[A-Z][A-Z_]{3,}|_[a-z]\w+)`")
FOLDERS = (ROOT, ROOT / "textclf")
"""Where the files that a page names are; those of a run are not looked for."""


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: str, language: str) -> list[str]:
    """Return the lines of all code blocks of a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [line for name, block in BLOCK.findall(text) if name == language for line in block.splitlines()]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", generate.PAGES, ids=page_name)
def test_generated_parts_are_current(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert page == generate.with_parts(page), "run: make docs"


def test_every_generated_part_has_a_page() -> None:
    parts = [name for path in generate.PAGES for name in generate.part_names(path.read_text(encoding="utf-8"))]
    assert sorted(parts) == sorted(generate.PARTS)


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", generate.PAGES, ids=page_name)
def test_files_that_a_page_names_exist(path: Path) -> None:
    names = FILE.findall(path.read_text(encoding="utf-8"))
    names = [name for name in names if "NAME" not in name and not name.startswith(("runs/", "model/"))]
    assert [name for name in names if not any((folder / name).exists() for folder in FOLDERS)] == []


def test_names_in_the_development_page_are_in_the_code() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "textclf").rglob("*.py")))
    names = NAME.findall((ROOT / "docs" / "development.md").read_text(encoding="utf-8"))
    assert names
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_commands_have_the_options_that_a_page_gives_them(path: Path) -> None:
    lines = [
        line.removeprefix("$ ") for _, block in BLOCK.findall(path.read_text("utf-8")) for line in block.splitlines()
    ]
    for line in lines:
        if line.startswith("textclf "):
            _, name, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
            main.commands[name].make_context(name, arguments)


def test_the_readme_has_every_command_on_a_line() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `textclf (\w+)", readme, flags=re.MULTILINE) == list(main.commands)


def test_the_page_on_the_report_has_its_headings() -> None:
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^- \*\*(.*)\*\*", page, flags=re.MULTILINE)) == sorted(SECTIONS.values())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with the sample data."""
    shutil.copytree(ROOT / "data" / "sample", tmp_path / "data" / "sample")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_line(line: str) -> str:
    """Run a line of a page, `cp` or `textclf` with or without a redirection, and return its output."""
    command, _, file = line.partition(" > ")
    program, *arguments = shlex.split(command, comments=True)
    if program == "cp":
        shutil.copy(*arguments)
        return ""
    assert program == "textclf", line
    result = textclf(*arguments)
    assert result.exit_code == 0, f"{line}\n{result.output}"
    if file:
        Path(file).write_text(result.stdout, encoding="utf-8")
    return result.output


def without_numbers(lines: list[str]) -> list[str]:
    """Return the lines with every number and every run of blanks as one sign: figures differ between machines."""
    return [" ".join(NUMBER.sub("#", line).split()) for line in lines]


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_the_readme_shows_what_its_commands_print() -> None:
    transcript = "\n".join(blocks("README.md", "console"))
    steps = [step.splitlines() for step in transcript.removeprefix("$ ").split("\n$ ")]
    assert [step[0].split()[1] for step in steps] == ["init", "train", "predict"]
    for command, *shown in steps:
        printed = iter(without_numbers(run_line(command).splitlines()))
        for line in without_numbers([line for line in shown if line != "..."]):
            assert line in printed, f"{command} does not print, or not in this order: {line}"  # the iterator moves on
    tree = blocks("README.md", "")
    files = [path for path in Path("runs/reviews").rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if not any(path.name in line for line in tree)] == []


@pytest.mark.slow
def test_the_commands_of_the_guide_run_in_order(folder: Path) -> None:
    for line in blocks("docs/guide.md", "sh"):
        run_line(line)
    assert len((folder / "labels.tsv").read_text("utf-8").splitlines()) == 12
    assert len((folder / "labels.jsonl").read_text("utf-8").splitlines()) == 400


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_the_code_of_the_page_on_python_runs() -> None:
    names: dict[str, Any] = {}
    exec("\n".join(blocks("docs/python.md", "python")), names)
    assert (names["model"].labels, names["best"].type) == (["negative", "positive"], "mlp")
    assert names["run"].metrics["accuracy"] > 0.7
    assert names["best"].score(names["X"], names["y"]) > 0.7
