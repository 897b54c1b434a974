"""No command writes over a file that it reads, nor over one that is there unless it is told to."""

import errno
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLES, textclf

from textclf.io import files

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such devices and seldom allows links")


Arguments = list[str | Path]
# Each command with the option that names its output last, and the files that it reads
COMMANDS: dict[str, Callable[[Path, Path], tuple[Arguments, list[Path]]]] = {
    "predict": lambda run, folder: (
        ["predict", folder / "new.txt", "--run", run, "--output"],
        [folder / "new.txt", run / "metrics.json", run / "model" / "model.onnx", run / "config.yaml"],
    ),
    "predict, model": lambda run, folder: (
        ["predict", folder / "new.txt", "--run", run / "model", "--output"], [run / "model" / "model.json"]
    ),
    "explain": lambda run, _: (["explain", "good", "--run", run, "--output"], [run / "report.html"]),
    "check": lambda _, folder: (
        ["check", folder / "c.yaml", "--suspects"],
        [folder / name for name in ("c.yaml", "train.csv", "test.csv", "vectors.txt")],
    ),
    "compare": lambda run, _: (
        ["compare", run / "evaluations" / "reviews", run / "evaluations" / "reviews", "--changed"],
        [run / "evaluations" / "reviews" / "predictions.csv", run / "config.yaml"],
    ),
    "export": lambda run, _: (["export", "--run", run, "--format", "keras", "--output"], [run / "model.keras"]),
    "init": lambda _, folder: (
        ["init", folder / "train.csv", "--output"], [folder / "train.csv", folder / "test.csv"]
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with texts, and a config with data and word vectors."""
    (tmp_path / "new.txt").write_text("good\nbad\n")
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_bytes((SAMPLES / "reviews.csv").read_bytes())
    (tmp_path / "vectors.txt").write_text("good 1 2\n")
    (tmp_path / "c.yaml").write_text(
        f"data: {{train: {tmp_path}/tr*.csv, test: {tmp_path}/test.csv}}\n"
        f"model: {{pretrained: {tmp_path}/vectors.txt, embedding_dim: 2}}\n"
    )
    return tmp_path


def option_of(arguments: Arguments) -> str:
    return str(arguments[-1])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_a_command_reads_is_never_written(name: str, evaluated: Path, folder: Path) -> None:
    arguments, sources = COMMANDS[name](evaluated, folder)
    for source in sources:
        before = source.read_bytes()
        refused = textclf(*arguments, source, "--overwrite")
        assert (refused.exit_code, refused.stdout, refused.stderr) == (
            1, "", f"{source} is a file that this command reads. Choose another file with {option_of(arguments)}.\n"
        )  # fmt: skip
        assert source.read_bytes() == before


@posix
@pytest.mark.parametrize("name", COMMANDS)
def test_a_link_to_a_file_that_a_command_reads_is_never_written(name: str, evaluated: Path, folder: Path) -> None:
    arguments, sources = COMMANDS[name](evaluated, folder)
    source = sources[0]
    (folder / f"soft{source.suffix}").symlink_to(source)
    (folder / f"hard{source.suffix}").hardlink_to(source)
    for link in (folder / f"soft{source.suffix}", folder / f"hard{source.suffix}"):
        refused = textclf(*arguments, link, "--overwrite")
        assert (refused.exit_code, refused.stdout, refused.stderr) == (
            1, "", f"{link} is {source}, which this command reads. Choose another file with {option_of(arguments)}.\n"
        )  # fmt: skip
        assert link.samefile(source)
        link.unlink()


@posix
@pytest.mark.parametrize("name", [*COMMANDS, "export, folder", "train", "tune", "compress"])
def test_a_path_back_from_a_folder_that_does_not_exist_is_refused(name: str, evaluated: Path, folder: Path) -> None:
    commands: dict[str, Arguments] = {
        "export, folder": ["export", "--run", evaluated, "--format", "python", "--output"],
        "train": ["train", folder / "c.yaml", "--run"],
        "tune": ["tune", folder / "c.yaml", "--run"],
        "compress": ["compress", "--run", evaluated, "--method", "int8", "--output"],
    }
    arguments = commands.get(name) or COMMANDS[name](evaluated, folder)[0]
    there = folder / ("there" if name in commands else "there.keras")
    there.write_text("years of work")
    path = folder / "none" / ".." / there.name
    refused = textclf(*arguments, path)
    kind = "folder" if name in commands else "file"
    message = f"{path} steps back from {folder}/none, which is no folder. Choose another {kind} with {arguments[-1]}.\n"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", message)
    assert there.read_text() == "years of work"
    assert not (folder / "none").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_is_there_is_replaced_only_when_asked(name: str, evaluated: Path, folder: Path) -> None:
    arguments, _ = COMMANDS[name](evaluated, folder)
    output = folder / "mine.keras"
    output.write_text("years of work")
    refused = textclf(*arguments, output)
    assert (refused.exit_code, refused.stdout, refused.stderr) == (
        1,
        "",
        f"{output} exists. Replace it with --overwrite, or choose another file with {option_of(arguments)}.\n",
    )
    assert output.read_text() == "years of work"
    assert textclf(*arguments, output, "--overwrite").exit_code == 0
    assert not output.read_bytes().startswith(b"years of work")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("name", [*COMMANDS, "export, folder"])
def test_a_file_that_appears_while_a_command_runs_is_not_replaced(
    name: str, links: bool, evaluated: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_paths: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", no_link)
    export: Arguments = ["export", "--run", evaluated, "--format", "python", "--output"]
    arguments = export if name == "export, folder" else COMMANDS[name](evaluated, folder)[0]
    output = folder / ("mine" if name == "export, folder" else "mine.keras")
    temporary_folder = files.temporary_folder

    def appearing(*paths: Path) -> AbstractContextManager[Path]:
        output.write_text("years of work")
        return temporary_folder(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(files, "temporary_folder", appearing)
        refused = textclf(*arguments, output)
    message = "it appeared while this command ran, and only --overwrite replaces it. Choose another place."
    assert (refused.exit_code, refused.stdout, refused.stderr.splitlines()[-1]) == (
        1, "", f"{output} cannot be written: {message}"
    )  # fmt: skip
    assert output.read_text() == "years of work"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    output.unlink()
    assert textclf(*arguments, output).exit_code == 0
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@posix
def test_any_name_that_the_system_allows_can_be_written(evaluated: Path, folder: Path) -> None:
    predict, _ = COMMANDS["predict"](evaluated, folder)
    assert textclf(*predict, folder / ("n" * 255)).exit_code == 0
    export: Arguments = ["export", "--run", evaluated, "--format", "python", "--output"]
    for output in (folder / ("p" * 255), folder / ("z" * 251 + ".zip")):
        assert textclf(*export, output).exit_code == 0
    with zipfile.ZipFile(output) as archive:
        assert f"{output.stem}/__init__.py" in archive.namelist()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "export"])
def test_a_folder_is_no_file(name: str, evaluated: Path, folder: Path) -> None:
    arguments, _ = COMMANDS[name](evaluated, folder)
    refused = textclf(*arguments, folder, "--overwrite")
    message = f"{folder} is a folder. Name a file in it with {option_of(arguments)}.\n"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", message)


@posix
@pytest.mark.parametrize("name", COMMANDS)
def test_a_link_to_itself_is_no_file(name: str, evaluated: Path, folder: Path) -> None:
    arguments, _ = COMMANDS[name](evaluated, folder)
    loop = folder / "loop.keras"
    loop.symlink_to(loop)
    refused = textclf(*arguments, loop, "--overwrite")
    message = f"{loop} is a link that leads back to itself. Choose another file with {option_of(arguments)}.\n"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", message)
    assert loop.is_symlink()


@pytest.mark.parametrize("name", [*COMMANDS, "export, folder"])
def test_what_is_read_only_is_not_replaced(
    name: str, evaluated: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export: Arguments = ["export", "--run", evaluated, "--format", "python", "--output"]
    arguments = export if name == "export, folder" else COMMANDS[name](evaluated, folder)[0]
    kind, output = ("folder", folder / "mine") if name == "export, folder" else ("file", folder / "mine.keras")
    assert textclf(*arguments, output).exit_code == 0
    before = output.stat()
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path) == output))
    refused = textclf(*arguments, output, "--overwrite")
    message = f"{output} is read-only. Choose another {kind} with {arguments[-1]}.\n"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", message)
    assert (output.stat().st_ino, output.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@posix
@pytest.mark.parametrize("name", ["predict", "explain", "compare", "init"])
def test_a_link_is_written_through_and_a_device_is_written(name: str, evaluated: Path, folder: Path) -> None:
    arguments, _ = COMMANDS[name](evaluated, folder)
    (folder / "link").symlink_to(folder / "elsewhere")
    for overwrite in ([], ["--overwrite"]):
        assert textclf(*arguments, folder / "link", *overwrite).exit_code == 0
        assert (folder / "link").is_symlink()
        assert (folder / "elsewhere").stat().st_size > 20
    assert textclf(*arguments, "/dev/null").exit_code == 0
    assert textclf(*arguments, "/dev/null", "--overwrite").exit_code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["predict", "explain"])
def test_a_minus_is_standard_output(name: str, evaluated: Path, folder: Path) -> None:
    arguments, _ = COMMANDS[name](evaluated, folder)
    assert textclf(*arguments, "-").stdout == textclf(*arguments[:-1]).stdout != ""


@posix
@pytest.mark.parametrize("name", ["predict", "init", "export"])
def test_a_replaced_file_keeps_who_may_read_it(name: str, evaluated: Path, folder: Path) -> None:
    arguments, _ = COMMANDS[name](evaluated, folder)
    output = folder / "private.keras"
    output.touch(mode=0o600)
    assert textclf(*arguments, output, "--overwrite").exit_code == 0
    assert (output.stat().st_size > 0, output.stat().st_mode & 0o777) == (True, 0o600)


def shell(command: str, folder: Path) -> tuple[int, str, str]:
    """Run a shell command in which `textclf` is the command line; return exit code, stdout and stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    function = f'textclf() {{ "{sys.executable}" -m textclf "$@"; }}\n'
    done = subprocess.run(
        ["sh", "-c", function + command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict - -o new.txt --overwrite < new.txt", "new.txt is standard input, which this command reads."),
        ("predict new.txt >> new.txt", "standard output is new.txt, which this command reads."),
        ("predict new.txt -o /dev/stdout >> new.txt", "/dev/stdout is new.txt, which this command reads."),
        ("explain - -o new.txt --overwrite < new.txt", "new.txt is standard input, which this command reads."),
        ("explain - < new.txt >> new.txt", "standard output is standard input, which this command reads."),
    ],
)
def test_streams_may_be_a_file_that_is_read(command: str, message: str, evaluated: Path, folder: Path) -> None:
    code, stdout, stderr = shell(f"textclf {command.replace(' ', f' --run {evaluated} ', 1)}", folder)
    assert (code, stdout, stderr) == (1, "", f"{message} Choose another file with --output.\n")
    assert (folder / "new.txt").read_text() == "good\nbad\n"


@pytest.mark.slow
@posix
def test_dev_stdout_appends_to_what_the_shell_appends_to(evaluated: Path, folder: Path) -> None:
    (folder / "all.tsv").write_text("earlier\n")
    assert shell(f"textclf predict new.txt --run {evaluated} -o /dev/stdout >> all.tsv", folder)[0] == 0
    assert len((folder / "all.tsv").read_text().splitlines()) == 3
    assert (folder / "all.tsv").read_text().startswith("earlier\n")


def test_an_export_keeps_what_others_put_into_its_folder(evaluated: Path, tmp_path: Path) -> None:
    arguments = ("export", "--run", evaluated, "--format", "python", "--output", tmp_path / "classifier")
    assert textclf(*arguments).exit_code == 0
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    for name in ("README.md", "model/card.md", "tests/test_it.py"):
        (tmp_path / "classifier" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "classifier" / name).write_text("mine")
    (tmp_path / "classifier" / "model" / "model.onnx").write_text("damaged")
    assert textclf(*arguments, "--overwrite").exit_code == 0
    for name in ("README.md", "model/card.md", "tests/test_it.py"):
        assert (tmp_path / "classifier" / name).read_text() == "mine"
    assert (tmp_path / "classifier" / "model" / "model.onnx").read_bytes() != b"damaged"
    assert {*written} <= {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
